//! Batches: the same rows from every format and from any row on, and results that are written once.

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array as _, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use greenlight_app::lake::Lake;
use greenlight_domain::frame::{Column, Field};
use greenlight_lake::LocalLake;
use greenlight_lake::score::{
    DeltaOutput, Piece, Reader, Source, assemble, json_rows, parquet_bytes, result_rows, write_part,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn features() -> Arc<[Field]> {
    [Field::number("age"), Field::text("job")].into()
}

fn keep() -> Vec<String> {
    vec!["id".to_owned()]
}

/// Rows with ids from `range`: age is the id, missing for every seventh; job is missing for every fifth.
fn rows(range: std::ops::Range<i64>) -> RecordBatch {
    let age: Float64Array = range.clone().map(|i| (i % 7 != 0).then_some(i as f64)).collect();
    let job: StringArray = range.clone().map(|i| (i % 5 != 0).then(|| format!("job, \"{i}\""))).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(range))),
        ("age", Arc::new(age)),
        ("job", Arc::new(job)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(folder: &Path) -> PathBuf {
    let path = folder.join("in.parquet");
    let all = rows(0..20_000);
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), all.schema(), None).unwrap();
    for start in (0..20_000).step_by(3_000) {
        writer.write(&all.slice(start, 3_000.min(20_000 - start))).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    path
}

fn csv(folder: &Path) -> PathBuf {
    let path = folder.join("in.csv");
    let mut text = "\u{feff}id,job,age,other\n".to_owned();
    for i in 0..20_000_i64 {
        let age = if i % 7 == 0 { String::new() } else { format!("{i}.0") };
        let job = if i % 5 == 0 { String::new() } else { format!("\"job, \"\"{i}\"\"\"") };
        writeln!(text, "{i},{job},{age},\"two\nlines\"").unwrap();
    }
    std::fs::write(&path, text).unwrap();
    path
}

async fn delta(folder: &Path) -> PathBuf {
    let path = folder.join("table");
    let output = DeltaOutput::open(&path, "writer").await.unwrap();
    for (chunk, start) in (0..20_000).step_by(6_000).enumerate() {
        output.commit(chunk as u64 + 1, vec![rows(start..20_000.min(start + 6_000))]).await.unwrap();
    }
    path
}

async fn open(path: &Path) -> Source {
    Source::open(path.to_str().unwrap(), None).await.unwrap()
}

fn read(source: &Source, skip: u64, chunk: usize) -> Vec<Vec<Piece>> {
    let mut reader = Reader::open(source, features(), &keep(), skip).unwrap();
    let mut chunks = Vec::new();
    loop {
        let pieces = reader.next_chunk(chunk).unwrap();
        if pieces.is_empty() {
            return chunks;
        }
        chunks.push(pieces);
    }
}

/// What a model would see: id, age and job of each row.
fn seen(pieces: &[Piece]) -> Vec<(String, u64, Option<Arc<str>>)> {
    let mut all = Vec::new();
    for piece in pieces {
        let ages = piece.features.numbers("age").unwrap();
        let Some(Column::Text(jobs)) = piece.features.column("job") else { panic!() };
        let ids = arrow_cast::cast(piece.kept.column(0), &arrow_schema::DataType::Utf8).unwrap();
        let ids = ids.as_string::<i32>();
        assert_eq!((ages.len(), jobs.len()), (ids.len(), ids.len()));
        // Bits, so that a missing number equals itself.
        all.extend((0..ids.len()).map(|i| (ids.value(i).to_owned(), ages[i].to_bits(), jobs[i].clone())));
    }
    all
}

#[tokio::test]
async fn every_format_gives_the_same_rows_from_any_row_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = open(&parquet(folder.path())).await;
    let expected: Vec<_> = read(&whole, 0, 20_000).iter().flat_map(|c| seen(c)).collect();
    assert_eq!(expected.len(), 20_000);
    assert_eq!(expected[7].1, f64::NAN.to_bits());
    assert_eq!((expected[5].2.as_deref(), expected[6].2.as_deref()), (None, Some("job, \"6\"")));
    let csv = open(&csv(folder.path())).await;
    let delta = open(&delta(folder.path()).await).await;
    assert_eq!((whole.rows(), csv.rows(), delta.rows()), (Some(20_000), None, Some(20_000)));
    assert_eq!(delta.version(), Some(4));
    for source in [&whole, &csv, &delta] {
        let chunks = read(source, 0, 4_999);
        assert_eq!(chunks.len(), 5);
        assert!(chunks[..4].iter().all(|c| seen(c).len() == 4_999), "chunks are full up to the last");
        let mut all: Vec<_> = chunks.iter().flat_map(|c| seen(c)).collect();
        let as_read = all.clone();
        all.sort_by_key(|row| row.0.parse::<i64>().unwrap());
        assert_eq!(all, expected, "{}", source.format());
        for skip in [1, 2_999, 3_000, 3_001, 9_998, 19_999, 20_000, 30_000] {
            let rest: Vec<_> = read(source, skip, 4_999).iter().flat_map(|c| seen(c)).collect();
            assert_eq!(rest[..], as_read[(skip as usize).min(20_000)..], "{} {skip}", source.format());
        }
    }
    let pinned = Source::open(folder.path().join("table").to_str().unwrap(), Some(2)).await.unwrap();
    assert_eq!(pinned.rows(), Some(12_000));
    assert_ne!(pinned.digest(), delta.digest());
}

