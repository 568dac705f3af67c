//! What is in a file, and a digest that is of its values and not of the file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    types::Int64Type,
};
use arrow_ipc::writer::FileWriter;
use greenlight_domain::dataset::profile::{Content, Profile};
use greenlight_lake::profile::profile;
use greenlight_lake::score::Source;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// 1,000 rows: a number with gaps, a text of three values, a moment, a list.
fn rows() -> RecordBatch {
    let age: Float64Array = (0..1_000).map(|i| (i % 10 != 0).then_some(f64::from(i))).collect();
    let job: StringArray = (0..1_000).map(|i| (i % 4 != 0).then(|| ["a", "b", "c"][i % 3])).collect();
    let at: TimestampMicrosecondArray = (0..1_000).map(|i| Some(i * 86_400_000_000)).collect();
    let lists =
        ListArray::from_iter_primitive::<Int64Type, _, _>((0..1_000).map(|i| (i > 4).then(|| vec![Some(i)])));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..1_000))),
        ("age", Arc::new(age)),
        ("job", Arc::new(job)),
        ("at", Arc::new(at)),
        ("lists", Arc::new(lists)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(folder: &Path, name: &str, rows_of_a_group: usize) -> PathBuf {
    let path = folder.join(name);
    let all = rows();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_of_a_group)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), all.schema(), Some(properties)).unwrap();
    writer.write(&all).unwrap();
    writer.close().unwrap();
    path
}

async fn of(path: &Path) -> Profile {
    profile(Source::open(path.to_str().unwrap(), None).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_column_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let found = of(&parquet(folder.path(), "a.parquet", 1_000)).await;
    assert_eq!(found.rows, 1_000);
    let column = |name: &str| found.column(name).unwrap();
    let age = column("age").spread.clone().unwrap();
    assert_eq!((column("age").missing, column("age").distinct), (100, Some(900)));
    assert_eq!((age.min, age.max, age.mean), (1.0, 999.0, 500.0));
    assert_eq!((column("job").missing, column("job").distinct), (250, Some(3)));
    assert_eq!(column("job").top.iter().map(|top| top.count).sum::<u64>(), 750);
    assert_eq!(column("at").content, Content::Time);
    assert_eq!(column("at").spread.clone().unwrap().max, 999.0 * 86_400_000_000.0);
    assert_eq!((column("lists").content, column("lists").missing), (Content::Other, 5));
    assert_eq!(column("id").column_type, "Int64");
}

#[tokio::test]
async fn the_digest_is_of_the_values_and_not_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = of(&parquet(folder.path(), "a.parquet", 1_000)).await;
    let in_groups = of(&parquet(folder.path(), "b.parquet", 100)).await;
    assert_eq!(whole.digest, in_groups.digest);
    let path = folder.path().join("c.arrow");
    let all = rows();
    let mut writer = FileWriter::try_new(File::create(&path).unwrap(), &all.schema()).unwrap();
    for start in (0..1_000).step_by(300) {
        writer.write(&all.slice(start, 300.min(1_000 - start))).unwrap();
    }
    writer.finish().unwrap();
    let arrow = of(&path).await;
    assert_eq!(arrow, whole);
    // The last row of all differs.
    let shorter = folder.path().join("d.arrow");
    let mut writer = FileWriter::try_new(File::create(&shorter).unwrap(), &all.schema()).unwrap();
    writer.write(&all.slice(0, 999)).unwrap();
    writer.finish().unwrap();
    assert_ne!(of(&shorter).await.digest, whole.digest);
}

#[tokio::test]
async fn csv_has_no_types_and_numbers_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    File::create(&path).unwrap().write_all(b"age,job\n1,x\n,y\n3.5,\n").unwrap();
    let found = of(&path).await;
    let age = found.column("age").unwrap();
    assert_eq!((age.content, age.missing), (Content::Number, 1));
    assert_eq!(age.spread.clone().unwrap().max, 3.5);
    assert_eq!(found.column("job").unwrap().missing, 1);
    let same = Source::open_as(&path, "csv").await.unwrap();
    assert_eq!(profile(same).await.unwrap(), found);
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "a.arrow"] {
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(b"PAR1 nothing of the kind").unwrap();
        let problem = Source::open(path.to_str().unwrap(), None).await.unwrap_err().to_string();
        assert!(problem.contains(name), "{problem}");
    }
    let path = folder.path().join("a.txt");
    File::create(&path).unwrap();
    assert!(Source::open(path.to_str().unwrap(), None).await.unwrap_err().to_string().contains("a.txt"));
}
