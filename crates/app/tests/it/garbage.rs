//! Removing for good what was deleted long ago.

use bytes::Bytes;
use greenlight_app::experiment::{self, CreateExperiment};
use greenlight_app::garbage::{Collect, Collection, DEFAULT_HOURS, collect};
use greenlight_app::logged_model::{self, CreateLoggedModel};
use greenlight_app::registered_model::{self, RegisterName};
use greenlight_app::registered_version::{self, CreateVersion};
use greenlight_app::run::{self, Batch, CreateRun, Point};
use greenlight_app::{Kind, run_artifact, training};
use greenlight_domain::role::{Actor, Role};
use greenlight_store::garbage::{self, Candidate, Page};
use greenlight_testkit::{TestApp, actor};

fn dana() -> Actor {
    actor("dana", Role::Scientist)
}

fn later(test: &TestApp, days: i64) {
    test.clock.set(test.clock.now().plus_days(days));
}

async fn collected(test: &TestApp, dry_run: bool) -> Collection {
    let asked = Collect { older_than_hours: DEFAULT_HOURS, dry_run };
    collect(&test.app, &actor("olga", Role::Operator), asked).await.unwrap()
}

/// A run with points, parameters, tags and a file; its id, and where the file lies.
async fn logged_run(test: &TestApp, experiment_id: i64) -> (String, std::path::PathBuf) {
    let new = CreateRun { experiment_id, ..CreateRun::default() };
    let id = run::create(&test.app, &dana(), new).await.unwrap().info.id;
    let points = (0..3).map(|step| Point { key: "auc", value: 0.5, at_ms: 1, step });
    let batch = Batch {
        metrics: points.collect(),
        params: vec![("depth", "3")],
        tags: vec![("a", "b")],
        ..Batch::default()
    };
    run::log(&test.app, &dana(), &id, batch).await.unwrap();
    run_artifact::put(&test.app, &dana(), &id, "deep/a.txt", Bytes::from_static(b"1")).await.unwrap();
    let file = format!("artifacts/mlflow/{experiment_id}/{id}/artifacts/deep/a.txt");
    (id, test.folder().join(file))
}

#[tokio::test]
async fn a_deleted_run_goes_with_its_files_when_it_is_old_enough_and_once() {
    let test = TestApp::empty().await;
    let (gone, file) = logged_run(&test, 0).await;
    let (stays, other) = logged_run(&test, 0).await;
    run::delete(&test.app, &dana(), &gone).await.unwrap();
    later(&test, 29);
    assert_eq!(collected(&test, false).await.runs, 0, "too young");
    later(&test, 1);
    let would = collected(&test, true).await;
    assert_eq!((would.runs, would.rows, would.gone[0].name.as_str()), (1, 0, gone.as_str()));
    assert!(file.exists() && run::get(&test.app, &dana(), &gone).await.is_ok(), "that was only looking");
    let done = collected(&test, false).await;
    // Three points and the newest of them, a parameter, the tag that was set and the name as a tag.
    assert_eq!((done.runs, done.rows, done.kept_count, done.more), (1, 3 + 1 + 1 + 2, 0, false));
    assert!(!file.exists());
    assert!(!file.parent().unwrap().exists(), "no empty folder is left");
    assert_eq!(run::get(&test.app, &dana(), &gone).await.unwrap_err().kind(), Kind::NotFound);
    assert!(run::restore(&test.app, &dana(), &gone).await.is_err());
    assert!(other.exists() && run::get(&test.app, &dana(), &stays).await.is_ok());
    let again = collected(&test, false).await;
    assert_eq!((again.runs, again.rows, again.gone), (0, 0, vec![]));
    let trail = test.app.audit_trail(&actor("olga", Role::Operator), Some("run"), 10).await.unwrap();
    assert_eq!((trail.len(), trail[0].action.as_str()), (1, "garbage.collect"));
    assert_eq!(trail[0].detail["ids"][0].as_str(), Some(gone.as_str()));
}

