//! What scores: a model version, and for an endpoint also what it would decide.
//!
//! The file comes from the server that knows it and is scored here, in the same runtime that serves. Every row gets
//! the decision with the highest expected value, as serving decides; no unit is held out.

use std::sync::Arc;

use arrow_array::RecordBatch;
use greenlight_app::AppError;
use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError};
use greenlight_domain::evidence::hex;
use greenlight_domain::frame::Field;
use greenlight_domain::training::split_version;
use greenlight_domain::value_model::{ValueModel, ValueModelSpec};
use greenlight_inference::Runtime;
use greenlight_lake::score::{Piece, result_rows};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::demo::text;
use crate::failure::Failure;

/// Which model is asked.
pub(crate) enum Which {
    /// `name@version`.
    Model(String),
    /// The champion of an endpoint, with its value model.
    Endpoint(String),
}

struct Policy {
    endpoint: String,
    digest: String,
    value: ValueModel,
}

/// A loaded model, ready to score pieces.
pub(crate) struct Scorer {
    reference: String,
    sha256: String,
    model: Arc<dyn Model>,
    features: Arc<[Field]>,
    policy: Option<Policy>,
}

impl Scorer {
    /// Asks the server for the model's file and the endpoint's policy.
    pub(super) async fn fetch(client: &Client, which: &Which) -> Result<Self, Failure> {
        let (reference, policy) = match which {
            Which::Model(reference) => (reference.clone(), None),
            Which::Endpoint(name) => policy(client, name).await?,
        };
        let (name, version) = split_version(&reference).map_err(|e| Failure::Input(e.to_string()))?;
        let bytes = client.download(&format!("/v1/models/{name}/versions/{version}/artifact")).await?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let model = tokio::task::block_in_place(|| Runtime.load(&bytes)).map_err(AppError::from)?;
        let inputs = &model.signature().inputs;
        let features = policy.as_ref().map_or_else(|| Arc::clone(inputs), |p| Arc::clone(p.value.features()));
        if let Some(missing) = inputs.iter().find(|input| !features.contains(input)) {
            let problem = format!("{reference} takes '{}', which the endpoint does not have", missing.name);
            return Err(Failure::Input(problem));
        }
        Ok(Self { reference, sha256, model, features, policy })
    }

    /// Columns that every row needs.
    pub(super) fn features(&self) -> &Arc<[Field]> {
        &self.features
    }

    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn endpoint(&self) -> Option<&str> {
        self.policy.as_ref().map(|policy| policy.endpoint.as_str())
    }

    /// The endpoint and the digest of what it decides by.
    pub(super) fn policy(&self) -> Option<(String, String)> {
        self.policy.as_ref().map(|policy| (policy.endpoint.clone(), policy.digest.clone()))
    }

    /// The results of each piece, in order, on all cores. Blocks.
    pub(super) fn score(&self, pieces: &[Piece]) -> Result<Vec<RecordBatch>, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = pieces.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let shares: Vec<_> = pieces
                .chunks(share)
                .map(|some| {
                    scope.spawn(|| some.iter().map(|piece| self.piece(piece)).collect::<Result<Vec<_>, _>>())
                })
                .collect();
            let mut results = Vec::with_capacity(pieces.len());
            for share in shares {
                let joined = share.join();
                let panicked = |_| Failure::Input("a scoring thread panicked; this is a defect".to_owned());
                results.extend(joined.map_err(panicked)??);
            }
            Ok(results)
        })
    }

    fn piece(&self, piece: &Piece) -> Result<RecordBatch, Failure> {
        let at = |e: &dyn std::fmt::Display, row: usize| {
            Failure::Input(format!("row {}: {e}", piece.before + row as u64 + 1))
        };
        let probabilities = self.model.score(&piece.features).map_err(|e| at(&e, 0))?;
        if probabilities.len() != piece.kept.num_rows() {
            let problem = RuntimeError::Scoring(format!(
                "{} scores for {} rows",
                probabilities.len(),
                piece.kept.num_rows()
            ));
            return Err(at(&problem, 0));
        }
        let Some(policy) = &self.policy else {
            return Ok(result_rows(&piece.kept, probabilities, None).map_err(AppError::from)?);
        };
        let mut decisions = Vec::with_capacity(probabilities.len());
        let mut worth = Vec::with_capacity(policy.value.decisions.len());
        for (row, probability) in probabilities.iter().enumerate() {
            worth.clear();
            policy.value.worth(&piece.features, row, &mut worth).map_err(|e| at(&e, row))?;
            decisions.push(Arc::clone(policy.value.choose(&piece.features, row, &worth, *probability)));
        }
        Ok(result_rows(&piece.kept, probabilities, Some(&decisions)).map_err(AppError::from)?)
    }
}

