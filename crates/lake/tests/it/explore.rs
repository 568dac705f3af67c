//! Questions of people to the log, on data small enough to be answered by hand.

use greenlight_app::lake::log::{LogFilter, Window};
use greenlight_app::lake::{Lake, LakeError};
use greenlight_domain::frame::Column;
use greenlight_domain::prediction::{Prediction, Variant};
use greenlight_domain::time::Micros;
use greenlight_lake::LocalLake;

use crate::events::{ENDPOINT, after, append, batch, lake, outcome, prediction};

const DAY: i64 = 86_400;

fn window(from: i64, until: i64) -> Window {
    Window { from: after(from), until: after(until) }
}

async fn seal(lake: &LocalLake, predictions: Vec<Prediction>) {
    lake.append_predictions(ENDPOINT, &batch(predictions)).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
}

/// What `change` makes of a champion's prediction at that second.
fn changed(seconds: i64, change: impl FnOnce(&mut Prediction)) -> Prediction {
    let mut made = prediction(seconds, Variant::Champion);
    change(&mut made);
    made
}

async fn units(lake: &LocalLake, change: impl FnOnce(&mut LogFilter)) -> Vec<String> {
    let mut filter = LogFilter::all(window(0, 100), 100);
    change(&mut filter);
    lake.log_page(ENDPOINT, &filter).await.unwrap().into_iter().map(|row| row.unit).collect()
}

#[tokio::test]
async fn every_filter_keeps_what_it_names() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    assert_eq!(lake.log_extent(ENDPOINT).await.unwrap(), None);
    let rows = vec![
        changed(1, |p| p.probability = 0.1),
        changed(2, |p| p.probability = 0.5),
        changed(3, |p| p.decision = "skip".into()),
        changed(4, |p| p.model = Some("uplift@4".into())),
        changed(5, |p| {
            p.error = Some("timed out".into());
            p.probability = f64::NAN;
        }),
        prediction(6, Variant::Holdout),
        prediction(200, Variant::Champion),
    ];
    seal(&lake, rows).await;
    let extent = lake.log_extent(ENDPOINT).await.unwrap().unwrap();
    assert_eq!((extent.oldest, extent.newest, extent.predictions), (after(1), after(200), 7));
    let check = async |change: &dyn Fn(&mut LogFilter), expected: &[&str]| {
        assert_eq!(units(&lake, |filter| change(filter)).await, expected);
    };
    check(&|_| (), &["unit-6", "unit-5", "unit-4", "unit-3", "unit-2", "unit-1"]).await;
    check(&|f| f.unit = Some("unit-3".into()), &["unit-3"]).await;
    check(&|f| f.variant = Some("holdout".into()), &["unit-6"]).await;
    check(&|f| f.decision = Some("skip".into()), &["unit-3"]).await;
    check(&|f| f.model = Some("uplift@4".into()), &["unit-4"]).await;
    check(&|f| f.failed = Some(true), &["unit-5"]).await;
    check(&|f| f.failed = Some(false), &["unit-6", "unit-4", "unit-3", "unit-2", "unit-1"]).await;
    check(&|f| f.least = Some(0.3), &["unit-2"]).await;
    check(&|f| f.most = Some(0.1), &["unit-1"]).await;
    check(&|f| f.window = window(2, 4), &["unit-3", "unit-2"]).await;
    check(&|f| f.unit = Some("x' OR '1'='1".into()), &[]).await;
}