#[tokio::test]
async fn what_a_source_lacks_is_said_by_name_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(&parquet(folder.path())).await;
    let check = |features: &[Field], keep: &[&str], hint: &str| {
        let keep: Vec<String> = keep.iter().map(|k| (*k).to_owned()).collect();
        let error = source.check(features, &keep).unwrap_err().to_string();
        assert!(error.contains(hint), "'{error}' does not say '{hint}'");
    };
    check(
        &[Field::number("wage"), Field::text("city")],
        &["key"],
        "lacks wage, city, key; it has id, age, job",
    );
    check(&[Field::number("job")], &[], "has Utf8 in column 'job', where the model takes a number");
    check(&[Field::text("age")], &[], "has Float64 in column 'age', where the model takes text");
    check(&[], &["id", "id"], "'id' twice");
    assert!(source.check(&features(), &keep()).is_ok());
    for (place, hint) in [
        ("ftp://host/in.parquet", "'ftp://' is not read"),
        (folder.path().to_str().unwrap(), "without a Delta log"),
        ("/nowhere/in.parquet", "/nowhere/in.parquet"),
    ] {
        let error = Source::open(place, None).await.unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
    let twice = folder.path().join("twice.csv");
    std::fs::write(&twice, "a,b,a\n1,2,3\n").unwrap();
    let error = Source::open(twice.to_str().unwrap(), None).await.unwrap_err().to_string();
    assert!(error.contains("two columns named 'a'"), "{error}");
    let wrong = folder.path().join("wrong.csv");
    std::fs::write(&wrong, "id,age,job\n1,40,a\n2,forty,b\n").unwrap();
    let mut reader = Reader::open(&open(&wrong).await, features(), &keep(), 0).unwrap();
    let error = reader.next_chunk(10).unwrap_err().to_string();
    assert!(error.contains("row 2: column 'age' holds 'forty'"), "{error}");
}

#[tokio::test]
async fn a_file_that_changes_has_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.csv");
    std::fs::write(&path, "id,age,job\n1,40,a\n").unwrap();
    let before = open(&path).await.digest().to_owned();
    assert_eq!(open(&path).await.digest(), before);
    std::fs::write(&path, "id,age,job\n1,41,a\n").unwrap();
    assert_ne!(open(&path).await.digest(), before);
}

#[tokio::test]
async fn parts_become_one_file_with_the_rows_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let part = |n: i64| folder.path().join(format!("part-{n}.parquet"));
    let result = |range: std::ops::Range<i64>| {
        let kept = rows(range.clone()).project(&[0]).unwrap();
        let decisions: Vec<Arc<str>> =
            range.clone().map(|i| if i % 2 == 0 { "call" } else { "skip" }.into()).collect();
        result_rows(&kept, range.map(|i| i as f64 / 100.0).collect(), Some(&decisions)).unwrap()
    };
    write_part(&part(1), &[result(0..30), result(30..50)]).unwrap();
    write_part(&part(2), &[result(50..60)]).unwrap();
    let output = folder.path().join("out.parquet");
    assemble(&[part(1), part(2)], &output).unwrap();
    let first = std::fs::read(&output).unwrap();
    assemble(&[part(1), part(2)], &output).unwrap();
    assert_eq!(std::fs::read(&output).unwrap(), first, "the same rows give the same bytes");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&output).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    assert_eq!(batch, result(0..60));
    assert!(!folder.path().join("out.parquet.tmp").exists());
    let json = json_rows(&batch, "id").unwrap();
    assert_eq!(json[3].0.as_deref(), Some("3"));
    assert_eq!(json[3].1, serde_json::json!({ "probability": 0.03, "decision": "skip" }));
}

#[tokio::test]
async fn a_chunk_is_committed_once_however_often_its_writer_dies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let commit = |sequence: u64, range: std::ops::Range<i64>| {
        let path = path.clone();
        async move {
            let output = DeltaOutput::open(&path, "job-1").await.unwrap();
            output.commit(sequence, vec![rows(range)]).await.unwrap();
            output.chunks()
        }
    };
    assert_eq!(commit(1, 0..10).await, 1);
    assert_eq!(commit(1, 0..10).await, 1, "nothing happens the second time");
    assert_eq!(commit(2, 10..20).await, 2);
    let source = open(&path).await;
    assert_eq!(source.rows(), Some(20));
    let chunks = read(&source, 0, 100);
    let mut ids: Vec<i64> = chunks.iter().flat_map(|c| seen(c)).map(|row| row.0.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
    let other = DeltaOutput::open(&path, "job-2").await.unwrap();
    assert_eq!(other.chunks(), 0, "another job counts for itself");
}

#[tokio::test]
async fn an_uploaded_file_is_bounded_and_never_trusted() {
    let root = tempfile::tempdir().unwrap();
    let lake = LocalLake::open(root.path()).unwrap();
    let whole = Bytes::from(parquet_bytes(&[rows(0..100)]).unwrap());
    let frame = lake.decode_parquet(whole.clone(), 100).await.unwrap();
    assert_eq!((frame.rows(), frame.numbers("age").unwrap()[3]), (100, 3.0));
    let error = lake.decode_parquet(whole.clone(), 99).await.unwrap_err().to_string();
    assert!(error.contains("has 100 rows; send at most 99"), "{error}");
    for cut in [0, 3, 50, whole.len() - 1] {
        assert!(lake.decode_parquet(whole.slice(..cut), 100).await.is_err(), "{cut}");
    }
    let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0; 100]));
    let columns = (0..65).map(|i| (format!("c{i}"), Arc::clone(&zeros)));
    let wide = parquet_bytes(&[RecordBatch::try_from_iter(columns).unwrap()]).unwrap();
    let error = lake.decode_parquet(wide.into(), 100).await.unwrap_err().to_string();
    assert!(error.contains("65 columns"), "{error}");
}
