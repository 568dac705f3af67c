//! Columns that do not fit, and columns of no rows.

use greenlight_evaluator::{Column, ErrorKind, Evaluator};

use crate::fixture::model;

fn check(columns: &[Column<'_>], rows: usize, expected: &str) {
    let error = model("lightgbm-pandas.txt").score(columns, rows, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn the_number_kind_and_length_of_columns() {
    let numbers = [1.0, 2.0];
    let texts = [Some("t1".into()), None];
    let (number, text) = (Column::Number(&numbers), Column::Text(&texts));
    check(&[number, number, text], 2, "3 were sent and the model has 4 inputs");
    check(&[number, number, number, number], 2, "input `channel` takes texts and numbers were sent");
    check(&[number, text, text, number], 2, "input `age` takes numbers and texts were sent");
    check(&[number, number, text, number], 3, "input `amount` has 2 values for 3 rows");
}

#[test]
fn no_rows_give_no_scores() {
    let mut out = vec![1.0];
    let columns = [Column::Number(&[]), Column::Number(&[]), Column::Text(&[]), Column::Number(&[])];
    model("lightgbm-pandas.txt").score(&columns, 0, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_file_of_another_kind_names_its_beginning() {
    for (bytes, expected) in
        [(&b""[..], "it is empty"), (b"\x80\x05\x95pickle", "\\x80\\x05\\x95"), (b"<html>", "<html>")]
    {
        let error = Evaluator::from_bytes(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
