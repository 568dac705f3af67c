//! Looking into an endpoint that has lived for a while: its log, its traffic, its drift, and rows tried by hand.

use greenlight_app::explain::{ExplainRow, explain, form};
use greenlight_app::prediction::{LogQuery, list, view};
use greenlight_app::{Kind, drift, traffic};
use greenlight_domain::role::{Actor, Role};
use greenlight_testkit::actor;
use serde_json::json;

use crate::world::World;

fn vera() -> Actor {
    actor("vera", Role::Viewer)
}

fn row(score: f64) -> ExplainRow {
    let row = json!({ "score": score, "noise": 0.5 }).as_object().unwrap().clone();
    ExplainRow { row, ..ExplainRow::default() }
}

/// An endpoint whose rollout has begun, with everything sealed.
async fn lived(days: usize) -> World {
    let mut world = World::begin(3).await;
    let release = world.submit("honest").await;
    world.bring_to_rollout(&release.release.id).await;
    for _ in 0..days {
        world.day(20, |score| score).await;
    }
    world.settle().await;
    world
}

#[tokio::test]
async fn a_tried_row_says_what_each_decision_is_worth_and_is_not_logged() {
    let world = lived(10).await;
    let logged = world.test.lake.predictions("calls").len();
    let tried = explain(world.app(), &vera(), "calls", row(0.8)).await.unwrap();
    assert!((tried.probability - 0.8).abs() < 1e-12);
    assert_eq!((tried.decision.as_str(), tried.holdout_decision.as_str()), ("call", "call"));
    // 10 · 0.8 − 5 = 3 for a call, whose worth is −5 or 5; skipping is worth nothing.
    let worth: Vec<_> = tried
        .worth
        .iter()
        .map(|w| (w.decision.as_str(), w.expected.minor.round(), w.if_not_minor, w.if_happened_minor))
        .collect();
    assert_eq!(worth, [("skip", 0.0, 0.0, 0.0), ("call", 300.0, -500.0, 500.0)]);
    let why = &tried.explanation;
    let sum = why.expected + why.contributions.iter().map(|c| c.amount).sum::<f64>();
    assert!((sum - 0.8).abs() < 1e-12 && why.unit == "probability");
    assert_eq!(why.contributions[0].feature, "score");
    assert_eq!(world.test.lake.predictions("calls").len(), logged, "a tried row is no prediction");
    assert_eq!(explain(world.app(), &vera(), "calls", row(0.2)).await.unwrap().decision, "skip");
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_refused_by_name() {
    let world = lived(1).await;
    let check = async |body: serde_json::Value, expected: &str| {
        let row = ExplainRow { row: body.as_object().unwrap().clone(), ..ExplainRow::default() };
        let error = explain(world.app(), &vera(), "calls", row).await.unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.to_string().contains(expected), "{error}");
    };
    check(json!({ "score": 0.5, "colour": "red" }), "'colour'").await;
    check(json!({ "noise": 0.5 }), "'score' is not there").await;
    check(json!({ "score": "high" }), "'score' must be a number").await;
    let unknown = ExplainRow { model: Some("honest@9".into()), ..row(0.5) };
    let error = explain(world.app(), &vera(), "calls", unknown).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn without_a_champion_a_version_is_named() {
    let world = World::begin(3).await;
    let release = world.submit("honest").await;
    let error = explain(world.app(), &vera(), "calls", row(0.5)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let begin = form(world.app(), &vera(), "calls", None).await.unwrap();
    assert_eq!(begin.models, [format!("{}@{}", release.release.model, release.release.model_version)]);
    // Nothing is logged yet, so the row is compared with the data set.
    let named = ExplainRow { model: Some(begin.models[0].clone()), ..row(0.5) };
    let tried = explain(world.app(), &vera(), "calls", named).await.unwrap();
    let background = &tried.explanation.sampling.as_ref().unwrap().background;
    assert!(background.contains("data set history@1"), "{background}");
}

#[tokio::test]
async fn the_log_is_found_by_filter_and_one_prediction_shows_its_outcome() {
    let world = lived(40).await;
    let all = list(world.app(), &vera(), "calls", LogQuery::default()).await.unwrap();
    assert_eq!(all.rows.len(), 50);
    assert!(all.next.is_some());
    let asked = LogQuery { decision: "call".into(), from: "2021-01-01".into(), ..LogQuery::default() };
    let calls = list(world.app(), &vera(), "calls", asked).await.unwrap();
    assert!(calls.rows.iter().all(|row| row.decision == "call"));
    let old = list(
        world.app(),
        &vera(),
        "calls",
        LogQuery { from: "2021-01-01".into(), until: "2021-01-02".into(), ..LogQuery::default() },
    )
    .await
    .unwrap();
    let live = old.rows.iter().find(|row| row.variant == "holdout").unwrap();
    let shown = view(world.app(), &vera(), "calls", &live.id.to_string()).await.unwrap();
    assert!(!shown.outcomes.is_empty() && shown.settled.is_some());
    assert_eq!(shown.mirrors.len(), 1, "the shadow that mirrored it");
    let begun = form(world.app(), &vera(), "calls", Some(&live.id.to_string())).await.unwrap();
    assert_eq!(begun.row, shown.features);
    let missing = view(world.app(), &vera(), "calls", "none").await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_feed_that_breaks_is_seen_as_drift() {
    let mut world = lived(40).await;
    let calm = drift::of_endpoint(world.app(), &vera(), "calls", 7, 28).await.unwrap();
    let moved = |view: &drift::DriftView| {
        view.features
            .iter()
            .filter(|c| c.movement == drift::Movement::Moved)
            .map(|c| c.name.clone())
            .collect()
    };
    let names: Vec<String> = moved(&calm);
    assert!(names.is_empty(), "{names:?}");
    for _ in 0..7 {
        world.day(20, |score| score / 4.0).await;
    }
    world.settle().await;
    let broken = drift::of_endpoint(world.app(), &vera(), "calls", 7, 28).await.unwrap();
    let names: Vec<String> = moved(&broken);
    assert_eq!(names, ["score"]);
    assert_eq!(broken.reference.unwrap().window.from, "2021-01-01".parse().unwrap());
}

#[tokio::test]
async fn traffic_adds_up_to_the_log() {
    let world = lived(10).await;
    let seen = traffic::over_time(world.app(), &vera(), "calls", 366, 50).await.unwrap();
    let counted: u64 = seen.buckets.iter().map(|bucket| bucket.predictions).sum();
    assert_eq!(Some(counted), seen.extent.map(|extent| extent.predictions));
    let disagreeing = traffic::disagreements(world.app(), &vera(), "calls", 366).await.unwrap();
    let found = disagreeing.found.unwrap();
    // While it was in shadow the holdout rule called everyone, and the model would have called half of them.
    assert!(found.compared >= 100 && found.decisions_differ > 30, "{found:?}");
    assert!(found.top.iter().all(|pair| pair.live_decision != pair.shadow_decision));
}
