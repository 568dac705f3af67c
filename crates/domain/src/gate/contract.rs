//! The contract gate: could this model have been asked at decision time, and was it judged on data it never saw?

use serde_json::json;

use crate::dataset::{ColumnRole, DatasetSpec, Known};
use crate::evidence::{Check, Gate, GateResult};
use crate::frame::Field;
use crate::model::ModelVersion;
use crate::time::Micros;

/// Judges `model` for an endpoint that asks its clients for `available`, with history judged from `test_from` on.
pub fn judge(
    model: &ModelVersion,
    dataset: &DatasetSpec,
    available: &[Field],
    test_from: Micros,
) -> GateResult {
    let inputs = &model.signature.inputs;
    let leaks: Vec<&str> =
        inputs.iter().map(|f| f.name.as_ref()).filter(|name| leaks(dataset, name)).collect();
    let missing: Vec<&str> = inputs
        .iter()
        .filter(|f| !leaks.contains(&f.name.as_ref()) && !available.contains(f))
        .map(|f| f.name.as_ref())
        .collect();
    let checks = vec![
        Check::new(
            "every feature is known before the decision",
            if leaks.is_empty() {
                format!("{} features, all known before", inputs.len())
            } else {
                format!("{} is known only after the decision (leak)", leaks.join(", "))
            },
            leaks.is_empty(),
        ),
        Check::new(
            "the endpoint carries every feature with its type",
            if missing.is_empty() {
                "all carried".to_owned()
            } else {
                format!("{} is not in the request", missing.join(", "))
            },
            missing.is_empty(),
        ),
        Check::new(
            "training ends before the test window begins",
            format!("trained until {}, tested from {}", model.trained_until.date(), test_from.date()),
            model.trained_until <= test_from,
        ),
    ];
    let praise = format!("{} features, all known before the decision; windows do not overlap", inputs.len());
    let detail = json!({ "leaks": leaks, "missing": missing });
    GateResult::gather(Gate::Contract, praise, checks, detail)
}

fn leaks(dataset: &DatasetSpec, name: &str) -> bool {
    dataset.contract.get(name).is_some_and(|c| c.known == Known::After || c.role == ColumnRole::Outcome)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dataset::ColumnContract;
    use crate::frame::ColumnType;
    use crate::model::Signature;

    fn column(known: Known, role: ColumnRole) -> ColumnContract {
        ColumnContract {
            column_type: ColumnType::Number,
            known,
            role,
            description: None,
            min: None,
            max: None,
            values: vec![],
            nullable: false,
        }
    }

    fn dataset() -> DatasetSpec {
        DatasetSpec {
            description: String::new(),
            licence: String::new(),
            file: String::new(),
            sha256: String::new(),
            positive: "yes".into(),
            contract: BTreeMap::from([
                ("balance".to_owned(), column(Known::Before, ColumnRole::Feature)),
                ("duration".to_owned(), column(Known::After, ColumnRole::Feature)),
                ("y".to_owned(), column(Known::After, ColumnRole::Outcome)),
            ]),
        }
    }

    fn model(inputs: &[&str]) -> ModelVersion {
        ModelVersion {
            name: "m".into(),
            version: 1,
            run_id: String::new(),
            signature: Signature {
                inputs: inputs.iter().map(|n| Field::number(n)).collect(),
                outputs: [].into(),
            },
            flavor: String::new(),
            sha256: String::new(),
            size_bytes: 0,
            dataset: "bank@1".into(),
            trained_until: Micros(100),
            score_edges: vec![],
            score_counts: vec![],
            author: String::new(),
            created_at: Micros(0),
            registered: None,
        }
    }

    fn check(inputs: &[&str], test_from: i64, expected: Result<(), &str>) {
        let dataset = dataset();
        let result = judge(&model(inputs), &dataset, &dataset.decision_time_features(), Micros(test_from));
        match expected {
            Ok(()) => assert!(result.passed, "{}", result.summary),
            Err(reason) => {
                assert!(!result.passed);
                assert!(result.summary.contains(reason), "{}", result.summary);
            }
        }
    }

    #[test]
    fn a_leak_an_unknown_feature_and_an_overlap_are_each_named() {
        check(&["balance"], 100, Ok(()));
        check(&["balance", "duration"], 100, Err("duration is known only after the decision"));
        check(&["y"], 100, Err("y is known only after the decision"));
        check(&["income"], 100, Err("income is not in the request"));
        check(&["balance"], 99, Err("training ends before the test window begins"));
    }
}
