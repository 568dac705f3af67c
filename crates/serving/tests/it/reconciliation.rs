//! The ledger against its raw events: whatever arrives, in whatever order, the postings are what comes out of it.

use greenlight_app::Kind;
use greenlight_app::ledger;
use greenlight_app::outcome::{PostedOutcome, record};
use greenlight_app::reconciliation::{Days, Reconciliation, reconcile};
use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::{Posting, PostingKind};
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::Variant;
use greenlight_domain::role::Role;
use greenlight_domain::time::{DAY_US, Micros};
use greenlight_testkit::actor;
use rand::RngExt;

use crate::world::{World, dana, olga};

async fn reconciled(world: &World) -> Reconciliation {
    reconcile(world.app(), &olga(), "calls", Days::default()).await.unwrap()
}

/// Outcomes that correct earlier ones, say the same again, or come long after their day was settled.
async fn disturb(world: &mut World) {
    let predictions = world.test.lake.predictions("calls");
    let mut posts = Vec::new();
    for prediction in &predictions {
        if prediction.variant == Variant::Shadow || !world.random.random_bool(0.05) {
            continue;
        }
        let value = f64::from(u8::from(world.random.random_bool(0.5)));
        let days: i64 = world.random.random_range(0..7);
        let at = Micros(prediction.at.0 + days * DAY_US);
        if at > world.now {
            continue;
        }
        let post = PostedOutcome {
            prediction_id: Some(prediction.id.to_string()),
            unit: None,
            name: "bought".into(),
            value,
            at,
        };
        for _ in 0..=u8::from(world.random.random_bool(0.3)) {
            posts.push(post.clone());
        }
    }
    if !posts.is_empty() {
        record(world.app(), &olga(), "calls", posts).await.unwrap();
    }
}

#[tokio::test]
async fn corrections_duplicates_and_late_arrivals_add_up_to_the_cent() {
    for seed in 0..6 {
        let mut world = World::begin(100 + seed).await;
        let id = world.submit("honest").await.release.id;
        world.bring_to_rollout(&id).await;
        let mut corrected = 0;
        for _ in 0..25 {
            world.day(30, |score| score).await;
            if world.random.random_bool(0.6) {
                disturb(&mut world).await;
            }
            if world.random.random_bool(0.7) {
                corrected += world.settle().await.corrected;
            }
            if world.random.random_bool(0.2) {
                greenlight_app::rollout::look(world.app(), &olga(), &id).await.unwrap();
            }
        }
        corrected += world.settle().await.corrected;
        let found = reconciled(&world).await;
        assert_eq!(found.differences, [], "seed {seed}");
        assert!(corrected > 10 && found.predictions > 300 && found.days > 10, "{found:?}");
        let view = ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap();
        assert_eq!(view.gross.minor.to_string(), found.gross_minor.to_string());
        // Each day is rounded once: the postings are within half a cent a day of what the interval is made of.
        let earned = view.incremental.unwrap().minor;
        assert!((earned - found.incremental_minor as f64).abs() <= 0.5 * found.days as f64, "seed {seed}");
    }
}

#[tokio::test]
async fn what_is_not_settled_yet_and_what_was_tampered_with_is_said() {
    let mut world = World::begin(200).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    for _ in 0..20 {
        world.day(30, |score| score).await;
    }
    let early = reconcile(world.app(), &olga(), "calls", Days::default()).await.unwrap_err();
    assert!(early.kind() == Kind::Conflict && early.to_string().contains("greenlight endpoint settle calls"));
    world.settle().await;
    let clean = reconciled(&world).await;
    assert_eq!((clean.differences_count, clean.grade), (0, Grade::A));

    let day = clean.from.unwrap().day() + 2;
    let mut transaction = world.app().store.begin().await.unwrap();
    let forged = Posting {
        endpoint: "calls".into(),
        release: Some(id.clone()),
        variant: None,
        day,
        kind: PostingKind::Incremental,
        amount_minor: 100,
        grade: Grade::A,
        settle_run: 1,
    };
    greenlight_store::ledger::post(&mut transaction, "forged", &forged, Currency::EUR, Micros(0))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let found = reconciled(&world).await;
    assert_eq!(found.differences_count, 1, "{:?}", found.differences);
    let difference = &found.differences[0];
    assert_eq!((difference.what, difference.booked - difference.recomputed), ("incremental_minor", 100));
    assert_eq!(difference.day, Micros::from_day(day).date().to_string());
    // Only the days that are asked for.
    let days = Days { from: Some(Micros::from_day(day + 1)), until: None };
    let later = reconcile(world.app(), &olga(), "calls", days).await.unwrap();
    assert!(later.differences.is_empty() && later.days < found.days);

    let vera = actor("vera", Role::Viewer);
    let refused = reconcile(world.app(), &vera, "calls", Days::default()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
}

#[tokio::test]
async fn a_day_of_which_something_was_erased_is_not_checked_and_the_ledger_keeps_its_money() {
    let mut world = World::begin(201).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    for _ in 0..20 {
        world.day(30, |score| score).await;
    }
    world.settle().await;
    let before = reconciled(&world).await;
    let predictions = world.test.lake.predictions("calls");
    let first =
        predictions.iter().find(|p| p.at >= before.from.unwrap() && p.variant != Variant::Shadow).unwrap();
    let admin = actor("root", Role::Admin);
    greenlight_app::erase::erase(world.app(), &admin, "calls", &first.unit).await.unwrap();
    let after = reconciled(&world).await;
    assert!(after.differences.is_empty() && after.erased_days >= 1, "{:?}", after.differences);
    assert_eq!(after.days + after.erased_days, before.days);
    let view = ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap();
    assert_eq!(view.gross.minor.to_string(), before.gross_minor.to_string());
}
