//! Sealing: every acknowledged row reaches its table exactly once.

use std::collections::HashSet;
use std::sync::Arc;

use greenlight_app::lake::{Asked, Lake};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::prediction::{PredictionBatch, Variant};

use crate::events::{
    ENDPOINT, append, asked, batch, features, joined, lake, matured, outcome, prediction, segment_files,
};

#[tokio::test]
async fn a_crash_between_commit_and_deletion_does_not_double_rows() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    let ids = append(&first, 0..5).await;
    first.append_outcomes(ENDPOINT, vec![outcome(ids[0], 1.0)]).await.unwrap();
    let aside: Vec<_> =
        segment_files(root.path()).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    assert_eq!(aside.len(), 2);
    assert_eq!(first.seal(ENDPOINT).await.unwrap(), 1);
    drop(first);
    for (bytes, file) in aside {
        std::fs::write(file, bytes).unwrap();
    }
    let second = lake(root.path()).await;
    assert_eq!(second.prediction_ids(ENDPOINT).await.unwrap().len(), 5);
    assert_eq!(second.seal(ENDPOINT).await.unwrap(), 1);
    assert!(segment_files(root.path()).is_empty());
    assert_eq!(second.prediction_ids(ENDPOINT).await.unwrap().len(), 5);
    assert_eq!(matured(&second, 0, 10).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_during_seals_arrive_once_each() {
    let root = tempfile::tempdir().unwrap();
    let lake = Arc::new(lake(root.path()).await);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let lake = Arc::clone(&lake);
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for i in 0..500 {
                    ids.extend(append(lake.as_ref(), writer * 500 + i..writer * 500 + i + 1).await);
                }
                ids
            })
        })
        .collect();
    let sealer = {
        let lake = Arc::clone(&lake);
        tokio::spawn(async move {
            for _ in 0..12 {
                lake.seal(ENDPOINT).await.unwrap();
            }
        })
    };
    let mut expected = HashSet::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    sealer.await.unwrap();
    let durable = lake.prediction_ids(ENDPOINT).await.unwrap();
    assert_eq!(durable.len(), 4_000);
    assert_eq!(durable.into_iter().collect::<HashSet<_>>(), expected);
    lake.seal(ENDPOINT).await.unwrap();
    assert!(segment_files(root.path()).is_empty());
    let sealed = matured(lake.as_ref(), 0, 4_000).await;
    assert_eq!(sealed.len(), 4_000);
    assert_eq!(sealed.into_iter().map(|row| row.id).collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn nothing_new_means_no_commit() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    assert_eq!(lake.seal(ENDPOINT).await.unwrap(), 0);
    assert!(!root.path().join(ENDPOINT).join("predictions").join("_delta_log").exists());
    append(&lake, 0..1).await;
    lake.seal(ENDPOINT).await.unwrap();
    let log = root.path().join(ENDPOINT).join("predictions").join("_delta_log");
    let entries = std::fs::read_dir(&log).unwrap().count();
    lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(std::fs::read_dir(&log).unwrap().count(), entries);
}

#[tokio::test]
async fn a_feature_added_later_is_missing_in_older_rows() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    append(&lake, 0..2).await;
    lake.seal(ENDPOINT).await.unwrap();
    append(&lake, 2..3).await;
    let mut grown = features().to_vec();
    grown.push(Field::text("channel (new)"));
    grown.push(Field::number("debt"));
    let grown: Arc<[Field]> = grown.into();
    lake.open(ENDPOINT, Arc::clone(&grown)).await.unwrap();
    let old_request = vec![prediction(3, Variant::Champion)];
    lake.append_predictions(ENDPOINT, &batch(old_request)).await.unwrap();
    let request = batch(vec![prediction(4, Variant::Champion)]);
    let mut columns = request.features.columns().to_vec();
    columns.extend([Column::Text(vec![Some("web".into())]), Column::Number(vec![7.5])]);
    let features = Frame::new(Arc::clone(&grown), columns).unwrap();
    let request = PredictionBatch { features, predictions: request.predictions };
    lake.append_predictions(ENDPOINT, &request).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();

    let mut all = Frame::empty(Arc::clone(&grown));
    let everything = Asked { reads: (0..grown.len()).collect(), ..asked(0, 10) };
    for (_, features) in joined(&lake, &everything).await.unwrap() {
        all.append(&features).unwrap();
    }
    assert_eq!(all.numbers("age").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    let debts = all.numbers("debt").unwrap();
    assert!(debts[..4].iter().all(|d| d.is_nan()) && (debts[4] - 7.5).abs() < 1e-12);
    let channels: Vec<_> = all.texts("channel (new)").unwrap().iter().map(Option::as_deref).collect();
    assert_eq!(channels, [None, None, None, None, Some("web")]);
    assert_eq!(all.texts("job title").unwrap()[2].as_deref(), Some("admin."));
    assert!(all.numbers("emp.var.rate").unwrap()[3].is_nan());
}

