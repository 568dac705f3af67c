//! What was deleted long ago.

use greenlight_domain::frame::Field;
use greenlight_domain::model::{ModelVersion, Signature};
use greenlight_domain::time::Micros;
use greenlight_store::experiment::{Location, OWN_ROOT};
use greenlight_store::garbage::{self, Candidate, Holder, Kind, Page};
use greenlight_store::logged_dataset::{LoggedDataset, RunInput};
use greenlight_store::logged_model::{ModelMetric, NewLoggedModel};
use greenlight_store::metric::Point;
use greenlight_store::registered_version::NewVersion;
use greenlight_store::run::{NewRun, Run};
use greenlight_store::run_model::ModelOutput;
use greenlight_store::tag::{self, Tags};
use greenlight_store::{
    Connection, Stamp, Store, experiment, logged_dataset, logged_model, metric, model, param,
    registered_model, registered_version, run, run_model, run_tag,
};

const OURS: Location<'static> = Location::Below(OWN_ROOT);
const NOW: Stamp<'static> = Stamp { at: Micros(1), actor: "dana" };
const DELETED: Micros = Micros(10);
const ALL: Page = Page { before: DELETED, after: 0, limit: 100 };

async fn a_run(connection: &mut Connection, id: &str, experiment_id: i64) -> i64 {
    let new = NewRun { id, experiment_id, name: id, author: "dana", started_at: NOW.at };
    run::create(connection, new).await.unwrap()
}

async fn a_model(connection: &mut Connection, id: &str, experiment_id: i64, source_run_id: &str) -> i64 {
    let new = NewLoggedModel { id, experiment_id, name: "m", model_type: "", source_run_id };
    logged_model::insert(connection, new, NOW).await.unwrap()
}

async fn a_version(connection: &mut Connection, model: i64, source: &str, run_id: Option<&str>) {
    let new = NewVersion {
        model,
        version: None,
        description: Some("said"),
        source,
        storage_location: source,
        run_id,
        run_link: None,
    };
    registered_version::insert(connection, new, NOW).await.unwrap();
}

/// A run of our own, and the model version that it made.
async fn own(connection: &mut Connection) {
    let made = Run {
        id: "run-own".into(),
        experiment: "own".into(),
        name: "n".into(),
        status: "FINISHED".into(),
        initiative: "i".into(),
        dataset: "d@1".into(),
        code_version: "1".into(),
        author: "dana".into(),
        started_at: NOW.at,
        ended_at: None,
        params: vec![],
        metrics: vec![],
    };
    let version = ModelVersion {
        name: "m".into(),
        version: 1,
        run_id: "run-own".into(),
        signature: Signature { inputs: [Field::number("x")].into(), outputs: [].into() },
        flavor: "f".into(),
        sha256: "0".into(),
        size_bytes: 1,
        dataset: "d@1".into(),
        trained_until: NOW.at,
        score_edges: vec![],
        score_counts: vec![],
        author: "dana".into(),
        created_at: NOW.at,
        registered: None,
    };
    run::insert(connection, &made).await.unwrap();
    model::insert(connection, &version).await.unwrap();
}

fn holders(found: &[Candidate]) -> Vec<(&str, Option<&Holder>)> {
    found.iter().map(|candidate| (candidate.id.as_str(), candidate.held_by.as_ref())).collect()
}

pub(crate) async fn what_is_deleted_is_found_with_who_holds_it(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let x = experiment::insert(&mut tx, "x", OURS, NOW).await.unwrap();
    own(&mut tx).await;
    for id in ["run-free", "run-registered", "run-lies", "run-logged", "run-below", "run-young", "run-alive"]
    {
        a_run(&mut tx, id, x).await;
    }
    let churn = registered_model::insert(&mut tx, "churn", "", NOW).await.unwrap();
    a_version(&mut tx, churn, "s3://b/m", Some("run-registered")).await;
    a_version(&mut tx, churn, "mlflow-artifacts:/1/run-lies/artifacts/m", None).await;
    a_version(&mut tx, churn, "models:/m-registered", None).await;
    a_version(&mut tx, churn, "s3://b/m", Some("run-free")).await;
    let deleted = registered_version::get(&mut tx, "churn", 4).await.unwrap().unwrap();
    registered_version::delete(&mut tx, &deleted, DELETED).await.unwrap();
    a_model(&mut tx, "m-alive", x, "run-logged").await;
    for (id, source) in [("m-free", "run-free"), ("m-registered", "run-free")] {
        let number = a_model(&mut tx, id, x, source).await;
        logged_model::delete(&mut tx, number, DELETED).await.unwrap();
    }
    let below = Location::At("mlflow-artifacts:/1/run-below/artifacts/deep");
    experiment::insert(&mut tx, "inner", below, NOW).await.unwrap();
    for id in ["run-own", "run-free", "run-registered", "run-lies", "run-logged", "run-below", "run-young"] {
        let number = run::info(&mut tx, id).await.unwrap().unwrap().number;
        let at = if id == "run-young" { Micros(11) } else { DELETED };
        run::set_deleted(&mut tx, number, Some(at)).await.unwrap();
    }
    let found = garbage::runs(&mut tx, ALL).await.unwrap();
    assert_eq!(
        holders(&found),
        [
            ("run-own", Some(&Holder::Model("m@1".into()))),
            ("run-free", None),
            ("run-registered", Some(&Holder::Registered("churn version 1".into()))),
            ("run-lies", Some(&Holder::Registered("churn version 2".into()))),
            ("run-logged", Some(&Holder::Logged("m-alive".into()))),
            ("run-below", Some(&Holder::Experiment("inner".into()))),
        ]
    );
    assert_eq!(found[1].place, format!("mlflow-artifacts:/{x}/run-free/artifacts"));
    let page = Page { after: found[0].number, limit: 1, ..ALL };
    assert_eq!(holders(&garbage::runs(&mut tx, page).await.unwrap()), [("run-free", None)]);
    let models = garbage::logged_models(&mut tx, ALL).await.unwrap();
    let registered = Holder::Registered("churn version 3".into());
    assert_eq!(holders(&models), [("m-free", None), ("m-registered", Some(&registered))]);
    assert_eq!(models[0].place, format!("mlflow-artifacts:/{x}/models/m-free/artifacts"));
    // With its experiment goes what was not deleted by itself.
    experiment::set_deleted(&mut tx, x, Some(DELETED), DELETED).await.unwrap();
    let models = garbage::logged_models(&mut tx, ALL).await.unwrap();
    assert_eq!(holders(&models), [("m-alive", None), ("m-free", None), ("m-registered", Some(&registered))]);
    let held = garbage::runs(&mut tx, ALL).await.unwrap();
    assert!(held.iter().any(|found| found.id == "run-logged" && found.held_by.is_none()));
}

