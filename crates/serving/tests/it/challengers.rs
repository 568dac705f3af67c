//! Challengers, targeting, fallbacks and decisions.

use greenlight_app::challenge::{Challenge, challenge};
use greenlight_app::{Kind, rollout, settle};
use greenlight_domain::assignment::{Arm, LayerSpec, Override, Rule};
use greenlight_domain::decision::DecisionSpec;
use greenlight_domain::prediction::Variant;
use greenlight_domain::release::Stage;
use greenlight_serving::Answer;

use crate::world::{World, dana, olga};

fn count(answer: &Answer, variant: Variant) -> usize {
    answer.batch.predictions.iter().filter(|p| p.variant == variant).count()
}

/// A live champion and an approved release beside it.
async fn with_contender(seed: u64) -> (World, String, String) {
    let mut world = World::begin(seed).await;
    let champion = world.bring_to_live().await;
    let contender = world.submit("honest").await.release.id;
    world.bring_to_approval(&contender).await;
    (world, champion, contender)
}

#[tokio::test]
async fn a_challenger_takes_its_share_from_the_champion_and_logs_the_candidates() {
    let (mut world, champion, contender) = with_contender(21).await;
    let percent = |percent| Challenge { percent };
    let refused = challenge(world.app(), &olga(), &contender, percent(91)).await.unwrap_err();
    assert!(refused.to_string().contains("only 90 % get a model"), "{refused}");
    assert_eq!(
        challenge(world.app(), &dana(), &contender, percent(5)).await.unwrap_err().kind(),
        Kind::Forbidden
    );
    let view = challenge(world.app(), &olga(), &contender, percent(20)).await.unwrap();
    assert_eq!(view.release.stage, Stage::Challenger);
    let answer = world.day(4_000, |score| score).await;
    // 70, 20 and 10 percent of 4,000, within four standard errors.
    assert!(count(&answer, Variant::Champion).abs_diff(2_800) < 116);
    assert!(count(&answer, Variant::Challenger).abs_diff(800) < 102);
    assert!(count(&answer, Variant::Holdout).abs_diff(400) < 76);
    let expected = format!("champion=0.7 {contender}=0.2 holdout=0.1");
    for row in &answer.batch.predictions {
        assert_eq!(row.candidates.as_deref(), Some(expected.as_str()));
        // Given that a unit gets one of the two, it gets the champion in 7 of 8 cases.
        assert!((row.champion_propensity - 0.875).abs() < 1e-12);
        let (propensity, release) = match row.variant {
            Variant::Champion => (0.7, &champion),
            Variant::Challenger => (0.2, &contender),
            _ => (0.1, &champion),
        };
        assert!((row.propensity - propensity).abs() < 1e-12);
        assert_eq!(row.release.as_deref(), Some(release.as_str()));
    }
    for _ in 0..10 {
        world.day(5, |score| score).await;
    }
    settle::settle(world.app(), &olga(), "calls").await.unwrap();
    rollout::roll_back(world.app(), &olga(), &contender, "enough seen").await.unwrap();
    let after = world.day(400, |score| score).await;
    assert_eq!(count(&after, Variant::Challenger), 0);
    assert!(count(&after, Variant::Champion) > 300, "its share goes back to the champion");
}

#[tokio::test]
async fn a_challenger_that_fails_is_answered_for_and_taken_back() {
    let (mut world, _, contender) = with_contender(22).await;
    challenge(world.app(), &olga(), &contender, Challenge { percent: 40 }).await.unwrap();
    // Both models break on such a row, so the holdout's rule answers for either.
    let answer = world.day(300, |_| 7.0).await;
    assert!(answer.batch.predictions.iter().all(|p| p.decision.as_ref() == "call"));
    let failed: Vec<_> = answer.batch.predictions.iter().filter(|p| p.error.is_some()).collect();
    assert_eq!(failed.len(), 300 - count(&answer, Variant::Holdout));
    assert!(failed.iter().all(|p| p.fallback.as_deref() == Some("holdout")));
    world.settle().await;
    let looked = rollout::look(world.app(), &olga(), &contender).await.unwrap();
    assert_eq!(looked.percent, 0, "{:?}", looked.verdict);
    assert_eq!(
        greenlight_app::release::view(world.app(), &dana(), &contender).await.unwrap().release.stage,
        Stage::RolledBack
    );
}

