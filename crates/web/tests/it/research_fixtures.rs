//! Experiments, runs and models made by hand, shared with `examples/gallery.rs`. The figures are invented.

use greenlight_app::experiment::Experiment;
use greenlight_app::experiment_overview::{Count, ExperimentLine, ExperimentPage};
use greenlight_app::logged_model::LoggedModel;
use greenlight_app::model_overview::{ModelList, ModelName, ModelView};
use greenlight_app::registered_history::{Held, Span};
use greenlight_app::registered_model::RegisteredModel;
use greenlight_app::registered_version::RegisteredVersion;
use greenlight_app::run::{Latest, RunInfo, RunRecord};
use greenlight_app::run_artifact::Entry;
use greenlight_app::run_comparison::Comparison;
use greenlight_app::run_table::{RunTable, RunTableQuery};
use greenlight_app::run_view::{Curve, Folder, RunView, Use};
use greenlight_domain::evidence::Grade;
use greenlight_domain::logged_model::LoggedModelStatus;
use greenlight_domain::model::{ModelVersion, Signature};
use greenlight_domain::release::Stage;
use greenlight_domain::time::Micros;

use crate::fixtures::{day, figure, ledger, release};

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

pub(crate) fn experiment() -> Experiment {
    Experiment {
        id: 7,
        name: "deposit propensity".into(),
        artifact_location: "mlflow-artifacts:/7".into(),
        deleted_at: None,
        created_at: day(-40),
        updated_at: day(-40),
        created_by: "sam".into(),
        tags: vec![pair("team", "retail")],
    }
}

pub(crate) fn experiments() -> ExperimentPage {
    let line = |runs, newest_run| ExperimentLine { experiment: experiment(), runs, newest_run };
    ExperimentPage {
        part: String::new(),
        offset: 0,
        lines: vec![line(Count::Exactly(1_204), Some(day(3))), line(Count::MoreThan(10_000), None)],
        more: true,
    }
}

/// Run number `n`: even ones are trees, odd ones linear; the third failed and measured nothing.
pub(crate) fn run(n: i64) -> RunRecord {
    let learner = if n % 2 == 0 { "trees" } else { "linear" };
    let latest = |key: &str, value: f64, step: i64| Latest { key: key.into(), value, at_ms: 0, step };
    let failed = n == 3;
    RunRecord {
        info: RunInfo {
            number: n,
            id: format!("{n:032x}"),
            experiment_id: 7,
            name: format!("calm-owl-{n}"),
            status: if failed { "FAILED" } else { "FINISHED" }.into(),
            author: "sam".into(),
            started_at: Micros(day(1).0 + n * 3_600_000_000),
            ended_at: (!failed).then(|| Micros(day(1).0 + n * 3_600_000_000 + 185_000_000)),
            deleted_at: None,
            artifact_uri: format!("mlflow-artifacts:/7/{n:032x}/artifacts"),
        },
        params: vec![pair("depth", &(n + 2).to_string()), pair("learner", learner), pair("seed", "7")],
        metrics: if failed {
            vec![latest("loss", f64::NAN, 3)]
        } else {
            vec![latest("auc", 0.71 + n as f64 * 0.012_5, 0), latest("loss", 0.4 / (n + 1) as f64, 40)]
        },
        tags: vec![pair("mlflow.runName", "calm-owl"), pair("purpose", "baseline")],
        inputs: vec![],
        model_inputs: vec![],
        model_outputs: vec![],
    }
}

pub(crate) fn run_table() -> RunTable {
    RunTable {
        experiment: experiment(),
        query: RunTableQuery {
            filter: "metrics.auc > 0.7".into(),
            order: "metrics.`auc` DESC".into(),
            limit: 25,
            offset: 25,
            ..RunTableQuery::default()
        },
        runs: (1..=4).map(run).collect(),
        more: true,
        count: None,
        problem: None,
    }
}

fn losses(of: i64) -> Vec<Latest> {
    (0..=40)
        .map(|step| Latest {
            key: "loss".into(),
            value: 0.7 / (1.0 + step as f64 / 8.0) + of as f64 * 0.01,
            at_ms: step * 1_000,
            step,
        })
        .collect()
}

