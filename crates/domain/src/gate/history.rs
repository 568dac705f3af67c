//! The history gate: month by month on data after the training window, in money and against the holdout rule.

use greenlight_stats::{Interval, bootstrap, calibration, ranking};
use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::evidence::{Check, Gate, GateResult, Grade};
use crate::money::{Currency, whole};
use crate::policy::HistoryPolicy;

/// What one month of history holds: one entry a row in each vector.
#[derive(Debug, Clone, Default)]
pub struct MonthRows {
    /// `2008-11`.
    pub month: String,
    /// The model's probabilities.
    pub scores: Vec<f64>,
    /// What happened.
    pub outcomes: Vec<bool>,
    /// Minor units with the model's decision.
    pub model_minor: Vec<f64>,
    /// Minor units with the holdout rule.
    pub holdout_minor: Vec<f64>,
    /// Minor units when the first decision of the value model is taken for everyone: doing nothing.
    pub idle_minor: Vec<f64>,
    /// Rows on which the model would have acted unlike the holdout rule.
    pub disagreements: u64,
}

/// The figures of one month, or of all together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthFigures {
    /// `2008-11`, or `all`.
    pub month: String,
    /// Rows.
    pub rows: u64,
    /// Share of outcomes that are 1.
    pub observed: f64,
    /// Mean probability.
    pub expected: f64,
    /// Area under the ROC curve; absent when only one class occurred.
    pub auc: Option<f64>,
    /// Brier score.
    pub brier: f64,
    /// Value of the model's decisions, minor units, grade C.
    pub model_minor: f64,
    /// Value of the holdout rule, minor units, grade C.
    pub holdout_minor: f64,
    /// Model minus holdout, minor units, with its bootstrap interval.
    pub gain_minor: f64,
    /// Lower end.
    pub gain_low_minor: f64,
    /// Upper end.
    pub gain_high_minor: f64,
    /// Model minus doing nothing, minor units.
    pub over_idle_minor: f64,
    /// Lower end of its bootstrap interval.
    pub over_idle_low_minor: f64,
    /// Share of rows on which model and rule differ.
    pub disagreement: f64,
}

/// Judges the months under `policy`. Fails only when a month cannot be computed at all.
pub fn judge(
    policy: &HistoryPolicy,
    months: &[MonthRows],
    currency: Currency,
) -> Result<GateResult, DomainError> {
    let mut all = MonthRows { month: "all".to_owned(), ..MonthRows::default() };
    let mut figures = Vec::with_capacity(months.len() + 1);
    for (index, month) in months.iter().enumerate() {
        figures.push(measure(policy, month, policy.seed.wrapping_add(index as u64 + 1))?);
        all.scores.extend_from_slice(&month.scores);
        all.outcomes.extend_from_slice(&month.outcomes);
        all.model_minor.extend_from_slice(&month.model_minor);
        all.holdout_minor.extend_from_slice(&month.holdout_minor);
        all.idle_minor.extend_from_slice(&month.idle_minor);
        all.disagreements += month.disagreements;
    }
    let total = measure(policy, &all, policy.seed)?;
    let ahead = figures.iter().filter(|m| m.gain_minor > 0.0).count();
    let checks = checks(policy, &figures, &total, ahead, currency);
    let praise = format!(
        "{} against the holdout rule ({} to {}, grade {}), ahead in {ahead} of {} months, AUC {}",
        whole(total.gain_minor, currency),
        whole(total.gain_low_minor, currency),
        whole(total.gain_high_minor, currency),
        Grade::C,
        figures.len(),
        auc_text(total.auc),
    );
    let detail = serde_json::json!({
        "months": figures, "all": total, "grade": Grade::C, "level": policy.level,
        "resamples": policy.resamples, "seed": policy.seed, "currency": currency,
    });
    Ok(GateResult::gather(Gate::History, praise, checks, detail))
}

