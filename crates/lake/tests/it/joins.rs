//! The joins that settling and gates read.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenlight_app::lake::{Asked, JoinedBatch, Lake, LakeError};
use greenlight_domain::frame::Column;
use greenlight_domain::prediction::Variant;
use greenlight_domain::time::Micros;

use crate::events::{ENDPOINT, after, append, asked, batch, joined, lake, matured, outcome, prediction};

#[tokio::test]
async fn rows_come_whatever_order_they_were_logged_in() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    for seconds in [5, 1, 9] {
        append(&lake, seconds..seconds + 1).await;
        lake.seal(ENDPOINT).await.unwrap();
    }
    let ats: Vec<_> = matured(&lake, 0, 100).await.into_iter().map(|row| row.at).collect();
    assert_eq!(ats, [after(1), after(5), after(9)]);
    let always = Asked { from: Micros(i64::MIN), until: Micros(i64::MAX), ..asked(0, 0) };
    assert_eq!(joined(&lake, &always).await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_outcome_may_come_before_its_prediction_twice_and_under_another_name() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let early = prediction(1, Variant::Champion);
    lake.append_outcomes(ENDPOINT, vec![outcome(early.id, 4.0)]).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    assert!(matured(&lake, 0, 10).await.is_empty());
    let mut other = outcome(early.id, 99.0);
    other.name = "it's \"complained\"".into();
    lake.append_predictions(ENDPOINT, &batch(vec![early.clone()])).await.unwrap();
    lake.append_outcomes(ENDPOINT, vec![other.clone(), outcome(early.id, 4.0)]).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let rows = matured(&lake, 0, 10).await;
    assert_eq!((rows.len(), rows[0].outcome), (1, Some(4.0)));
    let other = Asked { outcome: other.name.to_string(), ..asked(0, 10) };
    assert_eq!(joined(&lake, &other).await.unwrap()[0].0.outcome, Some(99.0));
}

#[tokio::test]
async fn a_prediction_that_was_appended_twice_is_joined_once_but_both_ids_are_shown() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let retried = batch(vec![prediction(1, Variant::Champion)]);
    for _ in 0..2 {
        lake.append_predictions(ENDPOINT, &retried).await.unwrap();
        lake.seal(ENDPOINT).await.unwrap();
    }
    // Rare enough that ids are remembered only after it was noticed.
    let noticed = joined(&lake, &asked(0, 10)).await.unwrap_err();
    assert!(matches!(noticed, LakeError::Repeated(id) if id == retried.predictions[0].id), "{noticed}");
    let distinct = Asked { distinct: true, ..asked(0, 10) };
    assert_eq!(joined(&lake, &distinct).await.unwrap().len(), 1);
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), 2);
}

#[tokio::test]
async fn many_rows_come_in_batches_with_their_features() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let ids = append(&lake, 0..20_000).await;
    lake.append_outcomes(ENDPOINT, ids.iter().step_by(3).map(|&id| outcome(id, 1.0)).collect())
        .await
        .unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let rows = joined(&lake, &asked(0, 20_000)).await.unwrap();
    assert_eq!(rows.len(), 20_000);
    for (next, (row, features)) in rows.iter().enumerate() {
        assert_eq!((row.id, row.outcome), (ids[next], (next % 3 == 0).then_some(1.0)));
        assert!((features.numbers("age").unwrap()[0] - next as f64).abs() < 1e-9);
    }
}

