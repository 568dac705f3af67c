//! What the log holds, and how it is deleted.

use greenlight_app::Kind;
use greenlight_app::erase;
use greenlight_domain::log::Durability;

use crate::world::{World, dana, olga};

#[tokio::test]
async fn what_is_redacted_or_not_sampled_does_not_reach_the_log() {
    let mut world = World::begin(31).await;
    world.change_endpoint(|spec| spec.log.redact = vec!["noise".to_owned()]).await.unwrap();
    world.day(3, |score| score).await;
    let logged = world.test.lake.features("calls");
    assert!(logged.numbers("noise").unwrap().iter().all(|v| v.is_nan()));
    assert!(logged.numbers("score").unwrap().iter().all(|v| v.is_finite()));
    world.change_endpoint(|spec| spec.log.feature_share = 0.25).await.unwrap();
    let answer = world.day(2_000, |score| score).await;
    let total: f64 = answer.batch.predictions.iter().map(|p| p.feature_weight).sum();
    // Each row stands for 4 with probability 1/4: a standard deviation of √3 each.
    assert!((total - 2_000.0).abs() < 4.0 * (3.0_f64 * 2_000.0).sqrt(), "{total}");
    let logged = world.test.lake.features("calls");
    let scores = &logged.numbers("score").unwrap()[3..];
    for (row, score) in answer.batch.predictions.iter().zip(scores) {
        assert_eq!(score.is_nan(), row.feature_weight == 0.0);
    }
}

#[tokio::test]
async fn without_waiting_for_the_disk_everything_is_logged_all_the_same() {
    let mut world = World::begin(32).await;
    world.change_endpoint(|spec| spec.log.durability = Durability::Async).await.unwrap();
    world.day(10, |score| score).await;
    assert_eq!(world.test.lake.predictions("calls").len(), 10);
}

#[tokio::test]
async fn a_unit_is_erased_on_request_and_old_rows_by_policy() {
    let mut world = World::begin(33).await;
    let unit = world.next_unit();
    world.day(5, |score| score).await;
    let refused = erase::erase(world.app(), &dana(), "calls", &unit).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
    let erased = erase::erase(world.app(), &olga(), "calls", &unit).await.unwrap();
    assert_eq!(erased.predictions, 1);
    assert!(world.test.lake.predictions("calls").iter().all(|p| *p.unit != *unit));
    let refused = world.change_endpoint(|spec| spec.log.keep_days = Some(7)).await.unwrap_err();
    assert!(refused.to_string().contains("must exceed the 7 days"), "{refused}");
    world.change_endpoint(|spec| spec.log.keep_days = Some(30)).await.unwrap();
    for _ in 0..60 {
        world.day(5, |score| score).await;
    }
    world.settle().await;
    world.test.clock.set(world.now);
    let erased = erase::retain(world.app(), &olga(), "calls").await.unwrap();
    let kept = world.test.lake.predictions("calls");
    assert!(erased.predictions > 0 && kept.iter().all(|p| p.at >= world.now.plus_days(-30)));
}