#[tokio::test]
async fn a_living_reference_keeps_a_run_and_a_logged_model() {
    let test = TestApp::with_calls().await;
    let trained = training::train(&test.app, &dana(), "honest").await.unwrap();
    let (registered, _) = logged_run(&test, 0).await;
    let new = CreateLoggedModel { source_run_id: registered.clone(), ..CreateLoggedModel::default() };
    let model = logged_model::create(&test.app, &dana(), new).await.unwrap();
    let name = RegisterName { name: "churn".into(), ..RegisterName::default() };
    registered_model::create(&test.app, &dana(), name).await.unwrap();
    let version = CreateVersion {
        name: "churn".into(),
        source: format!("models:/{}", model.id),
        model_id: Some(model.id.clone()),
        ..CreateVersion::default()
    };
    registered_version::create(&test.app, &dana(), version).await.unwrap();
    for id in [&trained.run.id, &registered] {
        run::delete(&test.app, &dana(), id).await.unwrap();
    }
    logged_model::delete(&test.app, &dana(), &model.id).await.unwrap();
    later(&test, 31);
    let done = collected(&test, false).await;
    assert_eq!((done.runs, done.logged_models, done.kept_count), (0, 0, 3));
    let why = |name: &str| done.kept.iter().find(|kept| kept.name == name).unwrap().because.clone();
    assert_eq!(why(&trained.run.id), "it made the model version honest@1");
    assert_eq!(why(&model.id), "the registered model churn version 1 comes from it");
    assert_eq!(why(&registered), "the registered model churn version 1 comes from it");
    // Once the version is gone as well, nothing holds them.
    registered_version::delete(&test.app, &dana(), "churn", "1").await.unwrap();
    later(&test, 31);
    let done = collected(&test, false).await;
    assert_eq!((done.runs, done.logged_models, done.registered_versions, done.kept_count), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_collection_that_broke_off_is_finished_by_the_next_one() {
    let mut test = TestApp::empty().await;
    let (id, file) = logged_run(&test, 0).await;
    run::delete(&test.app, &dana(), &id).await.unwrap();
    later(&test, 31);
    let before = test.clock.now();
    let mut tx = test.app.store.begin().await.unwrap();
    let found = garbage::runs(&mut tx, Page { before, after: 0, limit: 9 }).await.unwrap();
    let all: Vec<&Candidate> = found.iter().collect();
    garbage::remove(&mut tx, garbage::Kind::Run, &all, (before, before)).await.unwrap();
    tx.commit().await.unwrap();
    // The server dies here: the run is gone, its rows and files are not.
    test.restart().await;
    assert!(run::get(&test.app, &dana(), &id).await.is_err());
    assert!(file.exists());
    let done = collected(&test, false).await;
    assert_eq!((done.runs, done.rows), (0, 7));
    assert!(!file.exists());
    assert_eq!(collected(&test, false).await.rows, 0);
}

#[tokio::test]
async fn an_experiment_goes_with_all_that_is_in_it_or_stays() {
    let test = TestApp::empty().await;
    let new = CreateExperiment { name: "x".into(), artifact_location: None, tags: vec![] };
    let x = experiment::create(&test.app, &dana(), new).await.unwrap();
    let (early, _) = logged_run(&test, x).await;
    let (late, file) = logged_run(&test, x).await;
    let new =
        CreateLoggedModel { experiment_id: x, source_run_id: late.clone(), ..CreateLoggedModel::default() };
    logged_model::create(&test.app, &dana(), new).await.unwrap();
    experiment::delete(&test.app, &dana(), x).await.unwrap();
    run::restore(&test.app, &dana(), &early).await.unwrap();
    later(&test, 31);
    for dry_run in [true, false] {
        let done = collected(&test, dry_run).await;
        assert_eq!((done.runs, done.logged_models, done.experiments), (1, 1, 0), "{dry_run}");
        assert_eq!(done.kept[0].because, "1 of its runs and logged models stay");
    }
    assert!(!file.exists());
    run::delete(&test.app, &dana(), &early).await.unwrap();
    later(&test, 31);
    for dry_run in [true, false] {
        let done = collected(&test, dry_run).await;
        assert_eq!((done.runs, done.experiments, done.kept_count), (1, 1, 0), "{dry_run}");
    }
    assert_eq!(experiment::get(&test.app, &dana(), x).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn whoever_may_log_may_not_collect() {
    let test = TestApp::empty().await;
    let asked = Collect { older_than_hours: 0, dry_run: true };
    let refused = collect(&test.app, &dana(), asked).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
}
