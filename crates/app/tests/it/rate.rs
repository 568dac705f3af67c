//! Rates of tokens.

use std::sync::Arc;

use greenlight_app::{App, Kind};
use greenlight_domain::role::{Actor, Role};
use greenlight_testkit::TestApp;

async fn limited(app: &App, rate: Option<u32>) -> String {
    app.issue_limited_token(&App::system_actor(), "till", Role::Operator, rate).await.unwrap().token
}

/// How many of a burst were admitted.
fn burst(app: &App, token: &str, requests: usize) -> usize {
    let refused = |result: Result<Arc<Actor>, _>| {
        result.map_err(|error: greenlight_app::AppError| {
            assert_eq!(error.kind(), Kind::TooMany);
        })
    };
    (0..requests).filter(|_| refused(app.admit(token)).is_ok()).count()
}

#[tokio::test]
async fn a_burst_above_the_rate_is_refused_and_counted() {
    let test = TestApp::empty().await;
    let token = limited(&test.app, Some(3)).await;
    // A thousand take a millisecond; on a machine that stops for seconds some more would be let through.
    let admitted = burst(&test.app, &token, 1_000);
    assert!((3..100).contains(&admitted), "{admitted}");
    let refused = format!("greenlight_rejected_requests_total{{reason=\"rate\"}} {}", 1_000 - admitted);
    assert!(test.app.metrics.text().contains(&refused));
    assert!(test.app.authenticate(&token).is_ok(), "who it is can still be said");
}

#[tokio::test]
async fn tokens_without_a_rate_and_other_tokens_are_not_touched() {
    let test = TestApp::empty().await;
    let (free, tight) = (limited(&test.app, None).await, limited(&test.app, Some(1)).await);
    burst(&test.app, &tight, 50);
    assert_eq!(burst(&test.app, &free, 10_000), 10_000);
}

#[tokio::test]
async fn reading_tokens_again_does_not_fill_a_bucket() {
    let test = TestApp::empty().await;
    let token = limited(&test.app, Some(1)).await;
    let first = burst(&test.app, &token, 10);
    // Issuing another token reads all of them again.
    limited(&test.app, None).await;
    let second = burst(&test.app, &token, 10);
    assert!(first >= 1 && first + second < 10, "{first} and {second}");
}

#[tokio::test]
async fn a_rate_survives_a_restart_and_nonsense_is_refused() {
    let mut test = TestApp::empty().await;
    let token = limited(&test.app, Some(2)).await;
    test.restart().await;
    assert!(burst(&test.app, &token, 1_000) < 100);
    let admin = App::system_actor();
    for rate in [0, 1_000_001] {
        let refused =
            test.app.issue_limited_token(&admin, "till", Role::Viewer, Some(rate)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
    }
}
