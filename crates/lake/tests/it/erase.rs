//! Deleting: nothing of an erased unit remains on disk, and what was sealed before stays sealed once.

use std::path::Path;

use greenlight_app::lake::{Erased, Lake};
use greenlight_domain::prediction::Variant;

use crate::events::{ENDPOINT, after, batch, lake, matured, outcome, prediction};

/// Files below `folder` that hold those bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn an_erased_unit_leaves_nothing_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let mut rows: Vec<_> = (1..=40).map(|second| prediction(second, Variant::Champion)).collect();
    rows[7].unit = "anna-maria-4711".into();
    rows[21].unit = "anna-maria-4711".into();
    let (hers, other) = (rows[7].id, rows[8].id);
    lake.append_predictions(ENDPOINT, &batch(rows.clone())).await.unwrap();
    lake.append_outcomes(ENDPOINT, vec![outcome(hers, 1.0), outcome(other, 1.0)]).await.unwrap();
    // One of her predictions is sealed, another one waits in a segment.
    lake.seal(ENDPOINT).await.unwrap();
    let mut late = prediction(41, Variant::Holdout);
    late.unit = "anna-maria-4711".into();
    lake.append_predictions(ENDPOINT, &batch(vec![late])).await.unwrap();
    assert!(!files_with(folder.path(), b"anna-maria-4711").is_empty());
    assert_eq!(lake.days_of_unit(ENDPOINT, "anna-maria-4711").await.unwrap(), [after(0).day()]);
    let erased = lake.erase(ENDPOINT, "anna-maria-4711").await.unwrap();
    assert_eq!(erased, Erased { predictions: 3, outcomes: 1 });
    assert_eq!(files_with(folder.path(), b"anna-maria-4711"), Vec::<String>::new());
    let left = matured(&lake, 0, 100).await;
    assert_eq!(left.len(), 38);
    assert_eq!(left.iter().filter(|row| row.outcome.is_some()).count(), 1);
    assert_eq!(lake.erase(ENDPOINT, "anna-maria-4711").await.unwrap(), Erased::default());
    assert_eq!(lake.erase(ENDPOINT, "' OR 1=1 --").await.unwrap(), Erased::default());
}

#[tokio::test]
async fn a_table_goes_on_after_a_deletion_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let lake = lake(folder.path()).await;
        for second in 0..10 {
            lake.append_predictions(ENDPOINT, &batch(vec![prediction(second, Variant::Champion)]))
                .await
                .unwrap();
            lake.seal(ENDPOINT).await.unwrap();
        }
        let erased = lake.delete_before(ENDPOINT, after(4)).await.unwrap();
        assert_eq!(erased.predictions, 4);
    }
    let lake = lake(folder.path()).await;
    lake.append_predictions(ENDPOINT, &batch(vec![prediction(50, Variant::Champion)])).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), 7);
    assert_eq!(matured(&lake, 0, 100).await.len(), 7);
}