#[tokio::test]
async fn only_the_features_that_are_read_are_filled_in() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    append(&lake, 4..5).await;
    lake.seal(ENDPOINT).await.unwrap();
    let only = Asked { reads: [1].into(), ..asked(0, 10) };
    let features = joined(&lake, &only).await.unwrap().remove(0).1;
    assert_eq!(features.columns()[1], Column::Text(vec![Some("admin.".into())]));
    assert!(features.numbers("age").unwrap()[0].is_nan());
    let none = Asked { reads: [].into(), ..asked(0, 10) };
    assert_eq!(joined(&lake, &none).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_taker_that_wants_no_more_gets_no_more() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    append(&lake, 0..30_000).await;
    lake.seal(ENDPOINT).await.unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let take = move |_: JoinedBatch| {
        counted.fetch_add(1, Ordering::SeqCst);
        ControlFlow::Break(())
    };
    lake.joined(ENDPOINT, &asked(0, 30_000), Arc::new(take)).await.unwrap();
    // One a thread at most.
    assert!((1..=2).contains(&seen.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn outcomes_of_later_segments_do_not_count_yet() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let ids = append(&lake, 0..2).await;
    lake.append_outcomes(ENDPOINT, vec![outcome(ids[0], 1.0)]).await.unwrap();
    let first = lake.seal(ENDPOINT).await.unwrap();
    lake.append_outcomes(ENDPOINT, vec![outcome(ids[0], 2.0), outcome(ids[1], 3.0)]).await.unwrap();
    let second = lake.seal(ENDPOINT).await.unwrap();
    for (segment, expected) in
        [(first - 1, [None, None]), (first, [Some(1.0), None]), (second, [Some(2.0), Some(3.0)])]
    {
        let rows = joined(&lake, &Asked { segment, ..asked(0, 10) }).await.unwrap();
        assert_eq!([rows[0].0.outcome, rows[1].0.outcome], expected);
    }
}

#[tokio::test]
async fn fresh_outcomes_come_with_what_they_were_before() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let ids = append(&lake, 0..6).await;
    lake.append_outcomes(ENDPOINT, vec![outcome(ids[0], 1.0), outcome(ids[1], 1.0)]).await.unwrap();
    let settled = lake.seal(ENDPOINT).await.unwrap();
    let fresh = Asked { since: Some(settled), ..asked(0, 4) };
    assert!(joined(&lake, &fresh).await.unwrap().is_empty());

    let late = [outcome(ids[1], 0.0), outcome(ids[2], 7.0), outcome(ids[5], 1.0)];
    lake.append_outcomes(ENDPOINT, late.to_vec()).await.unwrap();
    lake.append_outcomes(ENDPOINT, vec![outcome(ids[2], 8.0)]).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let rows = joined(&lake, &fresh).await.unwrap();
    let found: Vec<_> = rows.iter().map(|(row, _)| (row.id, row.outcome, row.outcome_before)).collect();
    assert_eq!(found, [(ids[1], Some(0.0), Some(1.0)), (ids[2], Some(8.0), None)]);
    let ages: Vec<_> = rows.iter().map(|(_, features)| features.numbers("age").unwrap()[0]).collect();
    assert_eq!(ages, [1.0, 2.0]);
}

#[tokio::test]
async fn a_shadow_is_compared_with_the_live_answer() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let live: Vec<_> = (0..3).map(|s| prediction(s, Variant::Champion)).collect();
    let shadows: Vec<_> = live
        .iter()
        .zip(["call", "wait", "call"])
        .map(|(live, decision)| {
            let mut shadow = prediction((live.at.0 - after(0).0) / 1_000_000, Variant::Shadow);
            shadow.mirrors = Some(live.id);
            shadow.decision = decision.into();
            shadow.release = Some("release-2".into());
            if live.at == after(2) {
                shadow.error = Some("no answer".into());
            }
            shadow
        })
        .collect();
    lake.append_predictions(ENDPOINT, &batch(live)).await.unwrap();
    lake.append_predictions(ENDPOINT, &batch(shadows)).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let rows = lake.shadow_rows(ENDPOINT, "release-2").await.unwrap();
    let seen: Vec<_> = rows.iter().map(|r| (r.disagrees, r.failed, r.latency_us)).collect();
    assert_eq!(seen, [(false, false, 120), (true, false, 120), (false, true, 120)]);
    assert!((rows[0].probability - 0.25).abs() < 1e-12 && rows[2].probability.is_nan());
    assert!(lake.shadow_rows(ENDPOINT, "release-9").await.unwrap().is_empty());
}

#[tokio::test]
async fn traffic_counts_what_decided() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    assert!(lake.traffic(ENDPOINT, None).await.unwrap().is_empty());
    let mut rows: Vec<_> = (0..100).map(|s| prediction(s, Variant::Champion)).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row.latency_us = i as i64 + 1;
        row.error = (i < 4).then(|| "timeout".into());
        if i >= 60 {
            row.release = None;
        }
    }
    rows.push(prediction(200, Variant::Holdout));
    rows.push(prediction(300, Variant::Shadow));
    lake.append_predictions(ENDPOINT, &batch(rows)).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    let traffic = lake.traffic(ENDPOINT, None).await.unwrap();
    assert_eq!(traffic.len(), 2);
    let champion = &traffic[0];
    assert_eq!((champion.variant, champion.predictions, champion.errors), (Variant::Champion, 100, 4));
    assert_eq!(champion.newest, after(99));
    // The latencies are 1 to 100, so the median lies at 50.5 and the 99th percentile near 99.
    assert!((champion.p50_latency_us - 50.5).abs() < 1.0, "{}", champion.p50_latency_us);
    assert!((champion.p99_latency_us - 99.0).abs() < 1.5, "{}", champion.p99_latency_us);
    assert_eq!((traffic[1].variant, traffic[1].predictions), (Variant::Holdout, 1));
    let of_release = lake.traffic(ENDPOINT, Some("release-1")).await.unwrap();
    assert_eq!((of_release[0].predictions, of_release[0].newest), (60, after(59)));
}

#[tokio::test]
async fn an_endpoint_that_nobody_opened_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let error = lake.traffic("mails", None).await.unwrap_err();
    assert!(matches!(&error, LakeError::Storage(m) if m.contains("'mails'")), "{error}");
}

/// Statistics skip the files of other days: a query works although those files are gone.
#[tokio::test]
async fn a_query_opens_only_the_files_of_its_time() {
    const DAY: i64 = 86_400;
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    for day in 0..2 {
        let ids = append(&lake, day * DAY..day * DAY + 5).await;
        lake.append_outcomes(ENDPOINT, vec![outcome(ids[0], 1.0)]).await.unwrap();
        lake.seal(ENDPOINT).await.unwrap();
    }
    for table in ["predictions", "outcomes"] {
        let folder = root.path().join(ENDPOINT).join(table);
        let log = std::fs::read_to_string(folder.join("_delta_log").join(format!("{:020}.json", 2))).unwrap();
        let entries = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let added: Vec<String> =
            entries.filter_map(|entry| entry["add"]["path"].as_str().map(str::to_owned)).collect();
        assert_eq!(added.len(), 1);
        std::fs::remove_file(folder.join(&added[0])).unwrap();
    }
    let rows = matured(&lake, 0, DAY).await;
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0].outcome, Some(1.0));
    assert!(joined(&lake, &asked(DAY, 2 * DAY)).await.is_err());
}
