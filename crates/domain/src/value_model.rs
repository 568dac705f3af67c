//! The value model: the SQL expression that turns one (features, output, decision, outcomes) into money.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::expression::{Cell, Expression, Kind, Scope};
use crate::frame::{Column, ColumnType, Field, Frame};
use crate::money::{Currency, is_bookable, minor_from_major};
use crate::time::Micros;

/// A value model as its owner writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueModelSpec {
    /// SQL over `features.<column>`, `output.probability`, `decision` and `outcomes.<name>`, in major units.
    pub expression: String,
    /// Which money.
    pub currency: Currency,
    /// What was assumed; shown wherever a figure appears.
    pub assumptions: Vec<String>,
    /// The outcome that the model's probability is about. It is 0 or 1.
    pub outcome: String,
    /// What may be decided, the first being what is done when nothing earns.
    pub decisions: Vec<String>,
    /// Days after a prediction within which an outcome counts; after that an absent outcome is read as 0.
    pub window_days: u16,
}

/// A stretch of event time whose predictions one version of the value model values, until the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Its first event time.
    pub from: Micros,
    /// Which version.
    pub version: i64,
}

/// The periods after `version` has taken over from `from` on, and until `until` when there is one. `periods` are in
/// order; before the first of them, version 1 counts.
///
/// Worked example: version 1 throughout, restated by version 2 from 10 until 20, makes 1, 2 from 10, 1 from 20.
pub fn taken_over(periods: &[Period], (from, until): (Micros, Option<Micros>), version: i64) -> Vec<Period> {
    let mut after: Vec<Period> = periods.iter().copied().filter(|period| period.from < from).collect();
    after.push(Period { from, version });
    if let Some(until) = until {
        after.push(Period { from: until, version: version_at(periods, until) });
        after.extend(periods.iter().filter(|period| period.from > until));
    }
    after.dedup_by(|next, before| next.version == before.version);
    after
}

/// The version that values predictions of that time.
pub fn version_at(periods: &[Period], at: Micros) -> i64 {
    let begun = periods.partition_point(|period| period.from <= at);
    begun.checked_sub(1).and_then(|last| periods.get(last)).map_or(1, |period| period.version)
}

/// A checked value model, ready to value rows and to decide.
#[derive(Debug, Clone)]
pub struct ValueModel {
    expression: Expression,
    /// Names of the decisions, in the order of the manifest.
    pub decisions: Vec<Arc<str>>,
    /// Which money.
    pub currency: Currency,
    features: Arc<[Field]>,
    /// Whether a value may depend on the model's probability.
    reads_probability: bool,
}

/// One row to be valued: a position in a frame plus what was scored, done and seen.
#[derive(Debug, Clone, Copy)]
pub struct Valued<'a> {
    /// Features, with the schema the value model was compiled for.
    pub frame: &'a Frame,
    /// Which row of the frame.
    pub row: usize,
    /// The model's probability; NaN when no model was asked.
    pub probability: f64,
    /// What was done.
    pub decision: &'a str,
    /// What happened: 0 or 1.
    pub outcome: f64,
}

struct Columns<'a> {
    features: &'a [Field],
    outcome: &'a str,
}

const PROBABILITY: usize = 0;
const DECISION: usize = 1;
const OUTCOME: usize = 2;
const FEATURES: usize = 3;

impl Scope for Columns<'_> {
    fn resolve(&self, table: &str, column: &str) -> Option<(usize, Kind)> {
        match (table, column) {
            ("", "decision") => Some((DECISION, Kind::Text)),
            ("output", "probability") => Some((PROBABILITY, Kind::Number)),
            ("outcomes", name) if name == self.outcome => Some((OUTCOME, Kind::Number)),
            ("features", name) => {
                let at = self.features.iter().position(|f| f.name.as_ref() == name)?;
                let kind = match self.features[at].column_type {
                    ColumnType::Number => Kind::Number,
                    ColumnType::Text => Kind::Text,
                };
                Some((FEATURES + at, kind))
            }
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        let fixed =
            ["decision".to_owned(), "output.probability".to_owned(), format!("outcomes.{}", self.outcome)];
        fixed.into_iter().chain(self.features.iter().map(|f| format!("features.{}", f.name))).collect()
    }
}

