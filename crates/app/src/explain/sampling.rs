//! Which explanation a model gets: its own where that adds up to its score, otherwise sampled orders against rows of
//! the log, which always add up. Refuses to show one that does not.

use std::sync::Arc;

use greenlight_domain::dataset::ColumnRole;
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::training::split_version;
use greenlight_stats::shapley;
use serde::Serialize;

use super::{Contribution, ScoreExplanation};
use crate::live::LiveEndpoint;
use crate::prediction::{DEFAULT_DAYS, cells, newest_days};
use crate::runtime::{Explanation, Model};
use crate::{App, AppError};

/// Most orders that may be asked for.
pub const MAX_PERMUTATIONS: usize = 2_048;
const DEFAULT_PERMUTATIONS: usize = 256;
const DEFAULT_SEED: u64 = 7;
/// Most rows that one explanation scores.
const MAX_SCORED: usize = 200_000;
const BACKGROUND_ROWS: usize = 128;
/// Rows of a data set that are drawn when the log is empty come from its last days.
const DATASET_DAYS: i64 = 28;
/// How far an exact explanation may miss the score: XGBoost's arithmetic is in single precision.
const TOLERANCE: f64 = 1e-5;

/// How contributions were sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// Orders that were walked.
    pub permutations: usize,
    /// Seed that chose them.
    pub seed: u64,
    /// Rows that stand for what is not known.
    pub background_rows: usize,
    /// Where these come from.
    pub background: String,
}

/// How many orders, and from which seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pairs: usize,
    seed: u64,
}

impl Plan {
    pub(super) fn new(permutations: Option<usize>, seed: Option<u64>) -> Result<Self, AppError> {
        let permutations = permutations.unwrap_or(DEFAULT_PERMUTATIONS);
        if !(2..=MAX_PERMUTATIONS).contains(&permutations) {
            return Err(AppError::Invalid(format!(
                "permutations: {permutations} is not between 2 and {MAX_PERMUTATIONS}"
            )));
        }
        Ok(Self { pairs: permutations.div_ceil(2), seed: seed.unwrap_or(DEFAULT_SEED) })
    }
}

/// Rows that stand for what is not known, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Background {
    rows: Frame,
    source: String,
}

/// What the model says about itself, where it does and where that adds up to what it scores.
pub(super) fn own(model: &dyn Model, frame: &Frame, probability: f64) -> Option<Explanation> {
    let own = model.explain(frame, 0).ok()?;
    let score = own.expected + own.contributions.iter().sum::<f64>();
    let reached = if own.unit == "log-odds" { 1.0 / (1.0 + (-score).exp()) } else { score };
    ((reached - probability).abs() <= TOLERANCE).then_some(own)
}

/// Rows of the newest days of the log; of the data set while the log is empty.
pub(super) async fn background(
    app: &App,
    endpoint: &str,
    live: &LiveEndpoint,
) -> Result<Background, AppError> {
    if let Some((_, window)) = newest_days(app, endpoint, DEFAULT_DAYS).await? {
        let sample = app.lake.log_sample(endpoint, window, BACKGROUND_ROWS).await?;
        if sample.features.rows() > 0 {
            let source = format!("sampled from the log of {} to {}", window.from.date(), window.until.date());
            return Ok(Background { rows: sample.features, source });
        }
    }
    let (name, version) = split_version(&live.spec.dataset)?;
    let mut connection = app.store.read().await?;
    let (dataset, _) = greenlight_store::dataset::get(&mut connection, name, version)
        .await?
        .ok_or_else(|| AppError::not_found("dataset", &live.spec.dataset, ""))?;
    drop(connection);
    let time = dataset.column_of(ColumnRole::Time).unwrap_or_default().to_owned();
    let file = app.artifacts.file(&dataset.sha256).await?;
    let times = app.lake.read_dataset(&file, std::slice::from_ref(&time), &time, None).await?;
    let newest = times.numbers(&time)?.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !newest.is_finite() {
        return Err(AppError::Conflict(format!(
            "neither the log of '{endpoint}' nor data set '{}' has rows to compare with",
            live.spec.dataset
        )));
    }
    let until = greenlight_domain::time::Micros((newest as i64).saturating_add(1));
    let columns: Vec<String> = live.features.iter().map(|field| field.name.to_string()).collect();
    let window = Some((until.plus_days(-DATASET_DAYS), until));
    let rows = app.lake.read_dataset(&file, &columns, &time, window).await?;
    let step = rows.rows().div_ceil(BACKGROUND_ROWS).max(1);
    let drawn: Vec<usize> = (0..rows.rows()).step_by(step).collect();
    let source =
        format!("the last {DATASET_DAYS} days of data set {}, every {step}th row", live.spec.dataset);
    Ok(Background { rows: rows.take(&drawn), source })
}

