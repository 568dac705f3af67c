//! What a segment writer does when the disk is full or broken, and what a reader makes of any bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenlight_app::lake::LakeError;
use greenlight_domain::prediction::{IdKey, Outcome, PredictionId};
use greenlight_domain::time::Micros;
use proptest::prelude::*;

use super::Kind;
use super::disk::Disk;
use super::folder::Folder;
use super::read::{self, Batches};
use super::writer::{Records, Writer};
use crate::lake::Limits;

struct Log {
    folder: Arc<Folder>,
    writer: Writer,
    disk: Disk,
}

fn log(path: &std::path::Path) -> Log {
    let disk = Disk::default();
    let (folder, _) = Folder::recover(path.to_owned(), Kind::Outcomes, 0).unwrap();
    let folder = Arc::new(folder);
    let writer = Writer::start(Arc::clone(&folder), &Limits::default(), disk.clone()).unwrap();
    Log { folder, writer, disk }
}

fn outcome(i: u64) -> Records {
    let at = Micros(1_700_000_000_000_000);
    let prediction_id = PredictionId::issue(&IdKey([3; 16]), "calls", at, i);
    Records::outcomes(&[Outcome { prediction_id, name: "sold".into(), value: i as f64, at }])
}

/// The values that a reader sees, in the order of the log.
fn values(folder: &Folder) -> Vec<f64> {
    let mut values = Vec::new();
    for segment in folder.segments() {
        for batch in Batches::open(&segment.path, Kind::Outcomes, segment.good).unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("value").unwrap();
            let column = column.as_any().downcast_ref::<arrow_array::Float64Array>().unwrap();
            values.extend(column.values().iter().copied());
        }
    }
    values
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    log.writer.append(outcome(1)).await.unwrap();
    // Every amount of room from none to almost enough: the frame arrives in part and must not be seen.
    for room in 0..64 {
        log.disk.faults.room.store(room, Ordering::SeqCst);
        let refused = log.writer.append(outcome(99)).await.unwrap_err();
        assert!(matches!(refused, LakeError::Unavailable(_)), "{refused}");
        assert_eq!(values(&log.folder), [1.0]);
    }
    log.disk.faults.room.store(usize::MAX, Ordering::SeqCst);
    log.writer.append(outcome(2)).await.unwrap();
    assert_eq!(values(&log.folder), [1.0, 2.0]);
    let Log { writer, .. } = log;
    drop(writer);
    let (after_restart, _) = Folder::recover(folder.path().to_owned(), Kind::Outcomes, 0).unwrap();
    assert_eq!(values(&after_restart), [1.0, 2.0]);
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_the_segment_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    log.writer.append(outcome(1)).await.unwrap();
    log.disk.faults.broken.store(true, Ordering::SeqCst);
    assert!(matches!(log.writer.append(outcome(99)).await, Err(LakeError::Unavailable(_))));
    assert!(matches!(log.writer.append(outcome(99)).await, Err(LakeError::Unavailable(_))));
    log.disk.faults.broken.store(false, Ordering::SeqCst);
    log.writer.append(outcome(2)).await.unwrap();
    assert_eq!(values(&log.folder), [1.0, 2.0]);
    let segments = log.folder.segments();
    assert_eq!(segments.len(), 2);
    assert!(segments[0].closed && segments[0].sequence < segments[1].sequence);
}

#[tokio::test]
async fn a_cut_at_any_byte_leaves_every_whole_frame_and_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    for i in 0..4 {
        log.writer.append(outcome(i)).await.unwrap();
    }
    let path = log.folder.segments().remove(0).path;
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = read::scan(&bytes).payloads[1..].iter().map(|payload| payload.end).collect();
    assert_eq!(ends.len(), 4);
    assert!(read::is_zero(&bytes[ends[3]..]));
    for cut in 0..=ends[3] + 20 {
        let found = read::scan(&bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!((found.batches(), found.damaged), (whole, false), "cut at byte {cut}");
        if found.good > 0 {
            let good = found.good as u64;
            let batches = Batches::open(&path, Kind::Outcomes, good).unwrap();
            let rows: usize = batches.map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!(rows, whole, "cut at byte {cut}");
            let longer =
                Batches::open(&path, Kind::Outcomes, good - 1).and_then(|mut b| b.next().transpose());
            assert!(longer.is_err(), "one byte less than {good}");
        }
    }
}

#[tokio::test]
async fn damage_before_the_end_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    for i in 0..3 {
        log.writer.append(outcome(i)).await.unwrap();
    }
    let path = log.folder.segments()[0].path.clone();
    let Log { writer, .. } = log;
    drop(writer);
    let mut bytes = std::fs::read(&path).unwrap();
    let second = read::scan(&bytes).payloads[2].clone();
    bytes[second.start + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (recovered, _) = Folder::recover(folder.path().to_owned(), Kind::Outcomes, 0).unwrap();
    assert_eq!(values(&recovered), [0.0]);
    assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), bytes);
}

#[tokio::test]
async fn a_segment_that_shrank_while_open_is_corrupt_not_short() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    log.writer.append(outcome(1)).await.unwrap();
    let segment = log.folder.segments().remove(0);
    std::fs::OpenOptions::new().write(true).open(&segment.path).unwrap().set_len(segment.good - 1).unwrap();
    let mut batches = Batches::open(&segment.path, Kind::Outcomes, segment.good).unwrap();
    let error = batches.next().unwrap().unwrap_err();
    assert!(matches!(&error, LakeError::Corrupt(message) if message.starts_with("outcomes-")), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_can_be_scanned(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), headed: bool) {
        if headed {
            bytes.splice(0..0, *super::MAGIC);
        }
        let found = read::scan(&bytes);
        prop_assert!(found.good <= bytes.len());
    }

    #[test]
    fn a_zeroed_tail_ends_the_segment(zeros in 1..5_000_usize) {
        let mut bytes = super::MAGIC.to_vec();
        super::push_frame(&mut bytes, std::iter::once(b"payload".as_slice()));
        let whole = bytes.len();
        bytes.resize(whole + zeros, 0);
        let found = read::scan(&bytes);
        prop_assert_eq!(found.good, whole);
        prop_assert!(!found.damaged);
    }
}
