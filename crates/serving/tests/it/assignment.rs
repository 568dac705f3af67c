//! Assignment: sticky by unit, recorded propensity.

use greenlight_domain::prediction::Variant;

use crate::world::World;

#[tokio::test]
async fn the_recorded_propensity_is_the_chance_of_the_variant_that_was_given() {
    let mut world = World::begin(11).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    let answer = world.day(2_000, |score| score).await;
    let champions = answer.batch.predictions.iter().filter(|r| r.variant == Variant::Champion).count();
    // Ten percent of 2,000, within four standard errors.
    assert!((146..=254).contains(&champions), "{champions}");
    for row in &answer.batch.predictions {
        let expected = if row.variant == Variant::Champion { 0.1 } else { 0.9 };
        assert!((row.propensity - expected).abs() < 1e-12);
        assert_eq!(
            row.probability.is_nan(),
            row.variant == Variant::Holdout,
            "the holdout is not told a score"
        );
    }
    let logged = world.test.lake.predictions("calls");
    let rolling: Vec<_> =
        logged.iter().filter(|p| p.release.is_some() && p.variant != Variant::Shadow).collect();
    assert!(
        rolling.iter().all(|p| p.champion_decision.is_some()),
        "what the champion would do is always logged"
    );
}