/// The model's own explanation, as it is shown.
pub(super) fn exact(
    model: &dyn Model,
    frame: &Frame,
    own: Explanation,
) -> Result<ScoreExplanation, AppError> {
    let score = own.expected + own.contributions.iter().sum::<f64>();
    let amounts = own.contributions.into_iter().map(|amount| (amount, None));
    Ok(ScoreExplanation {
        method: own.method.to_owned(),
        unit: own.unit,
        expected: own.expected,
        score,
        contributions: contributions(model, frame, amounts)?,
        sampling: None,
    })
}

/// Shapley values of the probability: the value of a set of inputs is the mean score over background rows, of which
/// each pair of orders takes one (the interventional game of Lundberg & Lee, NeurIPS 2017).
pub(super) fn sampled(
    model: &dyn Model,
    frame: &Frame,
    probability: f64,
    background: &Background,
    plan: Plan,
) -> Result<ScoreExplanation, AppError> {
    let inputs = &model.signature().inputs;
    let row = frame.select(inputs)?;
    let others = background.rows.select(inputs)?;
    let walk = 2 * (inputs.len() + 1);
    let pairs = plan.pairs.min(MAX_SCORED / walk.max(1)).max(1);
    let rows = others.rows();
    if rows == 0 {
        return Err(AppError::Conflict("there is no row to compare this one with".to_owned()));
    }
    let found = shapley::sampled(inputs.len(), pairs, plan.seed, |pair, order| {
        let mixed = mixed(inputs, &row, &others, pair % rows, order)?;
        let scores = model.score(&mixed)?;
        if scores.len() != walk {
            return Err(AppError::Invalid(format!("the model scored {} rows of {walk}", scores.len())));
        }
        let (forwards, backwards) = scores.split_at(walk / 2);
        Ok([forwards.to_vec(), backwards.to_vec()])
    })?;
    let amounts = found.credits.iter().copied().zip(found.standard_errors.iter().map(|error| Some(*error)));
    Ok(ScoreExplanation {
        method: "permutation SHAP (sampled, interventional)".to_owned(),
        unit: "probability",
        expected: found.nobody,
        score: probability,
        contributions: contributions(model, frame, amounts)?,
        sampling: Some(Sampling {
            permutations: pairs * 2,
            seed: plan.seed,
            background_rows: rows.min(pairs),
            background: background.source.clone(),
        }),
    })
}

/// The rows of both walks of a pair: after `n` steps the first `n` inputs of the order come from the row and the others
/// from the background.
fn mixed(
    inputs: &Arc<[Field]>,
    row: &Frame,
    others: &Frame,
    other: usize,
    order: &[usize],
) -> Result<Frame, AppError> {
    let players = order.len();
    let mut places = vec![0; players];
    for (place, player) in order.iter().enumerate() {
        places[*player] = place;
    }
    let joined = |player: usize| {
        let place = places[player];
        let forwards = (0..=players).map(move |step| place < step);
        let backwards = (0..=players).map(move |step| players - 1 - place < step);
        forwards.chain(backwards)
    };
    let columns = row.columns().iter().zip(others.columns()).enumerate().map(|(player, pair)| match pair {
        (Column::Number(own), Column::Number(base)) => {
            Column::Number(joined(player).map(|is_in| if is_in { own[0] } else { base[other] }).collect())
        }
        (Column::Text(own), Column::Text(base)) => Column::Text(
            joined(player).map(|is_in| if is_in { own[0].clone() } else { base[other].clone() }).collect(),
        ),
        // `select` gave both the same schema.
        (own, _) => own.clone(),
    });
    Ok(Frame::new(Arc::clone(inputs), columns.collect())?)
}