#[tokio::test]
async fn a_challenger_becomes_the_champion_and_keeps_the_one_before_as_its_fallback() {
    let (mut world, champion, contender) = with_contender(23).await;
    challenge(world.app(), &olga(), &contender, Challenge { percent: 20 }).await.unwrap();
    rollout::start(world.app(), &olga(), &contender).await.unwrap();
    let live = world.test.app.live.get("calls").unwrap();
    assert_eq!(live.champion.as_ref().map(|m| m.release.to_string()), Some(contender));
    assert_eq!(live.previous.as_ref().map(|m| m.release.to_string()), Some(champion));
    assert!(live.challengers.is_empty());
    let answer = world.day(200, |score| score).await;
    assert_eq!(count(&answer, Variant::Challenger), 0);
}

#[tokio::test]
async fn a_challenger_that_is_routed_no_more_does_not_take_another_champion_with_it() {
    let (world, champion, contender) = with_contender(26).await;
    challenge(world.app(), &olga(), &contender, Challenge { percent: 20 }).await.unwrap();
    rollout::roll_back(world.app(), &olga(), &champion, "it ages").await.unwrap();
    let mut world = world;
    let third = world.submit("honest").await.release.id;
    world.bring_to_rollout(&third).await;
    rollout::roll_back(world.app(), &olga(), &contender, "never mind").await.unwrap();
    let live = world.test.app.live.get("calls").unwrap();
    assert_eq!(live.champion.as_ref().map(|m| m.release.to_string()), Some(third));
}

#[tokio::test]
async fn endpoints_of_a_layer_may_not_share_units() {
    let world = World::begin(27).await;
    let part =
        |from_percent, until_percent| Some(LayerSpec { name: "crm".to_owned(), from_percent, until_percent });
    world.change_endpoint(|spec| spec.assignment.layer = part(0, 50)).await.unwrap();
    let refused =
        world.add_endpoint("mails", |spec| spec.assignment.layer = part(49, 100)).await.unwrap_err();
    assert!(refused.to_string().contains("overlaps the part of endpoint calls"), "{refused}");
    world.add_endpoint("mails", |spec| spec.assignment.layer = part(50, 100)).await.unwrap();
}

#[tokio::test]
async fn testers_and_targets_get_what_the_manifest_says_under_live_traffic() {
    let mut world = World::begin(24).await;
    world.bring_to_live().await;
    let named = |answer: &Answer, unit: &str| {
        answer.batch.predictions.iter().find(|p| *p.unit == *unit).cloned().unwrap()
    };
    let next = world.next_unit();
    world
        .change_endpoint(|spec| {
            spec.assignment.overrides = vec![Override { unit: next.clone(), arm: Arm::Holdout }];
            spec.assignment.rules = vec![Rule {
                name: "sure".to_owned(),
                when: "features.score > 0.5".to_owned(),
                among: vec![Arm::Champion],
            }];
        })
        .await
        .unwrap();
    let answer = world.day(500, |score| score).await;
    let tester = named(&answer, &next);
    assert_eq!((tester.variant, tester.propensity), (Variant::Holdout, 1.0));
    let held = answer.batch.predictions.iter().filter(|p| p.variant == Variant::Holdout).count();
    assert!((10..45).contains(&held), "a tenth of the half that is not sure, and the tester: {held}");
    let sure =
        answer.batch.predictions.iter().filter(|p| p.candidates.as_deref() == Some("sure: champion=1"));
    assert!(sure.count() > 200);
    let refused = world.change_endpoint(|spec| spec.decision = DecisionSpec::TopK { budget: 3 }).await;
    assert!(refused.unwrap_err().to_string().contains("end it first"));
}

#[tokio::test]
async fn a_budget_is_kept_and_a_bandit_logs_its_propensity() {
    let mut world = World::begin(25).await;
    world.change_endpoint(|spec| spec.decision = DecisionSpec::TopK { budget: 7 }).await.unwrap();
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    let answer = world.day(200, |score| score).await;
    let chosen: Vec<f64> = answer
        .batch
        .predictions
        .iter()
        .filter(|p| p.champion_decision.as_deref() == Some("call"))
        .map(|p| if p.probability.is_nan() { 1.0 } else { p.probability })
        .collect();
    assert_eq!(chosen.len(), 7);
    rollout::roll_back(world.app(), &olga(), &id, "next").await.unwrap();
    let bandit = DecisionSpec::EpsilonGreedy { epsilon: 0.2, max_regret: None };
    world.change_endpoint(|spec| spec.decision = bandit).await.unwrap();
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    let answer = world.day(3_000, |score| score).await;
    for row in answer.batch.predictions.iter().filter(|p| p.variant == Variant::Champion) {
        let greedy = if row.probability > 0.5 { "call" } else { "skip" };
        let expected = if *row.decision == *greedy { 0.9 } else { 0.1 };
        assert!((row.decision_propensity - expected).abs() < 1e-12);
    }
}
