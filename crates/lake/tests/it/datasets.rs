//! Data sets: Parquet files that somebody else wrote.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Int64Array, LargeStringArray, ListArray,
    RecordBatch, TimestampMillisecondArray,
};
use greenlight_app::lake::{Lake, LakeError};
use greenlight_domain::frame::{ColumnType, Field};
use greenlight_domain::time::{DAY_US, Micros};
use greenlight_lake::LocalLake;
use parquet::arrow::ArrowWriter;

fn bank() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../examples/bank/bankmarketing.parquet")
}

fn lake() -> (tempfile::TempDir, LocalLake) {
    let root = tempfile::tempdir().unwrap();
    let lake = LocalLake::open(root.path()).unwrap();
    (root, lake)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// UCI Bank Marketing (Moro, Cortez and Rita 2014): 45,211 calls, of which 5,289 led to a deposit.
#[tokio::test]
async fn the_bank_data_have_the_published_figures() {
    let (_root, lake) = lake();
    let shape = lake.dataset_shape(&bank()).await.unwrap();
    assert_eq!((shape.rows, shape.columns.len()), (45_211, 18));
    assert!(shape.columns.contains(&Field::number("age")) && shape.columns.contains(&Field::text("y")));
    let frame = lake.read_dataset(&bank(), &names(&["y", "age"]), "date", None).await.unwrap();
    assert_eq!(frame.rows(), 45_211);
    let yes = frame.texts("y").unwrap().iter().filter(|y| y.as_deref() == Some("yes")).count();
    assert_eq!(yes, 5_289);
    assert!(frame.numbers("age").unwrap().iter().all(|age| (18.0..=95.0).contains(age)));
}

#[tokio::test]
async fn a_window_takes_the_rows_of_its_time_in_file_order() {
    let (_root, lake) = lake();
    let date = names(&["date"]);
    let all = lake.read_dataset(&bank(), &date, "date", None).await.unwrap();
    let all = all.numbers("date").unwrap();
    let (from, until): (Micros, Micros) = ("2009-01-01".parse().unwrap(), "2010-01-01".parse().unwrap());
    let window = lake.read_dataset(&bank(), &date, "date", Some((from, until))).await.unwrap();
    let expected: Vec<f64> =
        all.iter().copied().filter(|&at| at >= from.0 as f64 && at < until.0 as f64).collect();
    assert!(!expected.is_empty() && expected.len() < all.len());
    assert_eq!(window.numbers("date").unwrap(), expected);
    let other = lake.read_dataset(&bank(), &names(&["y"]), "date", Some((from, until))).await.unwrap();
    assert_eq!(other.rows(), expected.len());
}

#[tokio::test]
async fn every_plain_type_becomes_a_number_or_text() {
    let (root, lake) = lake();
    let file = root.path().join("types.parquet");
    let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b")].into_iter().collect();
    write(
        &file,
        vec![
            ("day", Arc::new(Date32Array::from(vec![Some(1), Some(2), None]))),
            (
                "moment",
                Arc::new(TimestampMillisecondArray::from(vec![1_500, 2_500, 3_500]).with_timezone("UTC")),
            ),
            ("count", Arc::new(Int64Array::from(vec![Some(3), None, Some(5)]))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false, true]))),
            ("word", Arc::new(words)),
            ("long", Arc::new(LargeStringArray::from(vec![Some("x"), Some("x"), None]))),
        ],
    );
    let columns = names(&["long", "day", "moment", "count", "flag", "word"]);
    let frame = lake.read_dataset(&file, &columns, "day", None).await.unwrap();
    assert_eq!(frame.fields()[0], Field::text("long"));
    let days = frame.numbers("day").unwrap();
    assert!((days[0] - DAY_US as f64).abs() < 0.5 && days[2].is_nan());
    assert_eq!(frame.numbers("moment").unwrap(), [1_500_000.0, 2_500_000.0, 3_500_000.0]);
    assert!(frame.numbers("count").unwrap()[1].is_nan());
    assert_eq!(frame.numbers("flag").unwrap(), [1.0, 0.0, 1.0]);
    let words: Vec<_> = frame.texts("word").unwrap().iter().map(Option::as_deref).collect();
    assert_eq!(words, [Some("a"), None, Some("b")]);
    let window = Some((Micros(DAY_US), Micros(2 * DAY_US)));
    let one = lake.read_dataset(&file, &columns, "day", window).await.unwrap();
    assert_eq!(one.rows(), 1, "a row without a time is in no window");
    let shape = lake.dataset_shape(&file).await.unwrap();
    assert_eq!(shape.columns[4].column_type, ColumnType::Text);
}

#[tokio::test]
async fn wrong_columns_are_named_with_what_there_is() {
    let (root, lake) = lake();
    let error = lake.read_dataset(&bank(), &names(&["agee"]), "date", None).await.unwrap_err();
    let LakeError::Schema(message) = error else { panic!("{error}") };
    assert!(
        message.contains("bankmarketing.parquet has no column 'agee'") && message.contains("age, "),
        "{message}"
    );
    let window = Some((Micros(0), Micros(1)));
    let error = lake.read_dataset(&bank(), &names(&["age"]), "job", window).await.unwrap_err();
    assert!(matches!(&error, LakeError::Schema(m) if m.contains("'job'")), "{error}");
    let file = root.path().join("nested.parquet");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]);
    write(&file, vec![("items", Arc::new(list))]);
    let error = lake.dataset_shape(&file).await.unwrap_err();
    assert!(matches!(&error, LakeError::Schema(m) if m.contains("'items'")), "{error}");
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_something_else_is_corrupt_and_named() {
    let (root, lake) = lake();
    let bytes = std::fs::read(bank()).unwrap();
    let cut = root.path().join("cut.parquet");
    let columns = names(&["age", "y"]);
    for length in [0, 3, 4, 11, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let error = lake.read_dataset(&cut, &columns, "date", None).await.unwrap_err();
        assert!(matches!(&error, LakeError::Corrupt(m) if m.starts_with("cut.parquet")), "{length}: {error}");
        assert!(matches!(lake.dataset_shape(&cut).await, Err(LakeError::Corrupt(_))));
    }
    assert!(matches!(
        lake.dataset_shape(&root.path().join("none.parquet")).await,
        Err(LakeError::Storage(_))
    ));
}

#[tokio::test]
async fn flipped_bytes_never_panic() {
    let (root, lake) = lake();
    let bytes = std::fs::read(bank()).unwrap();
    let file = root.path().join("flipped.parquet");
    for step in 0..60 {
        let mut damaged = bytes.clone();
        // Half of the flips hit the footer, where the structure is.
        let at = if step % 2 == 0 { bytes.len() - 8 - step * 37 } else { step * bytes.len() / 60 };
        damaged[at] ^= 0x55;
        std::fs::write(&file, &damaged).unwrap();
        let _ = lake.dataset_shape(&file).await;
        let _ = lake.read_dataset(&file, &names(&["age", "y"]), "date", None).await;
    }
}
