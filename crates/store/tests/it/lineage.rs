//! Data sets, who reads them, and the edges between everything.

use std::collections::BTreeMap;

use greenlight_domain::dataset::profile::Profile;
use greenlight_domain::dataset::record::DatasetRecord;
use greenlight_domain::dataset::{ContractReport, DatasetSpec};
use greenlight_domain::lineage::{Direction, Node, NodeKind};
use greenlight_domain::time::Micros;
use greenlight_store::logged_dataset::{LoggedDataset, RunInput};
use greenlight_store::run::{NewRun, RunInfo};
use greenlight_store::{Connection, Stamp, Store, dataset, lineage, logged_dataset, run};

use Direction::{Down, Up};
use NodeKind::{Dataset, Job, Place, Run};

const NOW: Stamp<'static> = Stamp { at: Micros(1_000_000), actor: "dana" };

/// What is known of a version at that place.
pub(crate) fn record(source: &str) -> DatasetRecord {
    DatasetRecord {
        source: source.to_owned(),
        format: "parquet".to_owned(),
        sha256: String::new(),
        owner: "dana".to_owned(),
        initiative: String::new(),
        run_id: String::new(),
        time_column: String::new(),
        time_range: None,
        profile: Profile { rows: 3, digest: "d1".to_owned(), columns: vec![] },
    }
}

async fn add(tx: &mut Connection, (name, version): (&str, i64), record: &DatasetRecord) {
    let spec = DatasetSpec {
        description: "what it is".to_owned(),
        licence: "CC0-1.0".to_owned(),
        file: String::new(),
        sha256: String::new(),
        positive: String::new(),
        contract: BTreeMap::new(),
    };
    let report = ContractReport { rows: 3, violations: vec![] };
    dataset::insert(tx, (name, version), &spec, &report, record, NOW).await.unwrap();
}

async fn begin_run(tx: &mut Connection, id: &str) -> i64 {
    let new = NewRun { id, experiment_id: 0, name: id, author: "dana", started_at: Micros(5) };
    run::create(tx, new).await.unwrap()
}

fn input(name: &str, digest: &str, uri: &str) -> RunInput {
    let source = format!("{{\"uri\":\"{uri}\"}}");
    let dataset = LoggedDataset {
        name: name.to_owned(),
        digest: digest.to_owned(),
        source_type: "s3".to_owned(),
        source,
        schema: String::new(),
        profile: String::new(),
    };
    RunInput { dataset, tags: vec![] }
}

async fn neighbours(tx: &mut Connection, direction: Direction, kind: NodeKind, name: &str) -> Vec<String> {
    let edges = lineage::edges(tx, direction, kind, &[name], 10).await.unwrap();
    let mut nodes: Vec<String> = edges
        .into_iter()
        .map(|edge| if direction == Down { edge.to } else { edge.from }.to_string())
        .collect();
    nodes.sort();
    nodes
}

pub(crate) async fn datasets_are_listed_with_their_readers(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(dataset::next_version(&mut tx, "bank").await.unwrap(), 1);
    add(&mut tx, ("bank", 1), &record("s3://b/bank")).await;
    add(&mut tx, ("bank", 2), &record("s3://b/bank")).await;
    add(&mut tx, ("calls", 1), &DatasetRecord { run_id: "r9".to_owned(), ..record("/calls") }).await;
    assert_eq!(dataset::next_version(&mut tx, "bank").await.unwrap(), 3);
    let listed = dataset::list(&mut tx, "", 10).await.unwrap();
    let rows: Vec<(&str, i64, i64)> =
        listed.iter().map(|row| (row.newest.name.as_str(), row.newest.version, row.versions)).collect();
    assert_eq!(rows, [("bank", 2, 2), ("calls", 1, 1)]);
    assert_eq!(dataset::list(&mut tx, "bank", 10).await.unwrap().len(), 1);
    let versions = dataset::versions(&mut tx, "bank", 10).await.unwrap();
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions[0].record.as_ref(), Some(&record("s3://b/bank")));
    assert_eq!(dataset::version(&mut tx, "bank", 1).await.unwrap().unwrap().reference(), "bank@1");
    assert_eq!(dataset::version(&mut tx, "bank", 7).await.unwrap(), None);
    assert_eq!(dataset::of_run(&mut tx, "r9").await.unwrap()[0].name, "calls");

    let number = begin_run(&mut tx, "r1").await;
    let inputs = [input("rows", "aa", "s3://b/bank"), input("rows", "bb", ""), input("calls", "cc", "")];
    logged_dataset::log(&mut tx, (number, 0), &inputs).await.unwrap();
    assert_eq!(dataset::reads(&mut tx, "bank@2", "s3://b/bank").await.unwrap(), [(String::new(), 1)]);
    assert_eq!(dataset::reads(&mut tx, "calls@1", "/calls").await.unwrap(), []);
    let unregistered = logged_dataset::unregistered(&mut tx, "", 10).await.unwrap();
    assert_eq!(unregistered, [("rows".to_owned(), 2)]);
    assert_eq!(logged_dataset::readers(&mut tx, "rows").await.unwrap(), (1, vec![]));
    run::set_initiative(&mut tx, number, "calls").await.unwrap();
    assert_eq!(logged_dataset::readers(&mut tx, "rows").await.unwrap(), (1, vec!["calls".to_owned()]));
    let uses = logged_dataset::by_name(&mut tx, "rows", 10).await.unwrap();
    assert_eq!(uses.iter().map(|u| (u.digest.as_str(), u.runs)).collect::<Vec<_>>(), [("bb", 1), ("aa", 1)]);
    assert_eq!(
        logged_dataset::place_of(&mut tx, "rows", "aa").await.unwrap().as_deref(),
        Some("s3://b/bank")
    );
}