fn input(name: &str) -> RunInput {
    let dataset = LoggedDataset {
        name: name.into(),
        digest: "1".into(),
        source_type: "s3".into(),
        source: "{}".into(),
        schema: String::new(),
        profile: String::new(),
    };
    RunInput { dataset, tags: vec![("mlflow.data.context".into(), "training".into())] }
}

/// A run with something in every table that hangs on runs: 2 + 1 + 1 + 1 + 2 rows, and an input for each data set.
async fn filled(connection: &mut Connection, id: &str, datasets: &[&str]) -> i64 {
    let number = a_run(connection, id, 0).await;
    let point = |step, value| Point { key: "auc", value, at_ms: 1, step };
    metric::log(connection, (number, 0), &[point(1, f64::NAN), point(2, f64::INFINITY)]).await.unwrap();
    param::log(connection, number, &[("depth", "3")]).await.unwrap();
    run_tag::set(connection, number, &[("a", "b")]).await.unwrap();
    let inputs: Vec<RunInput> = datasets.iter().map(|name| input(name)).collect();
    logged_dataset::log(connection, (number, 0), &inputs).await.unwrap();
    run_model::log_inputs(connection, number, &["m-gone"]).await.unwrap();
    let wrote = ModelOutput { model_id: "m-gone".into(), step: 1 };
    run_model::log_outputs(connection, number, &[wrote]).await.unwrap();
    number
}

/// Removes all rows, two at a time; how many there were.
async fn emptied(connection: &mut Connection) -> u64 {
    let pending = garbage::pending(connection, 10).await.unwrap();
    assert_eq!(pending.len(), 1);
    let mut sum = 0;
    loop {
        let removed = garbage::remove_rows(connection, &pending[0], 2).await.unwrap();
        assert!(removed <= 2);
        if removed == 0 {
            break;
        }
        sum += removed;
    }
    garbage::finish(connection, &pending[0]).await.unwrap();
    assert!(garbage::pending(connection, 10).await.unwrap().is_empty());
    sum
}

pub(crate) async fn what_is_collected_goes_in_small_steps(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let gone = filled(&mut tx, "run-gone", &["a", "b", "c"]).await;
    filled(&mut tx, "run-stays", &["a"]).await;
    run::set_deleted(&mut tx, gone, Some(DELETED)).await.unwrap();
    let info = run::info(&mut tx, "run-stays").await.unwrap().unwrap();
    let before = run::records(&mut tx, vec![info.clone()]).await.unwrap();
    assert_eq!(garbage::count_unread_datasets(&mut tx, Micros(9)).await.unwrap(), 0);
    assert_eq!(garbage::count_unread_datasets(&mut tx, DELETED).await.unwrap(), 2);
    let found = garbage::runs(&mut tx, ALL).await.unwrap();
    let all: Vec<&Candidate> = found.iter().collect();
    let early = garbage::remove(&mut tx, Kind::Run, &all, (Micros(9), Micros(20))).await.unwrap();
    assert!(early.is_empty(), "it is not deleted for so long");
    assert_eq!(garbage::remove(&mut tx, Kind::Run, &all, (DELETED, Micros(20))).await.unwrap(), [gone]);
    assert!(garbage::remove(&mut tx, Kind::Run, &all, (DELETED, Micros(20))).await.unwrap().is_empty());
    assert_eq!(run::info(&mut tx, "run-gone").await.unwrap(), None);
    assert_eq!(emptied(&mut tx).await, 2 + 1 + 1 + 1 + 2 + 3);
    let after = run::records(&mut tx, vec![info]).await.unwrap();
    // NaN differs from itself, so the texts are compared.
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    let unread = garbage::unread_datasets(&mut tx, 0, 10).await.unwrap();
    assert_eq!(unread.len(), 2);
    assert_eq!(garbage::unread_datasets(&mut tx, unread[0], 10).await.unwrap(), unread[1..]);
    let read_too: Vec<i64> = (1..=unread[1]).collect();
    assert_eq!(garbage::remove_datasets(&mut tx, &read_too).await.unwrap(), 2);
    assert!(garbage::unread_datasets(&mut tx, 0, 10).await.unwrap().is_empty());
    let summaries = logged_dataset::summaries(&mut tx, &[0], 10).await.unwrap();
    assert_eq!(summaries.len(), 1);
}

