//! A value model that changes: what it counts from then on, what it decides, and history restated by it.

use greenlight_app::apply::apply;
use greenlight_app::posting::{self, PostingQuery, PostingView};
use greenlight_app::reconciliation::{Days, reconcile};
use greenlight_app::restatement::{Restate, Restated, restate};
use greenlight_app::value_version::history;
use greenlight_app::{AppError, Kind, ledger};
use greenlight_domain::ledger::PostingKind;
use greenlight_domain::manifest::Document;
use greenlight_domain::time::Micros;

use crate::world::{World, dana, olga};

/// Applies the initiative with another way to count; the one of the test kit is `10 * bought - 5` for a call.
async fn count_by(world: &World, expression: &str) -> Result<(), AppError> {
    let mut documents = greenlight_testkit::documents("00");
    documents.retain(|document| matches!(document, Document::Initiative { .. }));
    for document in &mut documents {
        if let Document::Initiative { spec, .. } = document {
            expression.clone_into(&mut spec.value.expression);
        }
    }
    apply(world.app(), &dana(), &documents).await.map(|_| ())
}

async fn settled_world(seed: u64) -> World {
    let mut world = World::begin(seed).await;
    let id = world.submit("honest").await.release.id;
    world.bring_to_rollout(&id).await;
    for _ in 0..20 {
        world.day(30, |score| score).await;
    }
    world.settle().await;
    world
}

fn asked(from: Option<Micros>, until: Option<Micros>, dry_run: bool) -> Restate {
    Restate { from, until, reason: "finance found a euro more a client".into(), dry_run }
}

async fn restated(world: &World, request: &Restate) -> Restated {
    restate(world.app(), &olga(), "calls", request).await.unwrap()
}

async fn gross(world: &World) -> i64 {
    ledger::of_endpoint(world.app(), &dana(), "calls").await.unwrap().gross.minor as i64
}

async fn assert_reconciled(world: &World) {
    let found = reconcile(world.app(), &olga(), "calls", Days::default()).await.unwrap();
    assert_eq!(found.differences, []);
}

const ONE_MORE: &str = "CASE WHEN decision = 'call' THEN 10 * outcomes.bought - 5 ELSE 0 END + 1";
const TWO_MORE: &str = "CASE WHEN decision = 'call' THEN 10 * outcomes.bought - 5 ELSE 0 END + 2";

#[tokio::test]
async fn history_is_restated_by_a_run_of_its_own_and_stays_reconciled() {
    let mut world = settled_world(300).await;
    let before = gross(&world).await;
    count_by(&world, ONE_MORE).await.unwrap();
    // Nothing that is booked changes by itself.
    assert_reconciled(&world).await;
    assert_eq!(gross(&world).await, before);

    let dry = restated(&world, &asked(None, None, true)).await;
    assert_eq!((dry.settle_run, dry.version, dry.gross_before_minor), (None, 2, before));
    assert_eq!(dry.gross_after_minor, before + 100 * dry.predictions as i64, "a euro for each");
    assert_eq!(gross(&world).await, before, "a dry run writes nothing");

    let done = restated(&world, &asked(None, None, false)).await;
    assert!(done.settle_run.is_some() && done.predictions > 300, "{done:?}");
    assert_eq!(Restated { settle_run: None, ..done.clone() }, dry);
    assert_eq!(gross(&world).await, done.gross_after_minor);
    assert_reconciled(&world).await;

    // Doing it again changes nothing, and late outcomes are counted by the newer version.
    let again = restated(&world, &asked(None, None, false)).await;
    assert_eq!(again.gross_before_minor, again.gross_after_minor);
    assert_eq!(again.incremental_before_minor, again.incremental_after_minor);
    for _ in 0..15 {
        world.day(30, |score| score).await;
    }
    world.settle().await;
    assert_reconciled(&world).await;
    let told = history(world.app(), &dana(), "calls").await.unwrap();
    let endpoint = &told.endpoints[0];
    assert_eq!((told.versions.len(), endpoint.decides_by, endpoint.restatements.len()), (2, 1, 2));
    assert_eq!(endpoint.restatements[0].gross_change_minor, 100 * done.predictions as i64);
    assert_eq!(endpoint.restatements[0].by, "olga");
}

#[tokio::test]
async fn a_part_of_history_is_restated_and_the_rest_keeps_its_version() {
    let world = settled_world(301).await;
    count_by(&world, ONE_MORE).await.unwrap();
    count_by(&world, TWO_MORE).await.unwrap();
    let all = restated(&world, &asked(None, None, true)).await;
    let (from, until) = (Micros::from_day(all.from.day() + 3), Micros::from_day(all.from.day() + 6));
    let part = restated(&world, &asked(Some(from), Some(until), false)).await;
    assert_eq!((part.from, part.until, part.version), (from, until, 3));
    assert!(part.predictions > 0 && part.predictions < all.predictions);
    assert_eq!(part.gross_after_minor - part.gross_before_minor, 200 * part.predictions as i64);
    assert_eq!(gross(&world).await, all.gross_before_minor + 200 * part.predictions as i64);
    assert_reconciled(&world).await;
}

