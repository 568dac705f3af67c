//! Gates and approvals.

use std::sync::Arc;

use greenlight_app::release::{Decide, SubmitRelease, decide, judge_shadow, start_shadow, submit};
use greenlight_app::{Kind, rollout};
use greenlight_domain::evidence::Gate;
use greenlight_domain::release::Stage;
use greenlight_domain::role::Role;
use greenlight_domain::route::MAX_SHADOWS;
use greenlight_testkit::actor;

use crate::world::{World, dana, olga};

#[tokio::test]
async fn a_leak_is_stopped_by_name_although_it_shines() {
    let world = World::begin(1).await;
    let honest = world.submit("honest").await;
    let leaky = world.submit("leaky").await;
    assert_eq!(honest.release.stage, Stage::Gated, "{:?}", honest.release.reason);
    assert_eq!(leaky.release.stage, Stage::Stopped);
    let reason = leaky.release.reason.unwrap();
    assert!(reason.contains("contract gate") && reason.contains("duration is known only after"), "{reason}");
    let history = leaky.evidence.iter().find(|e| e.result.gate == Gate::History).unwrap();
    assert!(
        history.result.detail["all"]["auc"].as_f64().unwrap() > 0.6,
        "all gates run and say what they found"
    );
}

#[tokio::test]
async fn a_model_without_signal_is_stopped_by_history() {
    let world = World::begin(1).await;
    let noisy = world.submit("noisy").await;
    assert_eq!(noisy.release.stage, Stage::Stopped);
    assert!(noisy.release.reason.unwrap().contains("history gate"));
}

#[tokio::test]
async fn evidence_keeps_the_digest_of_what_was_found() {
    let world = World::begin(1).await;
    let honest = world.submit("honest").await;
    for evidence in &honest.evidence {
        assert_eq!(evidence.digest, evidence.result.digest());
    }
}

#[tokio::test]
async fn nothing_serves_without_shadow_and_two_other_people() {
    let mut world = World::begin(2).await;
    let id = world.submit("honest").await.release.id;
    let early = rollout::start(world.app(), &olga(), &id).await.unwrap_err();
    assert_eq!(early.kind(), Kind::Conflict);
    start_shadow(world.app(), &dana(), &id).await.unwrap();
    let yes = || Decide { approved: true, comment: String::new() };
    let ada = actor("ada", Role::Approver);
    assert_eq!(decide(world.app(), &ada, &id, yes()).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(decide(world.app(), &dana(), &id, yes()).await.unwrap_err().kind(), Kind::Forbidden);
    for _ in 0..5 {
        world.day(20, |score| score).await;
    }
    let answer = world.day(50, |score| score).await;
    assert!(
        answer
            .batch
            .predictions
            .iter()
            .all(|r| r.variant.as_str() == "holdout" && r.decision.as_ref() == "call")
    );
}

#[tokio::test]
async fn two_releases_in_shadow_are_judged_each_by_its_own_rows() {
    let mut world = World::begin(4).await;
    let first = world.submit("honest").await.release.id;
    let second = world.submit("honest").await.release.id;
    assert_ne!(first, second);
    for id in [&first, &second] {
        start_shadow(world.app(), &dana(), id).await.unwrap();
    }
    for _ in 0..5 {
        world.day(20, |score| score).await;
    }
    world.wait_for_shadow(200).await;
    let lake = Arc::clone(&world.app().lake);
    lake.seal("calls").await.unwrap();
    for id in [&first, &second] {
        assert_eq!(lake.shadow_rows("calls", id).await.unwrap().len(), 100, "{id}");
    }
    let judged = judge_shadow(world.app(), &dana(), &first).await.unwrap();
    assert_eq!(judged.release.stage, Stage::AwaitingApproval);
    world.day(20, |score| score).await;
    world.wait_for_shadow(220).await;
    lake.seal("calls").await.unwrap();
    assert_eq!(lake.shadow_rows("calls", &first).await.unwrap().len(), 100, "its shadow ended");
    assert_eq!(lake.shadow_rows("calls", &second).await.unwrap().len(), 120, "the other goes on");
    let judged = judge_shadow(world.app(), &dana(), &second).await.unwrap();
    assert_eq!(judged.release.stage, Stage::AwaitingApproval);
}

#[tokio::test]
async fn an_endpoint_has_room_for_so_many_shadows() {
    let world = World::begin(5).await;
    let mut last = Ok(());
    for n in 0..=MAX_SHADOWS {
        let id = world.submit("honest").await.release.id;
        last = start_shadow(world.app(), &dana(), &id).await.map(|_| ());
        assert_eq!(last.is_ok(), n < MAX_SHADOWS, "{last:?}");
    }
    let refused = last.unwrap_err();
    assert!(refused.kind() == Kind::Conflict && refused.to_string().contains("judge one first"), "{refused}");
}

#[tokio::test]
async fn an_admin_cannot_approve_the_own_release() {
    let mut world = World::begin(3).await;
    let admin = actor("root", Role::Admin);
    world.submit("honest").await;
    let request = SubmitRelease { endpoint: "calls".into(), model: "honest@1".into() };
    let id = submit(world.app(), &admin, request).await.unwrap().release.id;
    start_shadow(world.app(), &admin, &id).await.unwrap();
    for _ in 0..5 {
        world.day(20, |score| score).await;
    }
    // The mirror runs after the response; ask until it has caught up.
    let mut judged = judge_shadow(world.app(), &admin, &id).await;
    for _ in 0..10_000 {
        if judged.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
        judged = judge_shadow(world.app(), &admin, &id).await;
    }
    assert_eq!(judged.unwrap().release.stage, Stage::AwaitingApproval);
    let yes = Decide { approved: true, comment: String::new() };
    let refused = decide(world.app(), &admin, &id, yes).await.unwrap_err();
    assert!(refused.to_string().contains("somebody else must decide"), "{refused}");
}
