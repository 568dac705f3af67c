//! Tables that mean harm, as JSON and as CSV.

use greenlight_testkit::fuzz::{Target, Verdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::table::{MAX_FILLED, Table};
use crate::oip::OipError;
use crate::oip::fuzz::{check_request, features};

fn target(name: &'static str, tokens: &'static [&'static [u8]]) -> Target {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    Target { name, corpus, seeds: Vec::new(), tokens, growth: 64, fixed: 64 << 20 }
}

const JSON_TOKENS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[",
    b"]]",
    b"{}",
    b",{}",
    b",[]",
    b"null",
    b"true",
    b",",
    b"1,",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"NaN",
    b"-Infinity",
    b"Infinity",
    b"\\",
    b"\"params\":{},",
    b"\"data\":[],",
    b"\"columns\":[],",
    b"\"a\":{\"",
    b"[[[[[[[[",
];
const CSV_TOKENS: &[&[u8]] =
    &[b",", b"\n", b"\r", b"\"", b"\"\"", b",,", b"\xff", b"\0", b"1,", b"nan", b"\n\n", b"age,"];

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-9.0..9.0_f64).prop_map(|number| number.to_string()),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        1 => Just("null".to_owned()),
        1 => Just("NaN".to_owned()),
        1 => Just("\"é\\u00e9\"".to_owned()),
    ]
}

/// The names of the columns and their rows. Texts stand where text is asked for.
fn rows() -> impl Strategy<Value = (Vec<&'static str>, Vec<Vec<String>>)> {
    let names = prop::sample::subsequence(vec!["age", "balance", "job", "unit", "x", "y"], 1..6);
    let rows = prop::collection::vec(prop::collection::vec(cell(), 6), 0..5);
    (names, rows).prop_map(|(names, mut rows)| {
        for row in &mut rows {
            row.truncate(names.len());
            for (cell, name) in row.iter_mut().zip(&names) {
                if ["job", "unit"].contains(name) {
                    *cell = format!("\"t{}\"", cell.len());
                } else if cell.starts_with('"') {
                    "0".clone_into(cell);
                }
            }
        }
        (names, rows)
    })
}

fn json() -> impl Strategy<Value = Vec<u8>> {
    (rows(), 0..4_u8).prop_map(|((names, rows), shape)| {
        let list = |cells: &[String]| format!("[{}]", cells.join(","));
        let pairs = |row: &Vec<String>| {
            let pairs: Vec<String> = names.iter().zip(row).map(|(n, c)| format!("\"{n}\":{c}")).collect();
            format!("{{{}}}", pairs.join(","))
        };
        let text = match shape {
            0 => {
                let rows: Vec<String> = rows.iter().map(|row| list(row)).collect();
                format!("{{\"dataframe_split\":{{\"columns\":{names:?},\"data\":{}}}}}", list(&rows))
            }
            1 => format!("{{\"dataframe_records\":{}}}", list(&rows.iter().map(pairs).collect::<Vec<_>>())),
            2 => format!("{{\"instances\":{}}}", list(&rows.iter().map(pairs).collect::<Vec<_>>())),
            _ => {
                let column = |at: usize| {
                    let cells: Vec<String> = rows.iter().map(|row| row[at].clone()).collect();
                    format!("\"{}\":{}", names[at], list(&cells))
                };
                let columns: Vec<String> = (0..names.len()).map(column).collect();
                format!("{{\"inputs\":{{{}}},\"params\":null}}", columns.join(","))
            }
        };
        text.into_bytes()
    })
}

fn csv() -> impl Strategy<Value = Vec<u8>> {
    rows().prop_map(|(names, rows)| {
        let rows = rows.iter().map(|row| row.join(","));
        let lines: Vec<String> = std::iter::once(names.join(",")).chain(rows).collect();
        lines.join("\n").into_bytes()
    })
}

fn check(input: &[u8], read: impl Fn(&[u8]) -> Result<Table, OipError>, filled: usize) -> Verdict {
    let read = read(input).and_then(|table| table.into_request(&features()));
    let request = read.map_err(|error| error.message)?;
    Ok(check_request(&request, input.len(), filled))
}

#[test]
fn tables_as_json() {
    target("invocations_json", JSON_TOKENS).run(json(), |input| check(input, Table::from_json, MAX_FILLED));
}

#[test]
fn tables_as_csv() {
    // A value takes its comma at least, and the last one of a row its end of line.
    target("invocations_csv", CSV_TOKENS).run(csv(), |input| check(input, Table::from_csv, 1));
}

#[test]
fn what_is_generated_is_mostly_accepted() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut as_json, mut as_csv) = (0, 0);
    for _ in 0..200 {
        let table = json().new_tree(&mut runner).unwrap().current();
        as_json += u32::from(check(&table, Table::from_json, 0).is_ok());
        let table = csv().new_tree(&mut runner).unwrap().current();
        as_csv += u32::from(check(&table, Table::from_csv, 1).is_ok());
    }
    assert!(as_json > 100 && as_csv > 100, "{as_json} and {as_csv} of 200");
}