impl ValueModel {
    /// Checks `spec` against the features of an endpoint or data set.
    pub fn compile(spec: &ValueModelSpec, features: &Arc<[Field]>) -> Result<Self, DomainError> {
        if spec.decisions.len() < 2 {
            return Err(DomainError::invalid(
                "value.decisions",
                "needs at least two things that can be done",
            ));
        }
        if !(1..=3_650).contains(&spec.window_days) {
            return Err(DomainError::invalid("value.window_days", "must be 1 to 3650"));
        }
        let scope = Columns { features, outcome: &spec.outcome };
        let expression = Expression::parse(&spec.expression, &scope)?;
        if expression.kind() != Kind::Number {
            return Err(DomainError::Expression("the result is not a number".to_owned()));
        }
        let decisions = spec.decisions.iter().map(|d| d.as_str().into()).collect();
        let reads_probability = expression.reads(PROBABILITY);
        let features = Arc::clone(features);
        Ok(Self { expression, decisions, currency: spec.currency, features, reads_probability })
    }

    /// The features that rows must have, in order.
    pub fn features(&self) -> &Arc<[Field]> {
        &self.features
    }

    /// What one row is worth, in major units; `None` when the expression yields NULL.
    pub fn value(&self, row: Valued<'_>) -> Option<f64> {
        let cell = self.expression.evaluate(&|slot| match slot {
            PROBABILITY => Cell::from_number(row.probability),
            DECISION => Cell::Text(row.decision),
            OUTCOME => Cell::from_number(row.outcome),
            other => feature(row.frame, other - FEATURES, row.row),
        });
        cell.number()
    }

    /// What one row is worth in minor units, ready for the ledger.
    pub fn value_minor(&self, row: Valued<'_>) -> Result<i64, DomainError> {
        match self.value(row) {
            Some(major) => minor_from_major(major),
            None => Err(DomainError::Expression(format!(
                "yields NULL for decision '{}' and outcome {}; cover missing values with coalesce",
                row.decision, row.outcome
            ))),
        }
    }

    /// Positions of the features that a value may depend on.
    pub fn reads(&self) -> BTreeSet<usize> {
        (0..self.features.len()).filter(|at| self.expression.reads(FEATURES + at)).collect()
    }

    /// What each decision is expected to be worth for a row whose outcome is 1 with `probability`; negative infinity
    /// for one that cannot be valued. `worth` is what [`Self::worth`] found for the row.
    pub fn expected(
        &self,
        (frame, row): (&Frame, usize),
        worth: &[[f64; 2]],
        probability: f64,
        into: &mut Vec<f64>,
    ) {
        for (decision, known) in self.decisions.iter().zip(worth) {
            let both = if self.reads_probability {
                [0.0, 1.0].map(|outcome| self.value(Valued { frame, row, probability, decision, outcome }))
            } else {
                known.map(Some)
            };
            into.push(match both {
                [Some(not), Some(happened)] => probability * happened + (1.0 - probability) * not,
                _ => f64::NEG_INFINITY,
            });
        }
    }

    /// What each decision is worth for one row, if its outcome is 0 and if it is 1, in major units and in the order of
    /// [`Self::decisions`]; fails when one of them could not be booked.
    ///
    /// Serving asks this before it decides: a row that could not be valued later must not be decided about now.
    pub fn worth(&self, frame: &Frame, row: usize, worth: &mut Vec<[f64; 2]>) -> Result<(), DomainError> {
        for decision in &self.decisions {
            let mut both = [0.0; 2];
            for (place, outcome) in both.iter_mut().zip([0.0, 1.0]) {
                let valued = Valued { frame, row, probability: f64::NAN, decision, outcome };
                match self.value(valued) {
                    Some(major) if is_bookable(major) => *place = major,
                    _ => drop(self.value_minor(valued)?),
                }
            }
            worth.push(both);
        }
        Ok(())
    }

    /// What [`Self::decide`] decides, from what [`Self::worth`] found for the row unless that depends on the
    /// probability.
    pub fn choose(&self, frame: &Frame, row: usize, worth: &[[f64; 2]], probability: f64) -> &Arc<str> {
        if self.reads_probability {
            return self.decide(frame, row, probability);
        }
        let mut best = (0, f64::NEG_INFINITY);
        for (decision, [not, happened]) in worth.iter().enumerate() {
            let expected = probability * happened + (1.0 - probability) * not;
            if expected > best.1 {
                best = (decision, expected);
            }
        }
        &self.decisions[best.0]
    }

    /// The decision with the highest expected value for a row whose outcome is 1 with `probability`.
    ///
    /// E[v | d] = p · v(d, 1) + (1 − p) · v(d, 0), so every row has the threshold that its own costs imply
    /// (Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001). Ties go to the decision that is listed
    /// first. A decision whose value is NULL is not taken.
    pub fn decide(&self, frame: &Frame, row: usize, probability: f64) -> &Arc<str> {
        let mut best = &self.decisions[0];
        let mut best_value = f64::NEG_INFINITY;
        for decision in &self.decisions {
            let worth = |outcome| self.value(Valued { frame, row, probability, decision, outcome });
            if let (Some(happened), Some(not)) = (worth(1.0), worth(0.0)) {
                let expected = probability * happened + (1.0 - probability) * not;
                if expected > best_value {
                    best = decision;
                    best_value = expected;
                }
            }
        }
        best
    }
}

