//! What the pages of research read: bounded counts, model versions by name and by run, releases and changes of a model.

use greenlight_domain::frame::Field;
use greenlight_domain::model::{ModelVersion, Signature};
use greenlight_domain::release::{Release, Stage};
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::time::Micros;
use greenlight_store::experiment::{Location, OWN_ROOT};
use greenlight_store::logged_model::NewLoggedModel;
use greenlight_store::metric::Point;
use greenlight_store::run::{NewRun, Run};
use greenlight_store::{
    Connection, Stamp, Store, audit, experiment, logged_dataset, logged_model, metric, model, param, release,
    run, run_model,
};
use serde_json::json;

const NOW: Stamp<'static> = Stamp { at: Micros(1_000_000), actor: "dana" };

async fn begin(connection: &mut Connection, id: &str, experiment_id: i64, started_at: i64) -> i64 {
    let started_at = Micros(started_at);
    let begun = NewRun { id, experiment_id, name: id, author: "dana", started_at };
    run::create(connection, begun).await.unwrap()
}

pub(crate) async fn runs_are_counted_no_further_than_asked(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let id = experiment::insert(&mut tx, "e", Location::Below(OWN_ROOT), NOW).await.unwrap();
    assert_eq!(run::extent(&mut tx, id, 10).await.unwrap(), (0, None));
    for n in 1..=4 {
        begin(&mut tx, &format!("r{n}"), id, n).await;
    }
    let other = experiment::insert(&mut tx, "f", Location::Below(OWN_ROOT), NOW).await.unwrap();
    begin(&mut tx, "elsewhere", other, 9).await;
    let number = run::info(&mut tx, "r4").await.unwrap().unwrap().number;
    run::set_deleted(&mut tx, number, Some(Micros(5))).await.unwrap();
    assert_eq!(run::extent(&mut tx, id, 10).await.unwrap(), (3, Some(Micros(3))));
    assert_eq!(run::extent(&mut tx, id, 2).await.unwrap().0, 2);
}

pub(crate) async fn a_described_run_leaves_out_what_it_read(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let number = begin(&mut tx, "r", 0, 1).await;
    param::log(&mut tx, number, &[("depth", "3")]).await.unwrap();
    let point = Point { key: "auc", value: 0.5, at_ms: 1, step: 2 };
    metric::log(&mut tx, (number, 0), &[point]).await.unwrap();
    let dataset = logged_dataset::LoggedDataset {
        name: "bank".into(),
        digest: "d".into(),
        source_type: "local".into(),
        source: "{}".into(),
        schema: String::new(),
        profile: String::new(),
    };
    let tags = vec![("mlflow.data.context".to_owned(), "training".to_owned())];
    let input = logged_dataset::RunInput { dataset, tags };
    logged_dataset::log(&mut tx, (number, 0), &[input]).await.unwrap();
    let info = run::info(&mut tx, "r").await.unwrap().unwrap();
    let described = run::described(&mut tx, vec![info.clone()]).await.unwrap().pop().unwrap();
    assert_eq!(described.params, [("depth".to_owned(), "3".to_owned())]);
    assert_eq!((described.metrics[0].key.as_str(), described.metrics[0].step), ("auc", 2));
    assert!(described.inputs.is_empty());
    let whole = run::records(&mut tx, vec![info]).await.unwrap().pop().unwrap();
    assert_eq!((whole.inputs.len(), whole.params), (1, described.params));
    let uses = logged_dataset::uses(&mut tx, number, 9).await.unwrap();
    assert_eq!((uses[0].name.as_str(), uses[0].context.as_deref()), ("bank", Some("training")));
    assert!(logged_dataset::uses(&mut tx, number, 0).await.unwrap().is_empty());
    run_model::log_inputs(&mut tx, number, &["m-2", "m-1"]).await.unwrap();
    assert_eq!(run_model::read_by(&mut tx, number, 9).await.unwrap(), ["m-1", "m-2"]);
    let new =
        NewLoggedModel { id: "m-3", experiment_id: 0, name: "made", model_type: "", source_run_id: "r" };
    let made = logged_model::insert(&mut tx, new, NOW).await.unwrap();
    assert_eq!(logged_model::of_run(&mut tx, "r", 9).await.unwrap()[0].name, "made");
    logged_model::delete(&mut tx, made, Micros(9)).await.unwrap();
    assert!(logged_model::of_run(&mut tx, "r", 9).await.unwrap().is_empty());
}

