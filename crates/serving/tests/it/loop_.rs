//! Rollouts and money: a good model advances and earns, a broken one is taken back, settling counts once.

use greenlight_app::outcome::{PostedOutcome, record};
use greenlight_app::{ledger, rollout, settle};
use greenlight_domain::prediction::Variant;
use greenlight_domain::release::Stage;
use greenlight_domain::rollout::Verdict;
use greenlight_domain::time::Micros;

use crate::world::{World, dana, olga};

async fn stage_of(world: &World, id: &str) -> Stage {
    greenlight_app::release::view(world.app(), &dana(), id).await.unwrap().release.stage
}

#[tokio::test]
async fn a_good_model_advances_step_by_step_and_earns_with_an_interval() {
    let mut world = World::begin(4).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    let mut percents = vec![10];
    for _ in 0..60 {
        world.day(60, |score| score).await;
        world.settle().await;
        let looked = rollout::look(world.app(), &olga(), &id).await.unwrap();
        if percents.last() != Some(&looked.percent) {
            percents.push(looked.percent);
        }
    }
    assert_eq!(percents, [10, 50, 90], "the holdout is permanent");
    assert_eq!(stage_of(&world, &id).await, Stage::Live);
    let view = ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap();
    let earned = view.incremental.unwrap();
    assert!(earned.low_minor.unwrap() > 0.0);
    // Truth: half of the clients have p < 1/2, and not calling them saves E[5 - 10 p | p < 1/2] = €2.50 each, so a
    // treated client earns €1.25 more than a held-out one.
    let treated = view.variants.iter().find(|v| v.variant == Variant::Champion).unwrap().units as f64;
    let truth = treated * 125.0;
    assert!(
        earned.low_minor.unwrap() < truth && truth < earned.high_minor.unwrap(),
        "{earned:?} misses {truth}"
    );
    assert!(view.matured < view.predictions, "the last week has not matured");
    assert!(view.net.unwrap().minor < earned.minor, "cost is subtracted");
}

#[tokio::test]
async fn a_model_whose_feed_breaks_is_rolled_back_for_the_money_it_loses() {
    let mut world = World::begin(5).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    // The feed turns around: the best clients look like the worst, so the model skips exactly those worth calling.
    let mut verdict = None;
    for _ in 0..80 {
        world.day(60, |score| 1.0 - score).await;
        world.settle().await;
        let looked = rollout::look(world.app(), &olga(), &id).await.unwrap();
        if let Verdict::RollBack { reason } = looked.verdict {
            verdict = Some(reason);
            break;
        }
        assert_ne!(looked.percent, 90, "a losing model never gets that far");
    }
    assert!(verdict.unwrap().contains("loses money against the holdout"));
    assert_eq!(stage_of(&world, &id).await, Stage::RolledBack);
    let after = world.day(50, |score| score).await;
    assert!(
        after.batch.predictions.iter().all(|r| r.variant == Variant::Holdout),
        "traffic is back with the holdout at once"
    );
}

#[tokio::test]
async fn a_model_that_fails_costs_no_answer_and_is_rolled_back() {
    let mut world = World::begin(6).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    // A probability above 1 makes the model fail; the holdout rule answers instead.
    let mut rolled_back = false;
    for _ in 0..30 {
        let answer = world.day(60, |_| 7.0).await;
        assert!(answer.batch.predictions.iter().all(|r| r.decision.as_ref() == "call"));
        world.settle().await;
        let looked = rollout::look(world.app(), &olga(), &id).await.unwrap();
        if let Verdict::RollBack { reason } = looked.verdict {
            assert!(reason.contains("predictions failed"), "{reason}");
            rolled_back = true;
            break;
        }
    }
    assert!(rolled_back);
}

#[tokio::test]
async fn settling_twice_or_after_a_restart_counts_once() {
    let mut world = World::begin(7).await;
    for _ in 0..30 {
        world.day(20, |score| score).await;
        world.settle().await;
        let again = world.settle().await;
        assert_eq!(again.matured + again.corrected, 0, "nothing new, nothing booked");
    }
    let before = ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap();
    let gross: i64 = world
        .test
        .lake
        .predictions("calls")
        .iter()
        .filter(|p| p.at < before.settled_until.unwrap())
        .count()
        .try_into()
        .unwrap();
    assert_eq!(i64::try_from(before.matured).unwrap(), gross);
    world.test.restart().await;
    let settled = settle::settle(&world.test.app, &olga(), "calls").await.unwrap();
    assert_eq!(settled.matured, 0);
    let after = ledger::of_endpoint(&world.test.app, &dana(), "calls").await.unwrap();
    assert_eq!(before.gross, after.gross);
}

