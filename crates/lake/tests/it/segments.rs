//! What was acknowledged survives; what was not is never seen.

use greenlight_app::lake::{Lake, LakeError};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::prediction::{PredictionBatch, Variant};
use greenlight_lake::{Limits, LocalLake};

use crate::events::{
    ENDPOINT, append, batch, features, id_at, lake, lake_with, outcome, prediction, segment_files,
};

#[tokio::test]
async fn an_acknowledged_prediction_is_there_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    let ids = append(&first, 0..3).await;
    assert_eq!(first.prediction_ids(ENDPOINT).await.unwrap(), ids);
    drop(first);
    let second = lake(root.path()).await;
    assert_eq!(second.prediction_ids(ENDPOINT).await.unwrap(), ids);
}

#[tokio::test]
async fn every_whole_frame_survives_a_cut_anywhere() {
    let source = tempfile::tempdir().unwrap();
    let first = lake(source.path()).await;
    let mut ids = Vec::new();
    for i in 0..3 {
        ids.extend(append(&first, i..i + 1).await);
    }
    drop(first);
    let file = segment_files(source.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    // After the magic and the schema's frame, one frame an append: length, checksum, payload.
    let mut ends = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        at += 8 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends.remove(0);
    assert_eq!(ends.len(), 3);
    assert_eq!(ends[2], bytes.len());
    let root = tempfile::tempdir().unwrap();
    let segments = root.path().join(ENDPOINT).join("segments");
    // Every byte is tried on the reader alone, in a unit test; here the places where something ends.
    let near = |cut: &usize| cut.is_multiple_of(97) || ends.iter().any(|end| end.abs_diff(*cut) < 3);
    for cut in (0..=bytes.len()).filter(near) {
        std::fs::create_dir_all(&segments).unwrap();
        std::fs::write(segments.join(file.file_name().unwrap()), &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let lake = lake(root.path()).await;
        assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap(), ids[..whole], "cut at byte {cut}");
        drop(lake);
        std::fs::remove_dir_all(root.path().join(ENDPOINT)).unwrap();
    }
}

#[tokio::test]
async fn a_recovered_segment_is_sealed_and_numbers_go_on() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    let mut ids = append(&first, 0..2).await;
    first.append_outcomes(ENDPOINT, vec![outcome(ids[0], 1.0)]).await.unwrap();
    drop(first);
    for file in segment_files(root.path()) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.extend_from_slice(&[9, 0, 0, 0, 1, 2, 3]);
        std::fs::write(&file, bytes).unwrap();
    }
    let second = lake(root.path()).await;
    assert_eq!(second.seal(ENDPOINT).await.unwrap(), 1);
    assert!(segment_files(root.path()).is_empty());
    ids.extend(append(&second, 2..3).await);
    second.append_outcomes(ENDPOINT, vec![outcome(ids[2], 1.0)]).await.unwrap();
    drop(second);
    let third = lake(root.path()).await;
    assert_eq!(third.seal(ENDPOINT).await.unwrap(), 2);
    assert_eq!(third.prediction_ids(ENDPOINT).await.unwrap().len(), 3);
}

#[tokio::test]
async fn segments_rotate_by_size_and_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake_with(root.path(), Limits { segment_bytes: 1_024, ..Limits::default() }).await;
    let mut ids = Vec::new();
    for i in 0..30 {
        ids.extend(append(&lake, i..i + 1).await);
    }
    assert!(segment_files(root.path()).len() > 2);
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap(), ids);
    lake.seal(ENDPOINT).await.unwrap();
    let mut sealed = lake.prediction_ids(ENDPOINT).await.unwrap();
    sealed.sort();
    ids.sort();
    assert_eq!(sealed, ids);
}

#[tokio::test]
async fn a_full_queue_is_answered_at_once() {
    let root = tempfile::tempdir().unwrap();
    let limits = Limits { queued_requests: 1, group_rows: 1, ..Limits::default() };
    let lake = lake_with(root.path(), limits).await;
    let requests = (0..200).map(|s| {
        let lake = &lake;
        async move { lake.append_predictions(ENDPOINT, &batch(vec![prediction(s, Variant::Champion)])).await }
    });
    let answers = futures::future::join_all(requests).await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty() && accepted > 0);
    assert!(refused.iter().all(|e| matches!(e, LakeError::Unavailable(m) if m.contains("try again"))));
    assert_eq!(lake.prediction_ids(ENDPOINT).await.unwrap().len(), accepted);
}

#[tokio::test]
async fn events_that_do_not_fit_are_refused_whole() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let unknown: std::sync::Arc<[Field]> = [Field::number("debt")].into();
    let features = Frame::empty(unknown).take(&[]);
    let predictions = vec![prediction(0, Variant::Champion)];
    let short = PredictionBatch { features: features.clone(), predictions: predictions.clone() };
    assert!(matches!(lake.append_predictions(ENDPOINT, &short).await, Err(LakeError::Schema(_))));
    let none = PredictionBatch { features, predictions: Vec::new() };
    lake.append_predictions(ENDPOINT, &none).await.unwrap();
    assert!(lake.append_outcomes("unheard-of", vec![outcome(id_at(0), 1.0)]).await.is_err());
    assert!(lake.prediction_ids(ENDPOINT).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_cannot_leave_the_folder_and_a_folder_has_one_owner() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    assert!(matches!(lake.open("../elsewhere", features()).await, Err(LakeError::Schema(_))));
    let second = LocalLake::open(root.path()).unwrap_err();
    assert!(matches!(&second, LakeError::Unavailable(m) if m.contains("another process")), "{second}");
    drop(lake);
    LocalLake::open(root.path()).unwrap();
}

#[tokio::test]
async fn features_grow_but_never_shrink_or_change() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    append(&first, 0..1).await;
    let retyped = [Field::text("age"), Field::text("job title"), Field::number("emp.var.rate")];
    assert!(matches!(first.open(ENDPOINT, retyped.clone().into()).await, Err(LakeError::Schema(_))));
    drop(first);
    // Unsealed rows bind the schema too.
    let second = LocalLake::open(root.path()).unwrap();
    let refused = second.open(ENDPOINT, retyped.into()).await.unwrap_err();
    assert!(refused.to_string().contains("'age'"), "{refused}");
    let refused = second.open(ENDPOINT, [Field::number("age")].into()).await.unwrap_err();
    assert!(refused.to_string().contains("never removed"), "{refused}");
}
