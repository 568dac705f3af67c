use super::*;
use crate::{close::assert_close, moments::Moments};

fn of<Row: AsRef<[f64]>>(rows: &[Row]) -> CrossProducts {
    let mut all = CrossProducts::new(rows[0].as_ref().len()).unwrap();
    for row in rows {
        all.push(row.as_ref()).unwrap();
    }
    all
}

fn example() -> [CrossProducts; 2] {
    [of(&[&[1.0, 1.0], &[3.0, 2.0], &[5.0, 3.0]]), of(&[&[4.0, 1.0], &[6.0, 2.0], &[8.0, 3.0]])]
}

#[test]
fn the_worked_example() {
    let [control, treatment] = example();
    assert_eq!(coefficients(&[&control, &treatment]), Ok(vec![2.0]));
    assert_eq!(coefficients(&[&control.merge(&treatment).unwrap()]), Ok(vec![2.0]));
    assert_close(explained(&[&control, &treatment]).unwrap(), 1.0, 0.0);
    let refused = absolute(&control, &treatment, &[2.0], 0.9);
    assert_eq!(refused, Err(StatsError::OutOfRange { name: "variance", value: 0.0 }));
}

/// Two covariates by hand: `y = 3 a - 2 b` plus a constant per group, from rows in which a and b are correlated.
#[test]
fn two_covariates() {
    let row = |base: f64, a: f64, b: f64| [base + 3.0 * a - 2.0 * b, a, b];
    let rows =
        |base: f64| [row(base, 1.0, 0.0), row(base, 2.0, 1.0), row(base, 0.0, 5.0), row(base, 7.0, 4.0)];
    let [control, treatment] = [rows(10.0), rows(30.0)].map(|[a, b, c, d]| of(&[&a, &b, &c, &d]));
    let theta = coefficients(&[&control, &treatment]).unwrap();
    assert_close(theta[0], 3.0, 1e-13);
    assert_close(theta[1], -2.0, 1e-13);
    // The effect is no part of the coefficients, which it would be if the groups were pooled and unbalanced.
    let only = coefficients(&[&control]).unwrap();
    assert_close(only[0], 3.0, 1e-13);
}

/// Without covariates, and with coefficients of 0, nothing is adjusted.
#[test]
fn no_adjustment_is_welch() {
    let (a, b) = ([1.0, 4.0, 9.0, 3.0], [5.0, 2.0, 8.0, 8.0]);
    let welch = two_sample::welch_absolute(&Moments::from_values(&a), &Moments::from_values(&b), 0.9);
    let alone = [a, b].map(|group| of(&group.map(|y| [y])));
    assert_eq!(absolute(&alone[0], &alone[1], &[], 0.9), welch);
    assert_eq!(coefficients(&[&alone[0], &alone[1]]), Ok(Vec::new()));
    let with = [a, b].map(|group| of(&group.map(|y| [y, 7.0 - y * y])));
    assert_eq!(absolute(&with[0], &with[1], &[0.0], 0.9), welch);
}

#[test]
fn what_they_refuse() {
    let [control, treatment] = example();
    assert_eq!(coefficients(&[]), Err(StatsError::Empty));
    let constant = of(&[&[1.0, 0.1, 3.0], &[2.0, 0.1, 2.0], &[4.0, 0.1, 9.0], &[4.0, 0.1, 1.0]]);
    assert_eq!(coefficients(&[&constant]), Err(StatsError::Redundant { index: 0 }));
    // The sum of both others.
    let sum = |y: f64, a: f64, b: f64| [y, a, b, a + b];
    let rows =
        [sum(1.0, 2.0, 0.3), sum(2.0, 1.0, 0.1), sum(0.5, 7.0, 5.0), sum(3.0, 4.0, 0.7), sum(1.0, 1.0, 2.0)];
    let determined = of(&rows);
    assert_eq!(coefficients(&[&determined]), Err(StatsError::Redundant { index: 2 }));
    assert!(matches!(
        coefficients(&[&of(&[&[1.0, 2.0], &[3.0, 5.0]])]),
        Err(StatsError::OutOfRange { name: "units less groups and covariates", .. })
    ));
    assert_eq!(coefficients(&[&control, &constant]), Err(StatsError::LengthMismatch { left: 2, right: 3 }));
    assert_eq!(
        absolute(&control, &treatment, &[1.0, 2.0], 0.9),
        Err(StatsError::LengthMismatch { left: 1, right: 2 })
    );
    assert_eq!(absolute(&control, &treatment, &[f64::NAN], 0.9), Err(StatsError::NotFinite { index: 0 }));
    assert!(absolute(&control, &treatment, &[1.0], 1.0).is_err());
    assert!(relative(&control, &of(&[&[1.0, 1.0]]), &[1.0], 0.9).is_err());
    let huge = of(&[&[1.0, 1e200], &[2.0, -1e200], &[4.0, 1.0], &[4.0, 3.0]]);
    assert!(coefficients(&[&huge]).is_err());
    assert!(absolute(&huge, &treatment, &[1.0], 0.9).is_err());
    let level_outcome = of(&[&[1.0, 1.0], &[1.0, 2.0], &[1.0, 4.0]]);
    assert!(matches!(explained(&[&level_outcome]), Err(StatsError::OutOfRange { name: "variance", .. })));
    // What rounding leaves of 0.1 x must not pass for variance.
    let tenth = of(&[[0.1, 1.0], [0.3, 3.0], [0.7, 7.0], [1.1, 11.0]]);
    assert!(matches!(
        absolute(&tenth, &tenth, &[0.1], 0.9),
        Err(StatsError::OutOfRange { name: "variance", .. })
    ));
}