fn version(name: &str, version: i64, run_id: &str, at: i64) -> ModelVersion {
    ModelVersion {
        name: name.into(),
        version,
        run_id: run_id.into(),
        signature: Signature { inputs: [Field::number("x")].into(), outputs: [Field::number("p")].into() },
        flavor: "f".into(),
        sha256: "00".into(),
        size_bytes: 1,
        dataset: "d@1".into(),
        trained_until: Micros(0),
        score_edges: vec![],
        score_counts: vec![],
        author: "dana".into(),
        created_at: Micros(at),
        registered: None,
    }
}

fn own_run(id: &str) -> Run {
    Run {
        id: id.into(),
        experiment: "own".into(),
        name: "n".into(),
        status: "FINISHED".into(),
        initiative: "i".into(),
        dataset: "d@1".into(),
        code_version: "1".into(),
        author: "dana".into(),
        started_at: Micros(1),
        ended_at: Some(Micros(2)),
        params: vec![],
        metrics: vec![],
    }
}

pub(crate) async fn model_versions_are_found_by_name_and_by_run(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for id in ["a", "b"] {
        run::insert(&mut tx, &own_run(id)).await.unwrap();
    }
    for (name, number, run_id, at) in [("churn", 1, "a", 1), ("churn", 2, "b", 5), ("Uplift", 1, "b", 3)] {
        model::insert(&mut tx, &version(name, number, run_id, at)).await.unwrap();
    }
    let of = |found: Vec<ModelVersion>| found.iter().map(ModelVersion::reference).collect::<Vec<_>>();
    assert_eq!(of(model::versions(&mut tx, "churn", 9).await.unwrap()), ["churn@2", "churn@1"]);
    assert_eq!(of(model::versions(&mut tx, "churn", 1).await.unwrap()), ["churn@2"]);
    let mut by_run = of(model::of_run(&mut tx, "b", 9).await.unwrap());
    by_run.sort();
    assert_eq!(by_run, ["Uplift@1", "churn@2"]);
    let found = model::names(&mut tx, "LIFT", 9).await.unwrap();
    assert_eq!((found.len(), found[0].name.as_str(), found[0].versions), (1, "Uplift", 1));
    let all = model::names(&mut tx, "", 9).await.unwrap();
    let churn = all.iter().find(|one| one.name == "churn").unwrap();
    assert_eq!((churn.versions, churn.newest, churn.created_at), (2, 2, Micros(5)));
    assert_eq!(model::names(&mut tx, "", 1).await.unwrap().len(), 1);
}

pub(crate) async fn releases_are_found_by_model(store: &Store) {
    crate::contract::seed_endpoint(store, "e").await;
    let mut tx = store.begin().await.unwrap();
    for (number, model) in [(1, "m"), (2, "other"), (3, "m")] {
        let one = Release {
            id: format!("e.{number}"),
            endpoint: "e".into(),
            model: model.into(),
            model_version: 1,
            policy: "p@1".into(),
            author: "dana".into(),
            stage: Stage::Gated,
            step: 0,
            step_since: None,
            reason: None,
            submitted_at: Micros(number),
            value_version: 1,
        };
        release::insert(&mut tx, &one, number).await.unwrap();
    }
    let ids = |found: Vec<Release>| found.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(release::of_model(&mut tx, "m", 9).await.unwrap()), ["e.3", "e.1"]);
    assert_eq!(ids(release::of_model(&mut tx, "m", 1).await.unwrap()), ["e.3"]);
}

pub(crate) async fn changes_of_a_registered_model_are_told_from_those_of_its_namesakes(store: &Store) {
    let actor = Actor { name: "dana".into(), role: Role::Scientist };
    let mut tx = store.begin().await.unwrap();
    let lines = [
        ("1", "registered_model.create", "churn"),
        ("2", "endpoint.apply", "churn"),
        ("3", "registered_version.set_stage", "churn"),
        ("4", "registered_model.set_alias", "other"),
        ("5", "registered_model.set_alias", "churn"),
    ];
    for (id, action, subject) in lines {
        audit::append(&mut tx, id, NOW.at, &actor, (action, subject, &json!({}))).await.unwrap();
    }
    let ids = |found: Vec<audit::AuditLine>| found.into_iter().map(|line| line.id).collect::<Vec<_>>();
    let all = audit::of_registered_model(&mut tx, "churn", None, 9).await.unwrap();
    assert_eq!(ids(all), ["5", "3", "1"]);
    let before = audit::of_registered_model(&mut tx, "churn", Some("5"), 1).await.unwrap();
    assert_eq!(ids(before), ["3"]);
}