#[tokio::test]
async fn pages_hold_every_prediction_once_also_where_event_times_are_equal() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    // Two clients at each second, and one of them sent everything twice.
    let mut rows: Vec<Prediction> = (0..10).map(|s| prediction(s / 2, Variant::Champion)).collect();
    seal(&lake, rows.clone()).await;
    seal(&lake, rows[..5].to_vec()).await;
    rows.sort_by_key(|p| std::cmp::Reverse((p.at, p.id)));
    let mut filter = LogFilter::all(window(0, 100), 3);
    let mut seen = Vec::new();
    for _ in 0..10 {
        let page = lake.log_page(ENDPOINT, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.at, last.id));
        seen.extend(page.into_iter().map(|row| row.id));
    }
    assert_eq!(seen, rows.iter().map(|p| p.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_prediction_comes_with_everything_that_became_of_it() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let live = prediction(4, Variant::Champion);
    let mut shadow = prediction(4, Variant::Shadow);
    shadow.mirrors = Some(live.id);
    lake.append_outcomes(ENDPOINT, vec![outcome(live.id, 0.0), outcome(live.id, 1.0)]).await.unwrap();
    seal(&lake, vec![live.clone(), shadow.clone(), prediction(4, Variant::Champion)]).await;
    let entry = lake.log_entry(ENDPOINT, live.id).await.unwrap().unwrap();
    assert_eq!((entry.row.id, entry.row.unit.as_str()), (live.id, "unit-4"));
    assert_eq!(entry.features.columns()[0], Column::Number(vec![4.0]));
    assert_eq!(entry.outcomes.iter().map(|o| o.value).collect::<Vec<_>>(), [0.0, 1.0]);
    assert_eq!(entry.mirrors.iter().map(|m| m.id).collect::<Vec<_>>(), [shadow.id]);
    assert!(entry.more.contains(&("route_version".to_owned(), "12".to_owned())), "{:?}", entry.more);
    let unknown = prediction(4, Variant::Champion).id;
    assert!(lake.log_entry(ENDPOINT, unknown).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sample_is_the_same_twice_and_leaves_shadows_out() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    append(&lake, 0..2_000).await;
    seal(&lake, (0..50).map(|s| prediction(s, Variant::Shadow)).collect()).await;
    let all = lake.log_sample(ENDPOINT, window(0, 10), 100).await.unwrap();
    assert_eq!((all.population, all.features.rows()), (10, 10));
    let some = lake.log_sample(ENDPOINT, window(0, 2_000), 200).await.unwrap();
    assert_eq!(some.population, 2_000);
    // A binomial count: 200 expected, five standard deviations are 67.
    assert!((133..267).contains(&some.features.rows()), "{}", some.features.rows());
    assert_eq!(some.probabilities.len(), some.features.rows());
    assert_eq!(some.models[0].as_deref(), Some("uplift@3"));
    // No half of the window is favoured: a tenth of each thousand, four standard deviations are 38.
    let early = some.features.numbers("age").unwrap().iter().filter(|age| **age < 1_000.0).count();
    assert!((62..138).contains(&early), "{early}");
    assert_eq!(lake.log_sample(ENDPOINT, window(0, 2_000), 200).await.unwrap().features, some.features);
    let none = lake.log_sample(ENDPOINT, window(5_000, 6_000), 200).await.unwrap();
    assert_eq!((none.population, none.features.rows()), (0, 0));
}

#[tokio::test]
async fn traffic_is_counted_by_stretch_and_variant() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let mut rows: Vec<Prediction> = (0..20).map(|s| changed(s, |p| p.latency_us = 100 + s * 10)).collect();
    rows[3].error = Some("timed out".into());
    rows.push(prediction(15, Variant::Holdout));
    rows.push(prediction(99, Variant::Champion));
    seal(&lake, rows).await;
    let buckets = lake.traffic_over_time(ENDPOINT, window(0, 30), 10_000_000).await.unwrap();
    let counts: Vec<_> =
        buckets.iter().map(|b| (b.at, b.variant.as_str(), b.predictions, b.errors)).collect();
    assert_eq!(
        counts,
        [(after(0), "champion", 10, 1), (after(10), "champion", 10, 0), (after(10), "holdout", 1, 0),]
    );
    // The latencies of the first stretch are 100 to 190: the median is 145.
    assert!((buckets[0].p50_latency_us - 145.0).abs() <= 10.0, "{}", buckets[0].p50_latency_us);
    assert!((180.0..=190.0).contains(&buckets[0].p99_latency_us), "{}", buckets[0].p99_latency_us);
    let refused = lake.traffic_over_time(ENDPOINT, window(0, 30), 1).await.unwrap_err();
    assert!(matches!(refused, LakeError::Schema(_)), "{refused}");
}

#[tokio::test]
async fn the_largest_disagreement_comes_first() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    // Second, live probability, shadow probability, live and shadow decision, error of the shadow.
    let cases = [
        (1, 0.5, 0.5, "call", "call", None),
        (2, 0.5, 0.9, "call", "call", None),
        (3, 0.5, 0.4, "call", "skip", None),
        (4, f64::NAN, 0.4, "call", "skip", None),
        (5, 0.1, 0.9, "call", "skip", Some("timed out")),
    ];
    let mut rows = Vec::new();
    for (second, live_p, shadow_p, live_decision, shadow_decision, error) in cases {
        let live = changed(second, |p| {
            p.probability = live_p;
            p.champion_decision = Some(live_decision.into());
        });
        let mut shadow = prediction(second, Variant::Shadow);
        shadow.mirrors = Some(live.id);
        shadow.probability = shadow_p;
        shadow.decision = shadow_decision.into();
        shadow.error = error.map(Into::into);
        rows.extend([live, shadow]);
    }
    seal(&lake, rows).await;
    let found = lake.disagreements(ENDPOINT, window(0, 100), 20).await.unwrap();
    assert_eq!((found.compared, found.decisions_differ), (4, 2));
    // The differences that are known: 0, 0.4 and 0.1.
    assert!((found.mean_difference.unwrap() - 0.5 / 3.0).abs() < 1e-12);
    let order: Vec<_> = found.top.iter().map(|d| d.unit.as_str()).collect();
    assert_eq!(order, ["unit-2", "unit-3", "unit-4"]);
    assert_eq!(found.top[2].live_probability, None);
    assert_eq!(lake.disagreements(ENDPOINT, window(0, 100), 1).await.unwrap().top.len(), 1);
    assert_eq!(lake.disagreements(ENDPOINT, window(50, 100), 1).await.unwrap().compared, 0);
}