fn feature(frame: &Frame, column: usize, row: usize) -> Cell<'_> {
    match &frame.columns()[column] {
        Column::Number(values) => Cell::from_number(values[row]),
        Column::Text(values) => values[row].as_deref().map_or(Cell::Null, Cell::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> (ValueModel, Frame) {
        let spec = ValueModelSpec {
            expression: "CASE WHEN decision = 'call' THEN outcomes.subscribed * 0.0246333 * 0.25 * \
                         greatest(features.balance, 0) - 5 ELSE 0 END"
                .to_owned(),
            currency: Currency::EUR,
            assumptions: vec![],
            outcome: "subscribed".to_owned(),
            decisions: vec!["skip".to_owned(), "call".to_owned()],
            window_days: 7,
        };
        let fields: Arc<[Field]> = vec![Field::number("balance")].into();
        let frame =
            Frame::new(Arc::clone(&fields), vec![Column::Number(vec![10_000.0, -50.0, f64::NAN])]).unwrap();
        (ValueModel::compile(&spec, &fields).unwrap(), frame)
    }

    #[test]
    fn the_threshold_of_a_row_is_cost_over_benefit() {
        // Elkan: call when p > 5 / (0.0246333 * 0.25 * 10,000) = 0.08119.
        let (model, frame) = bank();
        assert_eq!(model.decide(&frame, 0, 0.0811).as_ref(), "skip");
        assert_eq!(model.decide(&frame, 0, 0.0813).as_ref(), "call");
        // A client without money is never worth a call; a missing balance counts as none (greatest skips NULL).
        assert_eq!(model.decide(&frame, 1, 1.0).as_ref(), "skip");
        assert_eq!(model.decide(&frame, 2, 1.0).as_ref(), "skip");
    }

    #[test]
    fn what_is_chosen_from_the_worth_is_what_is_decided() {
        let fields: Arc<[Field]> = vec![Field::number("balance")].into();
        let columns = vec![Column::Number(vec![10_000.0, -50.0, 300.0])];
        let frame = Frame::new(Arc::clone(&fields), columns).unwrap();
        let (bank, _) = bank();
        let by_probability = ValueModelSpec {
            expression:
                "CASE WHEN decision = 'call' THEN outcomes.y * CASE WHEN output.probability > 0.5 THEN 100 \
                         ELSE 1 END - 5 ELSE 0 END"
                    .to_owned(),
            currency: Currency::EUR,
            assumptions: vec![],
            outcome: "y".to_owned(),
            decisions: vec!["skip".to_owned(), "call".to_owned()],
            window_days: 7,
        };
        let by_probability = ValueModel::compile(&by_probability, &fields).unwrap();
        for model in [bank, by_probability] {
            for row in 0..3 {
                let mut worth = Vec::new();
                model.worth(&frame, row, &mut worth).unwrap();
                for percent in 0..=100 {
                    let p = f64::from(percent) / 100.0;
                    assert_eq!(
                        model.choose(&frame, row, &worth, p),
                        model.decide(&frame, row, p),
                        "{row} {p}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_version_takes_over_a_period_and_gives_it_back() {
        let period = |from, version| Period { from: Micros(from), version };
        let span = |from, until| (Micros(from), Some(Micros(until)));
        let restated = taken_over(&[], span(10, 20), 2);
        assert_eq!(restated, [period(10, 2), period(20, 1)]);
        assert_eq!([5, 10, 19, 20].map(|at| version_at(&restated, Micros(at))), [1, 2, 2, 1]);
        let onward = taken_over(&restated, (Micros(30), None), 3);
        assert_eq!(onward, [period(10, 2), period(20, 1), period(30, 3)]);
        // Over several periods and into one; the rest stays as it is.
        assert_eq!(taken_over(&onward, span(15, 35), 3), [period(10, 2), period(15, 3)]);
        assert_eq!(taken_over(&onward, span(0, 20), 4), [period(0, 4), period(20, 1), period(30, 3)]);
        assert_eq!(taken_over(&onward, span(12, 15), 2), [period(10, 2), period(20, 1), period(30, 3)]);
    }

    #[test]
    fn a_value_enters_the_ledger_in_cents() {
        let (model, frame) = bank();
        let row = Valued { frame: &frame, row: 0, probability: f64::NAN, decision: "call", outcome: 1.0 };
        assert_eq!(model.value_minor(row), Ok(5_658));
        assert_eq!(model.value_minor(Valued { decision: "skip", ..row }), Ok(0));
    }
}