/// The champion of an endpoint and what it decides by.
async fn policy(client: &Client, name: &str) -> Result<(String, Option<Policy>), Failure> {
    let view = client.get(&format!("/v1/endpoints/{name}")).await?;
    let champion = &view["routes"]["champion"];
    if champion.is_null() {
        return Err(AppError::Conflict(format!(
            "endpoint '{name}' has no champion yet: its holdout rule decides; score with --model NAME@V instead"
        ))
        .into());
    }
    let reference = format!("{}@{}", text(champion, "model"), champion["version"]);
    let initiative = client.get(&format!("/v1/initiatives/{}", text(&view["spec"], "initiative"))).await?;
    let unreadable =
        |e: serde_json::Error| Failure::Unreachable(format!("the server's answer cannot be read: {e}"));
    let spec: &Value = &initiative["spec"]["value"];
    let digest = hex(&Sha256::digest(spec.to_string()));
    let spec: ValueModelSpec = serde_json::from_value(spec.clone()).map_err(unreadable)?;
    let features: Vec<Field> = serde_json::from_value(view["request"].clone()).map_err(unreadable)?;
    let features: Arc<[Field]> = features.into();
    let value = ValueModel::compile(&spec, &features).map_err(AppError::from)?;
    Ok((reference, Some(Policy { endpoint: name.to_owned(), digest, value })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, StringArray};
    use greenlight_domain::frame::{Column, Frame};
    use greenlight_domain::model::Signature;
    use greenlight_domain::money::Currency;

    /// A model whose probability is its input.
    struct Echo(Signature);

    impl Model for Echo {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
            Ok(rows.numbers("p").map_err(|e| RuntimeError::Signature(e.to_string()))?.to_vec())
        }

        fn flavor(&self) -> &'static str {
            "echo"
        }

        fn memory_bytes(&self) -> usize {
            0
        }
    }

    fn scorer(expression: &str) -> Scorer {
        let spec = ValueModelSpec {
            expression: expression.to_owned(),
            currency: Currency::EUR,
            assumptions: vec![],
            outcome: "bought".to_owned(),
            decisions: vec!["skip".to_owned(), "call".to_owned()],
            window_days: 7,
        };
        let features: Arc<[Field]> = [Field::number("earns"), Field::number("p")].into();
        let value = ValueModel::compile(&spec, &features).unwrap();
        let inputs: Arc<[Field]> = [Field::number("p")].into();
        let signature = Signature { inputs, outputs: [Field::number("probability")].into() };
        Scorer {
            reference: "echo@1".to_owned(),
            sha256: String::new(),
            model: Arc::new(Echo(signature)),
            features,
            policy: Some(Policy { endpoint: "calls".to_owned(), digest: String::new(), value }),
        }
    }

    fn piece(before: u64, rows: &[(f64, f64)]) -> Piece {
        let features: Arc<[Field]> = [Field::number("earns"), Field::number("p")].into();
        let columns = vec![
            Column::Number(rows.iter().map(|r| r.0).collect()),
            Column::Number(rows.iter().map(|r| r.1).collect()),
        ];
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "c1")));
        let kept = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        Piece { before, features: Frame::new(features, columns).unwrap(), kept }
    }

    #[test]
    fn every_row_gets_the_decision_of_the_highest_expected_value() {
        let calls =
            scorer("CASE WHEN decision = 'call' THEN outcomes.bought * features.earns - 5 ELSE 0 END");
        // A call costs €5: worth it from p = 5 / earns on.
        let pieces: Vec<Piece> =
            (0..9).map(|i| piece(i * 3, &[(10.0, 0.49), (10.0, 0.51), (100.0, 0.06)])).collect();
        let results = calls.score(&pieces).unwrap();
        assert_eq!(results.len(), 9);
        for batch in &results {
            let decisions = batch.column_by_name("decision").unwrap().as_string::<i32>();
            assert_eq!(decisions.iter().flatten().collect::<Vec<_>>(), ["skip", "call", "call"]);
        }
    }

    #[test]
    fn a_row_that_could_not_be_valued_is_named() {
        let calls =
            scorer("CASE WHEN decision = 'call' THEN outcomes.bought * features.earns - 5 ELSE 0 END");
        let pieces = [piece(0, &[(10.0, 0.5)]), piece(1, &[(10.0, 0.5), (f64::NAN, 0.5)])];
        let error = calls.score(&pieces).unwrap_err().to_string();
        assert!(error.starts_with("row 3: ") && error.contains("coalesce"), "{error}");
    }
}