/// Statistics skip the files of other days: every question works although those files are gone.
#[tokio::test]
async fn a_question_opens_only_the_files_of_its_window() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let mut ids = Vec::new();
    for day in 0..2 {
        ids.extend(append(&lake, day * DAY..day * DAY + 5).await);
        lake.seal(ENDPOINT).await.unwrap();
    }
    let folder = root.path().join(ENDPOINT).join("predictions");
    let log = std::fs::read_to_string(folder.join("_delta_log").join(format!("{:020}.json", 2))).unwrap();
    let entries = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let added: Vec<String> =
        entries.filter_map(|entry| entry["add"]["path"].as_str().map(str::to_owned)).collect();
    assert_eq!(added.len(), 1);
    std::fs::remove_file(folder.join(&added[0])).unwrap();
    let first = window(0, DAY);
    assert_eq!(lake.log_page(ENDPOINT, &LogFilter::all(first, 100)).await.unwrap().len(), 5);
    assert!(lake.log_entry(ENDPOINT, ids[0]).await.unwrap().is_some());
    assert_eq!(lake.log_sample(ENDPOINT, first, 100).await.unwrap().population, 5);
    assert_eq!(lake.traffic_over_time(ENDPOINT, first, DAY * 1_000_000).await.unwrap().len(), 1);
    assert_eq!(lake.disagreements(ENDPOINT, first, 5).await.unwrap().compared, 0);
    // The extent is read from the statistics of the files, not from the files.
    let extent = lake.log_extent(ENDPOINT).await.unwrap().unwrap();
    assert_eq!((extent.predictions, extent.newest), (10, Micros(after(DAY + 4).0)));
    let whole = window(0, 2 * DAY);
    assert!(lake.log_page(ENDPOINT, &LogFilter::all(whole, 100)).await.is_err());
}