pub(crate) async fn lineage_leads_both_ways(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    add(&mut tx, ("bank", 1), &record("s3://b/bank")).await;
    let number = begin_run(&mut tx, "r1").await;
    begin_run(&mut tx, "r2").await;
    logged_dataset::log(
        &mut tx,
        (number, 0),
        &[input("x", "aa", "s3://b/bank"), input("y", "bb", "s3://b/raw")],
    )
    .await
    .unwrap();
    add(&mut tx, ("made", 1), &DatasetRecord { run_id: "r1".to_owned(), ..record("/made") }).await;
    lineage::report(&mut tx, ("airflow:load", "s3://b/bank", true), Micros(9)).await.unwrap();
    lineage::report(&mut tx, ("airflow:load", "s3://b/raw", false), Micros(9)).await.unwrap();
    lineage::report(&mut tx, ("airflow:load", "s3://b/raw", false), Micros(8)).await.unwrap();

    assert_eq!(neighbours(&mut tx, Up, Run, "r1").await, ["dataset:bank@1", "logged_dataset:y#bb"]);
    assert_eq!(neighbours(&mut tx, Down, Run, "r1").await, ["dataset:made@1"]);
    assert_eq!(neighbours(&mut tx, Down, Dataset, "bank@1").await, ["run:r1"]);
    assert_eq!(neighbours(&mut tx, Up, Dataset, "bank@1").await, ["job:airflow:load"]);
    assert_eq!(neighbours(&mut tx, Up, Dataset, "made@1").await, ["run:r1"]);
    assert_eq!(neighbours(&mut tx, Up, Job, "airflow:load").await, ["place:s3://b/raw"]);
    assert_eq!(
        neighbours(&mut tx, Down, Place, "s3://b/raw").await,
        ["job:airflow:load", "logged_dataset:y#bb"]
    );
    assert_eq!(neighbours(&mut tx, Down, NodeKind::LoggedDataset, "y#bb").await, ["run:r1"]);
    assert_eq!(neighbours(&mut tx, Down, Run, "r2").await, Vec::<String>::new());
    for (kind, name, there) in [
        (Run, "r1", true),
        (Run, "r7", false),
        (Dataset, "bank@1", true),
        (Dataset, "bank@2", false),
        (NodeKind::LoggedDataset, "y#bb", true),
        (Job, "airflow:load", true),
        (Place, "s3://b/none", false),
    ] {
        assert_eq!(lineage::exists(&mut tx, &Node::new(kind, name)).await.unwrap(), there, "{name}");
    }
    for kind in NodeKind::ALL {
        assert!(!lineage::exists(&mut tx, &Node::new(kind, "nothing")).await.unwrap());
        lineage::edges(&mut tx, Up, kind, &["nothing"], 3).await.unwrap();
        lineage::labels(&mut tx, kind, &["nothing"]).await.unwrap();
    }
    let labels = lineage::labels(&mut tx, Run, &["r1"]).await.unwrap();
    assert_eq!(labels, [("r1".to_owned(), "r1".to_owned(), "RUNNING".to_owned())]);

    run::set_deleted(&mut tx, number, Some(Micros(10))).await.unwrap();
    assert_eq!(neighbours(&mut tx, Down, Dataset, "bank@1").await, Vec::<String>::new());
}

pub(crate) async fn runs_that_ended_come_in_the_order_of_their_end(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for (id, end) in [("r1", Some(20)), ("r2", Some(10)), ("r3", None), ("r4", Some(20))] {
        begin_run(&mut tx, id).await;
        let info = run::info(&mut tx, id).await.unwrap().unwrap();
        let ended = RunInfo { ended_at: end.map(Micros), status: "FINISHED".to_owned(), ..info };
        run::update(&mut tx, &ended).await.unwrap();
    }
    let ids = |runs: Vec<run::EndedRun>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(run::ended(&mut tx, (Micros(i64::MIN), ""), 10).await.unwrap()), ["r2", "r1", "r4"]);
    assert_eq!(ids(run::ended(&mut tx, (Micros(20), "r1"), 10).await.unwrap()), ["r4"]);
    assert_eq!(ids(run::ended(&mut tx, (Micros(0), ""), 1).await.unwrap()), ["r2"]);
}
