//! Gates and approvals.

use greenlight_app::release::{Decide, SubmitRelease, decide, start_shadow, submit};
use greenlight_app::{Kind, rollout};
use greenlight_domain::evidence::Gate;
use greenlight_domain::release::Stage;
use greenlight_domain::role::Role;
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
    let mut judged = greenlight_app::release::judge_shadow(world.app(), &admin, &id).await;
    for _ in 0..10_000 {
        if judged.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
        judged = greenlight_app::release::judge_shadow(world.app(), &admin, &id).await;
    }
    assert_eq!(judged.unwrap().release.stage, Stage::AwaitingApproval);
    let yes = Decide { approved: true, comment: String::new() };
    let refused = decide(world.app(), &admin, &id, yes).await.unwrap_err();
    assert!(refused.to_string().contains("somebody else must decide"), "{refused}");
}
