//! What the pages of research read, over embedded storage.

use greenlight_app::experiment::{CreateExperiment, create as create_experiment};
use greenlight_app::experiment_overview::{Count, overview};
use greenlight_app::model_overview::{list, view as model_view};
use greenlight_app::registered_history::Held;
use greenlight_app::registered_model::{self, RegisterName, delete_alias, rename, set_alias};
use greenlight_app::registered_version::{CreateVersion, create as create_version, set_stage};
use greenlight_app::run::{self, Batch, CreateRun, Point};
use greenlight_app::run_artifact::{Owner, open, put};
use greenlight_app::run_comparison::compare;
use greenlight_app::run_search::View;
use greenlight_app::run_table::{RunTableQuery, table};
use greenlight_app::run_view::{RunViewQuery, view};
use greenlight_app::{App, Kind, training};
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::time::DAY_US;
use greenlight_testkit::{TestApp, actor};

fn dana() -> Actor {
    actor("dana", Role::Scientist)
}

fn vera() -> Actor {
    actor("vera", Role::Viewer)
}

async fn experiment(app: &App, name: &str) -> i64 {
    let new = CreateExperiment { name: name.to_owned(), ..CreateExperiment::default() };
    create_experiment(app, &dana(), new).await.unwrap()
}

/// A run with a parameter, a metric without steps and one with ten.
async fn logged(app: &App, experiment_id: i64, start_ms: i64, depth: &str) -> String {
    let new = CreateRun { experiment_id, start_ms, ..CreateRun::default() };
    let id = run::create(app, &dana(), new).await.unwrap().info.id;
    let point = |key, value, step| Point { key, value, at_ms: step, step };
    let mut metrics = vec![point("auc", 0.7, 0)];
    metrics.extend((1..=10).map(|step| point("loss", 1.0 / step as f64, step)));
    let batch = Batch { metrics, params: vec![("depth", depth)], ..Batch::default() };
    run::log(app, &dana(), &id, batch).await.unwrap();
    id
}

#[tokio::test]
async fn experiments_are_counted_and_found_by_a_part_of_their_name() {
    let test = TestApp::empty().await;
    let churn = experiment(&test.app, "Churn 100%").await;
    logged(&test.app, churn, 5, "3").await;
    let page = overview(&test.app, &vera(), " CHURN ", 0).await.unwrap();
    assert_eq!((page.lines.len(), page.more), (1, false));
    assert_eq!(page.lines[0].runs, Count::Exactly(1));
    assert_eq!(page.lines[0].newest_run.map(|at| at.0), Some(5_000));
    assert_eq!(overview(&test.app, &vera(), "", 0).await.unwrap().lines.len(), 2, "with the default one");
    assert!(overview(&test.app, &vera(), "", 2).await.unwrap().lines.is_empty());
    assert!(overview(&test.app, &vera(), "x' or 1 = 1 --", 0).await.unwrap().lines.is_empty());
}