fn contributions(
    model: &dyn Model,
    frame: &Frame,
    amounts: impl Iterator<Item = (f64, Option<f64>)>,
) -> Result<Vec<Contribution>, AppError> {
    let values = cells(&frame.select(&model.signature().inputs)?, 0);
    let mut all: Vec<Contribution> = values
        .into_iter()
        .zip(amounts)
        .map(|((feature, value), (amount, standard_error))| Contribution {
            feature,
            value,
            amount,
            standard_error,
        })
        .collect();
    all.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::RuntimeError;
    use greenlight_domain::model::Signature;

    /// `1 / (1 + exp(-(a · b + a + b)))`, whatever `c` is.
    struct Product(Signature);

    fn fields() -> Arc<[Field]> {
        [Field::number("a"), Field::text("c"), Field::number("b")].into()
    }

    fn model() -> Product {
        Product(Signature { inputs: fields(), outputs: [Field::number("probability")].into() })
    }

    fn frame(rows: &[(f64, f64)]) -> Frame {
        let columns = vec![
            Column::Number(rows.iter().map(|row| row.0).collect()),
            Column::Text(rows.iter().enumerate().map(|(at, _)| Some(at.to_string().into())).collect()),
            Column::Number(rows.iter().map(|row| row.1).collect()),
        ];
        Frame::new(fields(), columns).unwrap()
    }

    impl Model for Product {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
            let (a, b) = (rows.numbers("a").unwrap(), rows.numbers("b").unwrap());
            Ok(a.iter().zip(b).map(|(a, b)| 1.0 / (1.0 + (-(a * b + a + b)).exp())).collect())
        }

        fn flavor(&self) -> &'static str {
            "product"
        }

        fn memory_bytes(&self) -> usize {
            0
        }

        /// Wrong on purpose: it adds up to no score but that of a probability of one half.
        fn explain(&self, _: &Frame, _: usize) -> Result<Explanation, RuntimeError> {
            Ok(Explanation { method: "wrong", unit: "log-odds", expected: 0.0, contributions: vec![0.0; 3] })
        }
    }

    fn sample(row: (f64, f64), background: &[(f64, f64)], permutations: usize) -> ScoreExplanation {
        let (model, frame_of_row) = (model(), frame(&[row]));
        let probability = model.score(&frame_of_row).unwrap()[0];
        let background = Background { rows: frame(background), source: "a test".to_owned() };
        let plan = Plan::new(Some(permutations), Some(3)).unwrap();
        sampled(&model, &frame_of_row, probability, &background, plan).unwrap()
    }

    fn amount(explanation: &ScoreExplanation, feature: &str) -> f64 {
        explanation.contributions.iter().find(|part| part.feature == feature).unwrap().amount
    }

    #[test]
    fn contributions_add_up_however_few_orders_are_walked() {
        for permutations in [2, 3, 64] {
            let found = sample((0.7, -1.3), &[(0.0, 0.0), (2.0, 1.0), (-1.0, 0.5)], permutations);
            let sum = found.expected + found.contributions.iter().map(|part| part.amount).sum::<f64>();
            assert!((sum - found.score).abs() < 1e-12, "{permutations}: {sum} {}", found.score);
            assert_eq!(amount(&found, "c").abs(), 0.0, "an input that the model does not read adds nothing");
        }
    }

    #[test]
    fn symmetric_inputs_add_the_same() {
        let found = sample((1.2, 1.2), &[(0.1, 0.1), (-0.4, -0.4)], 8);
        assert!((amount(&found, "a") - amount(&found, "b")).abs() < 1e-12);
    }

    /// By hand, against one row at the origin: f(0,0) = 1/2, f(1,0) = f(0,1) = 1/(1+e⁻¹), f(1,1) = 1/(1+e⁻³); each of
    /// the two adds half of f(1,1) − f(0,0).
    #[test]
    fn a_game_that_can_be_solved_by_hand() {
        let found = sample((1.0, 1.0), &[(0.0, 0.0)], 2);
        let whole = 1.0 / (1.0 + (-3.0_f64).exp()) - 0.5;
        assert!((found.expected - 0.5).abs() < 1e-12);
        assert!((amount(&found, "a") - whole / 2.0).abs() < 1e-12);
        assert_eq!(found.sampling.unwrap().permutations, 2);
    }

    #[test]
    fn an_explanation_that_does_not_add_up_is_not_taken() {
        let model = model();
        let at_half = frame(&[(0.0, 0.0)]);
        assert!(own(&model, &at_half, 0.5).is_some());
        assert!(own(&model, &at_half, 0.6).is_none());
    }

    #[test]
    fn too_many_orders_are_refused() {
        assert!(Plan::new(Some(1), None).is_err() && Plan::new(Some(MAX_PERMUTATIONS + 1), None).is_err());
        assert!(Plan::new(Some(MAX_PERMUTATIONS), None).is_ok());
    }
}