pub(crate) async fn a_logged_model_goes_with_what_hangs_on_it(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    filled(&mut tx, "run-reader", &[]).await;
    let number = a_model(&mut tx, "m-gone", 0, "run-reader").await;
    let other = a_model(&mut tx, "m-stays", 0, "run-reader").await;
    for number in [number, other] {
        tag::set(&mut tx, Tags::LoggedModel, number, &[("a", "1"), ("b", "2")]).await.unwrap();
        tag::insert(&mut tx, Tags::LoggedModelParam, &[(number, "depth", "3")]).await.unwrap();
        let value = |step| ModelMetric {
            key: "auc".into(),
            value: 0.5,
            at_ms: 1,
            step,
            run_id: "run-reader".into(),
            dataset_name: String::new(),
            dataset_digest: String::new(),
        };
        logged_model::log_metrics(&mut tx, number, &[value(1), value(2), value(3)]).await.unwrap();
    }
    logged_model::delete(&mut tx, number, DELETED).await.unwrap();
    let stays = logged_model::get(&mut tx, "m-stays").await.unwrap();
    let found = garbage::logged_models(&mut tx, ALL).await.unwrap();
    let all: Vec<&Candidate> = found.iter().collect();
    let times = (DELETED, Micros(20));
    assert_eq!(garbage::remove(&mut tx, Kind::LoggedModel, &all, times).await.unwrap(), [number]);
    assert_eq!(emptied(&mut tx).await, 2 + 1 + 3 + 2);
    assert_eq!(logged_model::get(&mut tx, "m-gone").await.unwrap(), None);
    assert_eq!(logged_model::get(&mut tx, "m-stays").await.unwrap(), stays);
}

pub(crate) async fn experiments_and_versions_go_when_nothing_needs_them(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let x = experiment::insert(&mut tx, "x", OURS, NOW).await.unwrap();
    experiment::set_tag(&mut tx, x, "a", "b").await.unwrap();
    a_run(&mut tx, "run-x", x).await;
    experiment::set_deleted(&mut tx, x, Some(DELETED), DELETED).await.unwrap();
    experiment::set_deleted(&mut tx, 0, Some(DELETED), DELETED).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let found = garbage::experiments(&mut tx, ALL).await.unwrap();
    let counts: Vec<(i64, i64, i64)> = found.iter().map(|e| (e.id, e.runs, e.models)).collect();
    assert_eq!(counts, [(x, 1, 0)], "never the default one");
    assert!(!garbage::remove_experiment(&mut tx, x, DELETED).await.unwrap(), "a run is in it");
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let runs = garbage::runs(&mut tx, ALL).await.unwrap();
    let all: Vec<&Candidate> = runs.iter().collect();
    garbage::remove(&mut tx, Kind::Run, &all, (DELETED, Micros(20))).await.unwrap();
    assert!(garbage::remove_experiment(&mut tx, x, DELETED).await.unwrap());
    assert_eq!(experiment::get(&mut tx, x).await.unwrap(), None);

    let churn = registered_model::insert(&mut tx, "churn", "", NOW).await.unwrap();
    for version in 1..=3 {
        a_version(&mut tx, churn, "s3://b/m", Some("run-x")).await;
        if version > 1 {
            let made = registered_version::get(&mut tx, "churn", version).await.unwrap().unwrap();
            tag::set(&mut tx, Tags::RegisteredVersion, made.number, &[("a", "b")]).await.unwrap();
            registered_version::delete(&mut tx, &made, DELETED).await.unwrap();
        }
    }
    let found = garbage::versions(&mut tx, ALL).await.unwrap();
    let names: Vec<&str> = found.iter().map(|version| version.1.as_str()).collect();
    assert_eq!(names, ["churn version 2", "churn version 3"]);
    let numbers: Vec<i64> = found.iter().map(|version| version.0).collect();
    garbage::remove_versions(&mut tx, &numbers).await.unwrap();
    assert!(garbage::versions(&mut tx, ALL).await.unwrap().is_empty());
    a_version(&mut tx, churn, "s3://b/m", None).await;
    assert!(registered_version::get(&mut tx, "churn", 4).await.unwrap().is_some(), "no number twice");
    assert!(registered_version::get(&mut tx, "churn", 1).await.unwrap().is_some());
}
