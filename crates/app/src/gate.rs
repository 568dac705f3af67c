//! Running the gates: read the data, score, value, and let the rules of the domain judge.

use std::sync::Arc;

use greenlight_domain::dataset::{ColumnRole, DatasetSpec};
use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::evidence::GateResult;
use greenlight_domain::frame::Frame;
use greenlight_domain::gate::history::MonthRows;
use greenlight_domain::gate::{contract, history};
use greenlight_domain::initiative::InitiativeSpec;
use greenlight_domain::model::ModelVersion;
use greenlight_domain::policy::PolicySpec;
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::{ValueModel, Valued};
use jiff::ToSpan;

use crate::live::{blocking, load};
use crate::{App, AppError};

/// What a release is judged by.
pub(crate) struct Judged {
    pub model: ModelVersion,
    pub endpoint: EndpointSpec,
    pub initiative: InitiativeSpec,
    pub dataset: DatasetSpec,
    pub policy: PolicySpec,
    /// Version of the initiative's value model.
    pub value_version: i64,
}

/// Runs the gates before traffic. All of them run, even when the first one fails: a person who mends a model wants
/// to know everything at once, and a board wants to see that a leak was stopped although its figures shone.
pub(crate) async fn before_traffic(app: &App, judged: Judged) -> Result<Vec<GateResult>, AppError> {
    let features = judged.dataset.decision_time_features();
    let test_from = judged.model.trained_until;
    let contract = contract::judge(&judged.model, &judged.dataset, &features, test_from);
    let model = load(app, &judged.model.name, judged.model.version).await?;
    let value = ValueModel::compile(&judged.initiative.value, &features)?;
    let mut needed: Vec<String> = features.iter().map(|f| f.name.to_string()).collect();
    for field in judged.model.signature.inputs.iter() {
        if !needed.iter().any(|n| n == field.name.as_ref()) {
            needed.push(field.name.to_string());
        }
    }
    let outcome = judged.dataset.column_of(ColumnRole::Outcome).unwrap_or_default().to_owned();
    let time = judged.dataset.column_of(ColumnRole::Time).unwrap_or_default().to_owned();
    needed.push(outcome.clone());
    let file = app.artifacts.file(&judged.dataset.sha256).await?;
    let mut months = Vec::new();
    for (label, from, until) in month_windows(test_from, judged.policy.history.months)? {
        let frame = app.lake.read_dataset(&file, &needed, &time, Some((from, until))).await?;
        let (model, value, features) = (Arc::clone(&model), value.clone(), Arc::clone(&features));
        let (outcome, positive) = (outcome.clone(), judged.dataset.positive.clone());
        let holdout = judged.endpoint.holdout.decision.clone();
        let rows = blocking(move || {
            let scores = model.score(&frame).map_err(AppError::from)?;
            let outcomes = outcomes(&frame, &outcome, &positive)?;
            let frame = frame.select(&features)?;
            judge_rows(label, &frame, scores, outcomes, &value, &holdout)
        });
        months.push(rows.await??);
    }
    let policy = judged.policy.history.clone();
    let currency = judged.initiative.value.currency;
    let history = blocking(move || history::judge(&policy, &months, currency)).await??;
    Ok(vec![contract, history])
}

fn judge_rows(
    month: String,
    frame: &Frame,
    scores: Vec<f64>,
    outcomes: Vec<bool>,
    value: &ValueModel,
    holdout: &str,
) -> Result<MonthRows, AppError> {
    let mut rows = MonthRows { month, ..MonthRows::default() };
    let idle = Arc::clone(&value.decisions[0]);
    for (row, (probability, happened)) in scores.iter().zip(&outcomes).enumerate() {
        let outcome = f64::from(u8::from(*happened));
        let worth = |decision: &str| {
            value
                .value_minor(Valued { frame, row, probability: *probability, decision, outcome })
                .map(|minor| minor as f64)
        };
        let decision = value.decide(frame, row, *probability);
        rows.model_minor.push(worth(decision)?);
        rows.holdout_minor.push(worth(holdout)?);
        rows.idle_minor.push(worth(&idle)?);
        rows.disagreements += u64::from(decision.as_ref() != holdout);
    }
    rows.scores = scores;
    rows.outcomes = outcomes;
    Ok(rows)
}

/// The outcome column as truth values.
pub(crate) fn outcomes(frame: &Frame, column: &str, positive: &str) -> Result<Vec<bool>, AppError> {
    Ok(frame.texts(column)?.iter().map(|text| text.as_deref() == Some(positive)).collect())
}

/// Consecutive calendar months from `from`: label, begin, end.
fn month_windows(from: Micros, months: u32) -> Result<Vec<(String, Micros, Micros)>, AppError> {
    let start = from.date();
    (0..months)
        .map(|index| {
            let step = |n: u32| start.checked_add(i64::from(n).months()).map(Micros::start_of);
            let (begin, end) = step(index)
                .and_then(|begin| Ok((begin, step(index + 1)?)))
                .map_err(|e| AppError::Invalid(format!("history.months: {e}")))?;
            let date = begin.date();
            Ok((format!("{:04}-{:02}", date.year(), date.month()), begin, end))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar_across_the_year() {
        let windows = month_windows("2008-11-01".parse().unwrap(), 6).unwrap();
        let labels: Vec<&str> = windows.iter().map(|w| w.0.as_str()).collect();
        assert_eq!(labels, ["2008-11", "2008-12", "2009-01", "2009-02", "2009-03", "2009-04"]);
        assert!(windows.windows(2).all(|pair| pair[0].2 == pair[1].1));
        assert_eq!(windows[5].2, "2009-05-01".parse().unwrap());
    }
}
