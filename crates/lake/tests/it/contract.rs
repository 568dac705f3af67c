//! The contract of the trait, written against `&dyn Lake` so that the fake can be held to it too.

use greenlight_app::lake::{Lake, UnitAt};
use greenlight_domain::prediction::{Prediction, Variant};

use crate::events::{ENDPOINT, after, append, batch, features, lake, matured, outcome, prediction};

/// What any lake must do with one endpoint that is open and empty.
pub(crate) async fn contract(lake: &dyn Lake) {
    appends_are_seen_before_and_after_sealing(lake).await;
    the_latest_outcome_received_wins(lake).await;
    a_prediction_comes_back_as_it_went_in(lake).await;
    the_newest_prediction_of_a_unit_is_found_at_any_moment(lake).await;
}

async fn appends_are_seen_before_and_after_sealing(lake: &dyn Lake) {
    let ids = append(lake, 0..3).await;
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap(), ids);
    assert!(matured(lake, 0, 3).await.is_empty(), "joins see sealed rows only");
    lake.seal(ENDPOINT).await.unwrap();
    let sealed: Vec<_> = matured(lake, 0, 3).await.into_iter().map(|row| row.id).collect();
    assert_eq!(sealed, ids);
    assert_eq!(matured(lake, 1, 2).await.len(), 1, "from is included, until is not");
    lake.open(ENDPOINT, features()).await.unwrap();
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), 3, "opening again changes nothing");
}

async fn the_latest_outcome_received_wins(lake: &dyn Lake) {
    let id = append(lake, 10..11).await[0];
    lake.append_outcomes(ENDPOINT, vec![outcome(id, 1.0), outcome(id, 2.0)]).await.unwrap();
    let first = lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(matured(lake, 10, 11).await[0].outcome, Some(2.0));
    let mut earlier = outcome(id, 3.0);
    earlier.at = after(1);
    lake.append_outcomes(ENDPOINT, vec![earlier]).await.unwrap();
    let second = lake.seal(ENDPOINT).await.unwrap();
    assert!(second > first);
    assert_eq!(matured(lake, 10, 11).await[0].outcome, Some(3.0), "received last, whenever it happened");
}

async fn a_prediction_comes_back_as_it_went_in(lake: &dyn Lake) {
    let mut failed = prediction(20, Variant::Holdout);
    failed.probability = f64::NAN;
    failed.release = None;
    failed.champion_decision = None;
    failed.error = Some("model timed out".into());
    lake.append_predictions(ENDPOINT, &batch(vec![failed.clone(), prediction(20, Variant::Shadow)]))
        .await
        .unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let rows = matured(lake, 20, 21).await;
    assert_eq!(rows.len(), 1, "a shadow decides nothing");
    let row = &rows[0];
    assert_eq!((row.id, row.at, row.variant), (failed.id, failed.at, Variant::Holdout));
    assert!(row.probability.is_nan() && row.failed);
    assert_eq!((row.release.as_deref(), row.champion_decision.as_deref()), (None, None));
    assert_eq!((row.decision.as_ref(), row.outcome), ("call", None));
    assert!((row.champion_propensity - 0.9).abs() < 1e-12);
}

async fn the_newest_prediction_of_a_unit_is_found_at_any_moment(lake: &dyn Lake) {
    let of = |seconds, unit: &str, variant| Prediction { unit: unit.into(), ..prediction(seconds, variant) };
    let (first, second) = (of(100, "it's c1", Variant::Champion), of(130, "it's c1", Variant::Holdout));
    let logged = vec![
        first.clone(),
        second.clone(),
        of(131, "it's c1", Variant::Shadow),
        of(110, "c2", Variant::Champion),
    ];
    lake.append_predictions(ENDPOINT, &batch(logged)).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let ask = |unit: &str, seconds| UnitAt { unit: unit.into(), at: after(seconds) };
    let asked = [
        ask("it's c1", 100),
        ask("nobody", 120),
        ask("it's c1", 129),
        ask("it's c1", 140),
        ask("it's c1", 99),
        ask("it's c1", 191),
        ask("it's c1", 140),
    ];
    let found = lake.newest_predictions(ENDPOINT, &asked, 60_000_000).await.unwrap();
    let (first, second) = (Some(first.id), Some(second.id));
    assert_eq!(found, [first, None, first, second, None, None, second]);
    assert!(lake.newest_predictions(ENDPOINT, &[], 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_local_lake_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    contract(&lake(root.path()).await).await;
}