#[tokio::test]
async fn a_late_or_revised_outcome_corrects_the_ledger_to_the_cent() {
    let mut world = World::begin(9).await;
    let answer = world.day(1, |score| score).await;
    let id = answer.batch.predictions[0].id;
    for _ in 0..30 {
        world.day(5, |score| score).await;
    }
    world.settle().await;
    let view = || async { ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap().gross.minor };
    let before = view().await;
    let post = |value: f64| PostedOutcome {
        prediction_id: Some(id.to_string()),
        unit: None,
        name: "bought".into(),
        value,
        at: Micros(id.time().0 + 1),
    };
    let mut seen = Vec::new();
    for value in [1.0, 1.0, 0.0, 1.0] {
        record(world.app(), &olga(), "calls", vec![post(value)]).await.unwrap();
        world.settle().await;
        seen.push(view().await);
    }
    // A sale is worth €10: the ledger moves by exactly that, whichever way the revision goes, and never twice.
    assert!((seen[0] - seen[1]).abs() < 1e-9);
    assert!((seen[0] - seen[2] - 1_000.0).abs() < 1e-9);
    assert!((seen[3] - seen[0]).abs() < 1e-9);
    assert!([0.0, 1_000.0].iter().any(|moved| (seen[0] - before - moved).abs() < 1e-9));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let mut world = World::begin(10).await;
    world.day(5, |score| score).await;
    world.test.lake.set_full(true);
    let request = greenlight_serving::Request {
        columns: vec![
            ("client".into(), greenlight_domain::frame::Column::Text(vec![Some("c".into())])),
            ("at".into(), greenlight_domain::frame::Column::Number(vec![world.now.0 as f64])),
            ("score".into(), greenlight_domain::frame::Column::Number(vec![0.5])),
            ("noise".into(), greenlight_domain::frame::Column::Number(vec![0.5])),
        ],
        rows: 1,
        trace: None,
    };
    let refused = world.infer(request.clone()).await.unwrap_err();
    assert!(matches!(refused, greenlight_serving::ServingError::Unavailable(_)), "{refused}");
    let logged = world.test.lake.predictions("calls").len();
    world.test.lake.set_full(false);
    world.infer(request).await.unwrap();
    assert_eq!(world.test.lake.predictions("calls").len(), logged + 1);
}

#[tokio::test]
async fn a_model_that_always_fails_has_earned_nothing_in_either_arm() {
    let mut world = World::begin(12).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    for _ in 0..20 {
        world.day(40, |_| 7.0).await;
    }
    world.settle().await;
    let view = ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap();
    assert!(view.randomised > 100);
    let earned = view.incremental.unwrap();
    assert!(earned.minor.abs() < 1e-9, "both arms got the holdout rule, so nothing was earned: {earned:?}");
}

#[tokio::test]
async fn a_prediction_in_a_settled_time_is_refused_rather_than_lost() {
    let mut world = World::begin(13).await;
    let first = world.now;
    for _ in 0..20 {
        world.day(5, |score| score).await;
    }
    let settled = world.settle().await;
    assert!(first < settled.settled_until);
    let request = greenlight_serving::Request {
        columns: vec![
            ("client".into(), greenlight_domain::frame::Column::Text(vec![Some("c".into())])),
            ("at".into(), greenlight_domain::frame::Column::Number(vec![first.0 as f64])),
            ("score".into(), greenlight_domain::frame::Column::Number(vec![0.5])),
            ("noise".into(), greenlight_domain::frame::Column::Number(vec![0.5])),
        ],
        rows: 1,
        trace: None,
    };
    let refused = world.infer(request).await.unwrap_err().to_string();
    assert!(refused.contains("is settled already"), "{refused}");
}

#[tokio::test]
async fn when_an_outcome_counts_changes_only_after_the_release_has_ended() {
    let mut world = World::begin(14).await;
    let id = world.submit("honest").await.release.id;
    let mut documents = greenlight_testkit::documents("00");
    documents.truncate(1);
    if let greenlight_domain::manifest::Document::Initiative { spec, .. } = &mut documents[0] {
        spec.value.window_days += 1;
    }
    world.bring_to_rollout(&id).await;
    let refused = greenlight_app::apply::apply(world.app(), &dana(), &documents).await.unwrap_err();
    assert!(refused.to_string().contains("end it first"), "{refused}");
    rollout::roll_back(world.app(), &olga(), &id, "to change the value model").await.unwrap();
    if let greenlight_domain::manifest::Document::Initiative { spec, .. } = &mut documents[0] {
        spec.value.expression = "features.salary".into();
    }
    let wrong = greenlight_app::apply::apply(world.app(), &dana(), &documents).await.unwrap_err();
    assert!(wrong.to_string().contains("there is no column 'features.salary'"), "{wrong}");
}