pub(crate) fn registered_version(version: i64) -> RegisteredVersion {
    RegisteredVersion {
        number: version,
        model: 1,
        name: "deposit-propensity".into(),
        version,
        stage: if version == 3 { "Production" } else { "None" }.into(),
        description: Some("Trees over what is known before the call.".into()),
        source: "runs:/1/model".into(),
        storage_location: "mlflow-artifacts:/7/1/artifacts/model".into(),
        run_id: (version > 1).then(|| run(version).info.id),
        run_link: None,
        created_at: day(version as i32),
        updated_at: day(version as i32),
        created_by: "sam".into(),
        tags: vec![pair("reviewed", "yes")],
        aliases: if version == 3 { vec!["champion".into()] } else { vec![] },
    }
}

fn servable_version(version: i64) -> ModelVersion {
    ModelVersion {
        name: "deposit-propensity".into(),
        version,
        run_id: run(version).info.id,
        signature: Signature { inputs: [].into(), outputs: [].into() },
        flavor: "lightgbm".into(),
        sha256: "00".into(),
        size_bytes: 81_234,
        dataset: "bank@1".into(),
        trained_until: day(-200),
        score_edges: vec![],
        score_counts: vec![],
        author: "sam".into(),
        created_at: day(version as i32),
        registered: None,
    }
}

pub(crate) fn run_view() -> RunView {
    RunView {
        run: run(2),
        experiment: experiment(),
        curves: vec![Curve { key: "loss".into(), points: losses(0) }],
        folder: Folder {
            path: "model".into(),
            entries: vec![
                Entry { name: "data".into(), size: None },
                Entry { name: "MLmodel & more".into(), size: Some(812) },
            ],
            more: false,
            problem: None,
        },
        may_download: true,
        uses: vec![Use {
            name: "bank".into(),
            digest: "1f2e3d".into(),
            source_type: "local".into(),
            context: Some("training".into()),
        }],
        models_read: vec![],
        models: vec![LoggedModel {
            number: 1,
            id: "m-1".into(),
            experiment_id: 7,
            name: "model".into(),
            status: LoggedModelStatus::Ready,
            model_type: "classifier".into(),
            source_run_id: run(2).info.id,
            created_at: day(2),
            updated_at: day(2),
            created_by: "sam".into(),
            deleted_at: None,
            artifact_uri: String::new(),
            tags: vec![],
            params: vec![],
            metrics: vec![],
        }],
        registered: vec![registered_version(3)],
        servable: vec![servable_version(2)],
        at: day(4),
    }
}

pub(crate) fn comparison() -> Comparison {
    Comparison {
        runs: (1..=4).map(run).collect(),
        missing: vec![],
        metric: Some("loss".into()),
        curves: (1..=4).map(losses).collect(),
    }
}

pub(crate) fn registered_model() -> RegisteredModel {
    RegisteredModel {
        number: 1,
        name: "deposit-propensity".into(),
        description: "Who subscribes when called?".into(),
        created_at: day(0),
        updated_at: day(5),
        tags: vec![pair("team", "retail")],
        aliases: vec![("champion".into(), 3)],
        latest: vec![registered_version(4), registered_version(3)],
    }
}

pub(crate) fn model_list() -> ModelList {
    let servable =
        ModelName { name: "deposit-propensity".into(), versions: 4, newest: 4, created_at: day(4) };
    let odd = RegisteredModel { name: "late payers, 50% off?".into(), ..registered_model() };
    ModelList {
        part: String::new(),
        offset: 0,
        registered: vec![registered_model(), odd],
        more: false,
        servable: vec![servable],
    }
}

pub(crate) fn model_view() -> ModelView {
    let span = |held, version, from, until: Option<i32>| Span {
        held,
        version,
        from,
        until: until.map(day),
        by: from.map(|_| "dana".to_owned()),
    };
    let champion = || Held::Alias("champion".into());
    ModelView {
        name: "deposit-propensity".into(),
        registered: Some(registered_model()),
        offset: 0,
        versions: (1..=4).rev().map(registered_version).collect(),
        more: false,
        spans: vec![
            span(champion(), 3, Some(day(30)), None),
            span(champion(), 2, Some(day(10)), Some(30)),
            span(Held::Stage("Production".into()), 1, None, Some(9)),
        ],
        older_changes: false,
        servable: vec![servable_version(3), servable_version(2)],
        releases: vec![release("calls.3", Stage::Live), release("calls.2", Stage::Stopped)],
        ledgers: vec![ledger(Some(figure(1_732_000.0, 251_000.0, 3_213_000.0, Grade::A)))],
    }
}