#[tokio::test]
async fn a_newer_version_decides_once_a_release_was_judged_by_it() {
    let world = settled_world(302).await;
    // By this one nobody is worth a call.
    let dear = "CASE WHEN decision = 'call' THEN 10 * outcomes.bought - 500 ELSE 0 END";
    count_by(&world, dear).await.unwrap();
    let live = world.app().live.get("calls").unwrap();
    let mut worth = Vec::new();
    let row = greenlight_domain::frame::Frame::new(
        live.features.clone(),
        live.features
            .iter()
            .map(|field| match field.column_type {
                greenlight_domain::frame::ColumnType::Number => {
                    greenlight_domain::frame::Column::Number(vec![0.0])
                }
                greenlight_domain::frame::ColumnType::Text => {
                    greenlight_domain::frame::Column::Text(vec![None])
                }
            })
            .collect(),
    )
    .unwrap();
    live.value.worth(&row, 0, &mut worth).unwrap();
    let best = worth.iter().map(|both| both[1]).fold(f64::MIN, f64::max);
    assert!((best - 5.0).abs() < 1e-9, "still decides by the version of its release: {worth:?}");
    let next = world.submit("honest").await.release;
    assert_eq!(next.value_version, 2, "and the next release is judged by the newest");
}

#[tokio::test]
async fn what_it_refuses() {
    let world = World::begin(303).await;
    let too_early = restate(world.app(), &olga(), "calls", &asked(None, None, false)).await.unwrap_err();
    assert_eq!(too_early.kind(), Kind::Conflict);
    let world = settled_world(304).await;
    let silent = Restate { reason: " ".into(), ..asked(None, None, false) };
    let refused = restate(world.app(), &olga(), "calls", &silent).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
    let later = asked(Some(Micros::from_day(40_000)), None, false);
    let refused = restate(world.app(), &olga(), "calls", &later).await.unwrap_err();
    assert!(
        refused.kind() == Kind::Invalid && refused.to_string().contains("what is goes from"),
        "{refused}"
    );
    let refused = restate(world.app(), &dana(), "calls", &asked(None, None, true)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
    // What a release decides for and is judged by may not change under it.
    let other = count_by(&world, "outcomes.bought * features.none").await.unwrap_err();
    assert_eq!(other.kind(), Kind::Invalid, "{other}");
}

/// All postings of the endpoint, a few at a time.
async fn postings(world: &World, after_run: i64) -> Vec<PostingView> {
    let mut query = PostingQuery { after_run: Some(after_run), limit: Some(7), after: None };
    let mut all = Vec::new();
    for _ in 0..1_000 {
        let page = posting::list(world.app(), &dana(), "calls", &query).await.unwrap();
        assert!(page.postings.len() <= 7);
        all.extend(page.postings);
        let Some(next) = page.next else { return all };
        query = PostingQuery { after: Some(next), limit: Some(7), after_run: None };
    }
    panic!("the list of postings does not end");
}

#[tokio::test]
async fn postings_add_up_to_the_ledger_and_a_restatement_only_adds_some() {
    let world = settled_world(305).await;
    let before = postings(&world, 0).await;
    let sum = |postings: &[PostingView], kind: PostingKind| -> i64 {
        postings.iter().filter(|posting| posting.kind == kind).map(|posting| posting.amount_minor).sum()
    };
    assert_eq!(sum(&before, PostingKind::Gross), gross(&world).await);
    assert!(before.iter().any(|posting| posting.model.as_deref() == Some("honest@1")), "{:?}", before[0]);
    count_by(&world, ONE_MORE).await.unwrap();
    let done = restated(&world, &asked(None, None, false)).await;
    let after = postings(&world, 0).await;
    assert_eq!(after[..before.len()], before, "what was posted stays as it is");
    let added = postings(&world, done.settle_run.unwrap() - 1).await;
    assert_eq!(after[before.len()..], added);
    assert_eq!(sum(&added, PostingKind::Gross), done.gross_after_minor - done.gross_before_minor);
    let incremental = done.incremental_after_minor - done.incremental_before_minor;
    assert_eq!(sum(&added, PostingKind::Incremental), incremental);
    let refused = PostingQuery { after: Some("x".into()), ..PostingQuery::default() };
    let refused = posting::list(world.app(), &dana(), "calls", &refused).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
}