fn checks(
    policy: &HistoryPolicy,
    months: &[MonthFigures],
    total: &MonthFigures,
    ahead: usize,
    currency: Currency,
) -> Vec<Check> {
    let empty: Vec<&str> = months.iter().filter(|m| m.rows == 0).map(|m| m.month.as_str()).collect();
    let ratio = total.observed / total.expected;
    let calibrated = (policy.min_observed_over_expected..=policy.max_observed_over_expected).contains(&ratio);
    let floor = policy.min_value_against_holdout.0 as f64;
    vec![
        Check::new(
            format!("{} months of history after training", policy.months),
            if empty.is_empty() {
                format!("{} months", months.len())
            } else {
                format!("no rows in {}", empty.join(", "))
            },
            empty.is_empty() && months.len() == policy.months as usize,
        ),
        Check::new(
            format!("AUC at least {:.2}", policy.min_auc),
            auc_text(total.auc),
            total.auc.is_some_and(|auc| auc >= policy.min_auc),
        ),
        Check::new(
            format!(
                "observed over predicted between {:.2} and {:.2}",
                policy.min_observed_over_expected, policy.max_observed_over_expected
            ),
            format!("{ratio:.2}"),
            calibrated,
        ),
        Check::new(
            format!("value against the holdout rule surely above {}", whole(floor, currency)),
            format!(
                "{} ({} to {}, {:.0} % bootstrap interval, grade C)",
                whole(total.gain_minor, currency),
                whole(total.gain_low_minor, currency),
                whole(total.gain_high_minor, currency),
                policy.level * 100.0
            ),
            total.gain_low_minor > floor,
        ),
        Check::new(
            format!(
                "value against doing nothing surely above {}",
                whole(policy.min_value_against_idle.0 as f64, currency)
            ),
            format!(
                "{} (at least {})",
                whole(total.over_idle_minor, currency),
                whole(total.over_idle_low_minor, currency)
            ),
            total.over_idle_low_minor > policy.min_value_against_idle.0 as f64,
        ),
        Check::new(
            format!("ahead of the holdout rule in at least {} months", policy.min_months_ahead),
            format!("{ahead} of {}", months.len()),
            ahead >= policy.min_months_ahead as usize,
        ),
    ]
}

fn measure(policy: &HistoryPolicy, rows: &MonthRows, seed: u64) -> Result<MonthFigures, DomainError> {
    let count = rows.scores.len();
    let month = rows.month.clone();
    if count == 0 {
        return Ok(MonthFigures {
            month,
            rows: 0,
            observed: 0.0,
            expected: 0.0,
            auc: None,
            brier: 0.0,
            model_minor: 0.0,
            holdout_minor: 0.0,
            gain_minor: 0.0,
            gain_low_minor: 0.0,
            gain_high_minor: 0.0,
            over_idle_minor: 0.0,
            over_idle_low_minor: 0.0,
            disagreement: 0.0,
        });
    }
    let wrong =
        |e: greenlight_stats::StatsError| DomainError::invalid(format!("history.{month}"), e.to_string());
    let gains: Vec<f64> = rows.model_minor.iter().zip(&rows.holdout_minor).map(|(m, h)| m - h).collect();
    let gain: Interval = bootstrap::sum(&gains, policy.resamples, policy.level, seed).map_err(wrong)?;
    let over_idle: Vec<f64> = rows.model_minor.iter().zip(&rows.idle_minor).map(|(m, i)| m - i).collect();
    let over_idle = bootstrap::sum(&over_idle, policy.resamples, policy.level, seed).map_err(wrong)?;
    let positives = rows.outcomes.iter().filter(|o| **o).count();
    Ok(MonthFigures {
        rows: count as u64,
        observed: positives as f64 / count as f64,
        expected: rows.scores.iter().sum::<f64>() / count as f64,
        auc: ranking::auc(&rows.scores, &rows.outcomes).ok(),
        brier: calibration::brier(&rows.scores, &rows.outcomes).map_err(wrong)?,
        model_minor: rows.model_minor.iter().sum(),
        holdout_minor: rows.holdout_minor.iter().sum(),
        gain_minor: gain.estimate,
        gain_low_minor: gain.low,
        gain_high_minor: gain.high,
        over_idle_minor: over_idle.estimate,
        over_idle_low_minor: over_idle.low,
        disagreement: rows.disagreements as f64 / count as f64,
        month,
    })
}

fn auc_text(auc: Option<f64>) -> String {
    auc.map_or_else(|| "undefined (one class only)".to_owned(), |auc| format!("{auc:.3}"))
}
