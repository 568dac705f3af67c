//! Two servers over one store: what one changes, the other follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use greenlight_app::release::{SubmitRelease, start_shadow, submit};
use greenlight_app::reload::Reloader;
use greenlight_app::{App, Kind, apply, training};
use greenlight_domain::role::{Actor, Role};
use greenlight_testkit::{TestApp, actor, documents};

fn dana() -> Actor {
    actor("dana", Role::Scientist)
}

/// Two applications on one store, and what the second one follows with, up to date.
async fn two() -> (TestApp, Arc<App>, Reloader) {
    let test = TestApp::with_calls().await;
    let other = test.beside().await;
    let mut reloader = Reloader::new(Arc::clone(&other));
    reloader.poll().await.unwrap();
    assert_eq!(reloader.poll().await.unwrap(), None, "nothing was changed");
    (test, other, reloader)
}

async fn release(app: &App) -> String {
    let trained = training::train(app, &dana(), "honest").await.unwrap();
    let request = SubmitRelease { endpoint: "calls".into(), model: trained.model.reference() };
    submit(app, &dana(), request).await.unwrap().release.id
}

#[tokio::test]
async fn routes_that_one_server_changes_are_followed_by_the_other() {
    let (test, other, mut reloader) = two().await;
    let id = release(&test.app).await;
    reloader.poll().await.unwrap();
    assert!(other.live.get("calls").unwrap().shadows.is_empty());
    start_shadow(&test.app, &dana(), &id).await.unwrap();
    let reloaded = reloader.poll().await.unwrap().expect("something was changed");
    assert_eq!((reloaded.endpoints, reloaded.failed), (vec!["calls".to_owned()], vec![]));
    let (mine, theirs) = (other.live.get("calls").unwrap(), test.app.live.get("calls").unwrap());
    assert_eq!(mine.routes, theirs.routes);
    assert_eq!(mine.shadows[0].release.as_ref(), id);
    assert_eq!(reloader.poll().await.unwrap(), None);
}

#[tokio::test]
async fn publishing_again_neither_loads_a_model_again_nor_touches_other_endpoints() {
    let (test, other, mut reloader) = two().await;
    let id = release(&test.app).await;
    start_shadow(&test.app, &dana(), &id).await.unwrap();
    reloader.poll().await.unwrap();
    let before = other.live.get("calls").unwrap();
    // A change that no endpoint publishes.
    test.app.issue_token(&App::system_actor(), "eve", Role::Viewer).await.unwrap();
    let reloaded = reloader.poll().await.unwrap().unwrap();
    assert!(reloaded.endpoints.is_empty(), "{reloaded:?}");
    assert!(Arc::ptr_eq(&before, &other.live.get("calls").unwrap()));
    // A change that the endpoint publishes: a new table, the same model.
    let mut changed = documents(&"0".repeat(64));
    changed.retain(|document| document.kind() == "Initiative");
    let text = serde_json::to_string(&changed).unwrap().replace("\"Calls\"", "\"Calls, dearer\"");
    let changed: Vec<_> = serde_json::from_str(&text).unwrap();
    apply::apply(&test.app, &dana(), &changed).await.unwrap();
    assert_eq!(reloader.poll().await.unwrap().unwrap().endpoints, ["calls"]);
    let after = other.live.get("calls").unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    let model = |live: &greenlight_app::live::LiveEndpoint| Arc::clone(&live.shadows[0].model);
    assert!(Arc::ptr_eq(&model(&before), &model(&after)), "the model was not loaded again");
    assert_eq!(other.metrics.models_loaded.get(), 1);
}

#[tokio::test]
async fn endpoints_and_tokens_made_elsewhere_are_known_and_revoked_ones_are_not() {
    let test = TestApp::empty().await;
    let other = test.beside().await;
    let mut reloader = Reloader::new(Arc::clone(&other));
    reloader.poll().await.unwrap();
    let admin = App::system_actor();
    let issued = test.app.issue_token(&admin, "olga", Role::Operator).await.unwrap();
    assert!(other.authenticate(&issued.token).is_err(), "not yet followed");
    reloader.poll().await.unwrap();
    assert_eq!(other.authenticate(&issued.token).unwrap().name, "olga");
    test.app.revoke_token(&admin, &issued.id).await.unwrap();
    reloader.poll().await.unwrap();
    assert_eq!(other.authenticate(&issued.token).unwrap_err().kind(), Kind::Unauthenticated);

    let sha256 = test.app.artifacts.put(Bytes::from_static(b"stands for the file")).await.unwrap();
    let without_data: Vec<_> =
        documents(&sha256).into_iter().filter(|document| document.kind() != "Dataset").collect();
    assert!(apply::apply(&test.app, &dana(), &without_data).await.is_err(), "nothing is half applied");
    reloader.poll().await.unwrap();
    assert!(other.live.names().is_empty());
}

#[tokio::test]
async fn how_far_another_server_settled_is_followed_without_publishing() {
    let (test, other, mut reloader) = two().await;
    let before = other.live.get("calls").unwrap();
    let mut transaction = test.app.store.begin().await.unwrap();
    let cursor = greenlight_store::endpoint::cursor(&mut transaction, "calls").await.unwrap().unwrap();
    let until = "2021-02-01".parse().unwrap();
    let after =
        greenlight_store::endpoint::SettleCursor { settled_until: until, run: cursor.run + 1, ..cursor };
    greenlight_store::endpoint::advance_cursor(&mut transaction, "calls", &cursor, &after).await.unwrap();
    transaction.commit().await.unwrap();
    // The line that a settle writes with it.
    test.app.issue_token(&App::system_actor(), "eve", Role::Viewer).await.unwrap();
    assert!(reloader.poll().await.unwrap().unwrap().endpoints.is_empty());
    assert!(Arc::ptr_eq(&before, &other.live.get("calls").unwrap()));
    assert_eq!(before.settled_until.load(Ordering::SeqCst), until.0);
}

#[tokio::test]
async fn a_change_that_cannot_be_followed_is_tried_again_and_serving_goes_on() {
    let (test, other, mut reloader) = two().await;
    let before = other.live.get("calls").unwrap();
    let mut changed = documents(&"0".repeat(64));
    changed.retain(|document| document.kind() == "Initiative");
    let text = serde_json::to_string(&changed).unwrap().replace("\"Calls\"", "\"Calls, dearer\"");
    let changed: Vec<_> = serde_json::from_str(&text).unwrap();
    apply::apply(&test.app, &dana(), &changed).await.unwrap();
    test.lake.set_full(true);
    for _ in 0..2 {
        assert_eq!(reloader.poll().await.unwrap().unwrap().failed, ["calls"]);
        assert!(Arc::ptr_eq(&before, &other.live.get("calls").unwrap()), "the old one is served");
    }
    test.lake.set_full(false);
    assert_eq!(reloader.poll().await.unwrap().unwrap().endpoints, ["calls"]);
    assert_eq!(reloader.poll().await.unwrap(), None);
}