#[tokio::test]
async fn an_endpoint_without_features_works_and_may_get_some() {
    let root = tempfile::tempdir().unwrap();
    let lake = greenlight_lake::LocalLake::open(root.path()).unwrap();
    lake.open(ENDPOINT, Vec::new().into()).await.unwrap();
    let bare = |seconds| PredictionBatch {
        features: Frame::empty(Vec::new().into()).take(&[0]),
        predictions: vec![prediction(seconds, Variant::Champion)],
    };
    lake.append_predictions(ENDPOINT, &bare(0)).await.unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(matured(&lake, 0, 10).await.len(), 1);
    lake.open(ENDPOINT, features()).await.unwrap();
    assert_eq!(matured(&lake, 0, 10).await.len(), 1);
    append(&lake, 2..3).await;
    lake.seal(ENDPOINT).await.unwrap();
    let rows = joined(&lake, &asked(0, 10)).await.unwrap();
    let ages: Vec<f64> = rows.iter().map(|(_, features)| features.numbers("age").unwrap()[0]).collect();
    assert!(ages[0].is_nan() && (ages[1] - 2.0).abs() < 1e-12, "{ages:?}");
}

#[tokio::test]
async fn a_torn_log_entry_is_sealed_again() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    append(&first, 0..2).await;
    first.seal(ENDPOINT).await.unwrap();
    append(&first, 2..4).await;
    let file = segment_files(root.path()).remove(0);
    let segment = std::fs::read(&file).unwrap();
    first.seal(ENDPOINT).await.unwrap();
    drop(first);
    // The power went after the entry got its name and before its bytes were durable.
    std::fs::write(&file, segment).unwrap();
    let log = root.path().join(ENDPOINT).join("predictions").join("_delta_log");
    let last = std::fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .max()
        .unwrap();
    std::fs::write(last, "").unwrap();
    let second = lake(root.path()).await;
    assert_eq!(second.prediction_ids(ENDPOINT).await.unwrap().len(), 4);
    second.seal(ENDPOINT).await.unwrap();
    assert_eq!(matured(&second, 0, 10).await.len(), 4);
}

#[tokio::test]
async fn a_seal_that_failed_leaves_the_segments_and_can_be_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    append(&lake, 0..3).await;
    let table = root.path().join(ENDPOINT).join("predictions");
    std::fs::write(&table, "in the way").unwrap();
    assert!(lake.seal(ENDPOINT).await.is_err());
    assert_eq!(segment_files(root.path()).len(), 1);
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), 3);
    std::fs::remove_file(&table).unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(matured(&lake, 0, 10).await.len(), 3);
    // An entry that another writer put in the way fails the commit too; nothing is doubled afterwards.
    append(&lake, 3..5).await;
    let entry = table.join("_delta_log").join(format!("{:020}.json", 2));
    std::fs::create_dir(&entry).unwrap();
    assert!(lake.seal(ENDPOINT).await.is_err());
    std::fs::remove_dir(&entry).unwrap();
    lake.seal(ENDPOINT).await.unwrap();
    assert_eq!(matured(&lake, 0, 10).await.len(), 5);
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), 5);
}
