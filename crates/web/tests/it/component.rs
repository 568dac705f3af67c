//! Figures, badges and numbers.

use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::Figure;
use greenlight_domain::money::Currency;
use greenlight_web::components::figure::{figure as shown, figure_or_none, sum, verdict};
use greenlight_web::components::number::{count, decimal, milliseconds, money, percent};
use greenlight_web::components::{Tone, mark};

use crate::fixtures::{EUR, figure};

#[test]
fn a_figure_carries_amount_grade_and_interval() {
    let earned = figure(1_732_000.0, -25_100.0, 3_213_000.0, Grade::A);
    insta::assert_snapshot!(shown(&earned).into_string());
    let counted = Figure::counted(-2_770_000, Grade::D, EUR);
    insta::assert_snapshot!(shown(&counted).into_string());
    insta::assert_snapshot!(figure_or_none(None, "nothing yet").into_string());
}

#[test]
fn every_grade_says_what_its_letter_means() {
    for grade in [Grade::A, Grade::B, Grade::C, Grade::D] {
        let markup = shown(&Figure::counted(100, grade, EUR)).into_string();
        assert!(markup.contains(grade.meaning()), "{markup}");
    }
}

#[test]
fn a_mark_is_readable_without_colour() {
    assert!(mark(true).into_string().contains("✓") && mark(true).into_string().contains("met"));
    assert!(mark(false).into_string().contains("✗") && mark(false).into_string().contains("not met"));
}

#[test]
fn numbers_are_grouped_and_never_nan() {
    assert_eq!(money(-2_770_000.0, EUR), "−€27,700");
    assert_eq!(money(f64::NAN, EUR), "not known");
    assert_eq!(money(f64::INFINITY, EUR), "not known");
    assert_eq!(count(-1_234), "−1,234");
    assert_eq!(decimal(-0.5, 2), "−0.50");
    assert_eq!(percent(0.1234, 1), "12.3 %");
    assert_eq!(percent(f64::NAN, 1), "not known");
    assert_eq!(milliseconds(41.0), "0.041 ms");
    assert_eq!(milliseconds(12_345.0), "12.3 ms");
}

#[test]
fn a_sum_has_the_worst_grade_and_one_currency() {
    let a = figure(100.0, 50.0, 150.0, Grade::A);
    let d = figure(10.0, 5.0, 15.0, Grade::D);
    let total = sum(&[a, d]).unwrap();
    assert_eq!((total.minor, total.low_minor, total.high_minor), (110.0, Some(55.0), Some(165.0)));
    assert_eq!(total.grade, Grade::D);
    assert_eq!(sum(&[a, Figure::counted(1, Grade::A, EUR)]).unwrap().low_minor, None);
    let dollars: Currency = "USD".parse().unwrap();
    assert_eq!(sum(&[a, Figure { currency: dollars, ..d }]), None);
    assert_eq!(sum(&[]), None);
}

#[test]
fn only_an_interval_beyond_zero_is_a_verdict() {
    let tone = |low, high| verdict(Some(&figure(0.0, low, high, Grade::A)), 0.95, 100).0;
    assert_eq!(tone(1.0, 2.0), Tone::Good);
    assert_eq!(tone(-2.0, -1.0), Tone::Bad);
    assert_eq!(tone(0.0, 1.0), Tone::Waiting);
    assert_eq!(tone(f64::NAN, f64::NAN), Tone::Waiting);
    assert_eq!(verdict(None, 0.95, 0).0, Tone::Plain);
}