#[tokio::test]
async fn a_table_of_runs_has_pages_an_order_and_a_problem_where_it_cannot_be_read() {
    let test = TestApp::empty().await;
    let id = experiment(&test.app, "e").await;
    for n in 0..30 {
        logged(&test.app, id, n, &n.to_string()).await;
    }
    let who = dana();
    let ask = |query| table(&test.app, &who, id, query);
    let first = ask(RunTableQuery { limit: 25, ..RunTableQuery::default() }).await.unwrap();
    assert_eq!((first.runs.len(), first.more, first.count), (25, true, Some(Count::Exactly(30))));
    assert_eq!(first.runs[0].params[0].1, "29", "the newest first");
    let query =
        RunTableQuery { limit: 25, offset: 25, order: "start_time ASC".into(), ..RunTableQuery::default() };
    let second = ask(query).await.unwrap();
    assert_eq!((second.runs.len(), second.more, second.count), (5, false, Some(Count::Exactly(30))));
    assert_eq!(second.runs[4].params[0].1, "29");
    let query = RunTableQuery { filter: "params.depth = '7'".into(), limit: 3, ..RunTableQuery::default() };
    let found = ask(query).await.unwrap();
    assert_eq!((found.runs.len(), found.count, found.query.limit), (1, Some(Count::Exactly(1)), 50));
    for (filter, order) in [("depth", ""), ("", "metrics.auc sideways"), ("metrics.auc > 'a'", "")] {
        let query = RunTableQuery { filter: filter.into(), order: order.into(), ..RunTableQuery::default() };
        let wrong = ask(query).await.unwrap();
        assert!(wrong.problem.is_some() && wrong.runs.is_empty(), "{filter} {order}");
    }
    run::delete(&test.app, &dana(), &found.runs[0].info.id).await.unwrap();
    let deleted = ask(RunTableQuery { view: View::Deleted, ..RunTableQuery::default() }).await.unwrap();
    assert_eq!((deleted.runs.len(), deleted.count), (1, Some(Count::Exactly(1))));
    let none = table(&test.app, &dana(), 999, RunTableQuery::default()).await.unwrap_err();
    assert_eq!(none.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_run_is_seen_with_its_curves_and_files_and_only_some_take_them_away() {
    let test = TestApp::empty().await;
    let id = logged(&test.app, 0, 5, "3").await;
    put(&test.app, &dana(), &id, "model/a b.txt", "hello".into()).await.unwrap();
    let name = RegisterName { name: "churn model".into(), ..RegisterName::default() };
    registered_model::create(&test.app, &dana(), name).await.unwrap();
    let source = format!("runs:/{id}/model");
    let new = CreateVersion {
        name: "churn model".into(),
        source,
        run_id: Some(id.clone()),
        ..CreateVersion::default()
    };
    create_version(&test.app, &dana(), new).await.unwrap();
    let seen = view(&test.app, &vera(), &id, &RunViewQuery::default()).await.unwrap();
    assert_eq!(seen.curves.len(), 1, "auc has no steps");
    assert_eq!((seen.curves[0].key.as_str(), seen.curves[0].points.len()), ("loss", 10));
    assert_eq!(seen.folder.entries[0].name, "model");
    assert_eq!((seen.registered.len(), seen.registered[0].name.as_str()), (1, "churn model"));
    assert!(!seen.may_download);
    let refused =
        open(&test.app, &vera(), Owner::Run(&id), "model/a b.txt", None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
    let query = RunViewQuery { metrics: vec!["auc".into()], path: "model".into() };
    let seen = view(&test.app, &dana(), &id, &query).await.unwrap();
    assert_eq!((seen.curves[0].key.as_str(), seen.folder.entries[0].name.as_str()), ("auc", "a b.txt"));
    assert!(seen.may_download);
    let query = RunViewQuery { path: "../../etc".into(), ..RunViewQuery::default() };
    let outside = view(&test.app, &dana(), &id, &query).await.unwrap();
    assert!(outside.folder.problem.is_some() && outside.folder.entries.is_empty());
}

#[tokio::test]
async fn a_comparison_keeps_the_order_and_is_bounded() {
    let test = TestApp::empty().await;
    let (a, b) = (logged(&test.app, 0, 1, "3").await, logged(&test.app, 0, 2, "4").await);
    let ids = [b.clone(), "none".to_owned(), a.clone(), b.clone()];
    let seen = compare(&test.app, &vera(), &ids, None).await.unwrap();
    let order: Vec<&str> = seen.runs.iter().map(|run| run.info.id.as_str()).collect();
    assert_eq!((order, seen.missing), (vec![b.as_str(), a.as_str()], vec!["none".to_owned()]));
    assert_eq!((seen.metric.as_deref(), seen.curves.len(), seen.curves[0].len()), (Some("loss"), 2, 10));
    let named = compare(&test.app, &vera(), &ids, Some("auc")).await.unwrap();
    assert_eq!(named.metric.as_deref(), Some("auc"));
    let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    assert_eq!(compare(&test.app, &vera(), &many, None).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn it_is_known_which_version_was_what_when_under_whatever_name() {
    let test = TestApp::empty().await;
    let add = |name: &'static str| {
        let new =
            CreateVersion { name: name.to_owned(), source: "s3://b/m".into(), ..CreateVersion::default() };
        let app = &test.app;
        async move { create_version(app, &dana(), new).await.unwrap() }
    };
    let register = |name: &'static str| {
        let new = RegisterName { name: name.to_owned(), ..RegisterName::default() };
        let app = &test.app;
        async move { registered_model::create(app, &dana(), new).await.unwrap() }
    };
    let next_day = || {
        let now = test.clock.now();
        test.clock.set(greenlight_domain::time::Micros(now.0 + DAY_US));
        now
    };
    register("old").await;
    add("old").await;
    add("old").await;
    let first = next_day();
    set_alias(&test.app, &dana(), "old", "champion", "1").await.unwrap();
    let set = test.clock.now();
    assert!(set > first);
    next_day();
    rename(&test.app, &dana(), "old", "new").await.unwrap();
    let model = register("old").await;
    assert!(model.aliases.is_empty(), "another model under the name that became free");
    next_day();
    set_alias(&test.app, &dana(), "new", "champion", "2").await.unwrap();
    set_stage(&test.app, &dana(), ("new", "2"), "Production", false).await.unwrap();
    let moved = test.clock.now();
    next_day();
    delete_alias(&test.app, &dana(), "new", "champion").await.unwrap();
    let gone = test.clock.now();
    let seen = model_view(&test.app, &vera(), "new", 0).await.unwrap();
    let spans: Vec<_> = seen.spans.iter().map(|s| (s.held.clone(), s.version, s.from, s.until)).collect();
    let champion = || Held::Alias("champion".to_owned());
    assert_eq!(
        spans,
        [
            (Held::Stage("Production".to_owned()), 2, Some(moved), None),
            (champion(), 2, Some(moved), Some(gone)),
            (champion(), 1, Some(set), Some(moved)),
        ]
    );
    assert_eq!(seen.versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert!(!seen.older_changes);
    assert!(model_view(&test.app, &vera(), "old", 0).await.unwrap().spans.is_empty());
    let names = list(&test.app, &vera(), "E", 0).await.unwrap();
    assert_eq!(names.registered.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[tokio::test]
async fn a_servable_model_is_seen_without_a_registered_one() {
    let test = TestApp::with_calls().await;
    let trained = training::train(&test.app, &dana(), "honest").await.unwrap();
    let seen = model_view(&test.app, &vera(), &trained.model.name, 0).await.unwrap();
    assert!(seen.registered.is_none() && seen.releases.is_empty() && seen.ledgers.is_empty());
    assert_eq!(seen.servable[0].reference(), trained.model.reference());
    let run = view(&test.app, &vera(), &trained.run.id, &RunViewQuery::default()).await.unwrap();
    assert_eq!(run.servable[0].reference(), trained.model.reference());
    let missing = model_view(&test.app, &vera(), "none", 0).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    assert!(!list(&test.app, &vera(), "", 0).await.unwrap().servable.is_empty());
}
