//! Data sets and lineage as pages: the answer first, hostile names as text, and links that lead on.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_app::dataset::{DatasetVersion, DatasetView, Listed, LoggedUse, Reuse, VersionUse};
use greenlight_app::lineage::{Graph, GraphNode};
use greenlight_domain::dataset::profile::{ColumnProfiler, Content, finish};
use greenlight_domain::dataset::record::DatasetRecord;
use greenlight_domain::dataset::{ContractReport, DatasetSpec};
use greenlight_domain::frame::Column;
use greenlight_domain::lineage::{Edge, Node, NodeKind};
use greenlight_domain::role::Role;
use greenlight_domain::time::Micros;
use greenlight_web::pages;

use crate::fixtures::{actor, day};

const HOSTILE: &str = "<script>alert('x')</script>";

fn version(name: &str, number: i64) -> DatasetVersion {
    let mut age = ColumnProfiler::new("age", "Int64", Content::Number, false);
    age.absorb(&Column::Number(vec![20.0, 30.0, f64::NAN, 70.0]), b"1");
    let mut job = ColumnProfiler::new("job", "Utf8", Content::Text, false);
    let text = |t: &str| Some(Arc::from(t));
    job.absorb(&Column::Text(vec![text("nurse"), text(HOSTILE), text("nurse"), None]), b"2");
    let mut at = ColumnProfiler::new("at", "Timestamp", Content::Time, false);
    at.absorb(&Column::Number(vec![0.0, 86_400e6, 86_400e6, 86_400e6]), b"3");
    DatasetVersion {
        name: name.to_owned(),
        version: number,
        spec: DatasetSpec {
            description: HOSTILE.to_owned(),
            licence: "CC-BY-4.0".to_owned(),
            file: String::new(),
            sha256: String::new(),
            positive: String::new(),
            contract: BTreeMap::new(),
        },
        report: ContractReport { rows: 4, violations: vec![] },
        record: Some(DatasetRecord {
            source: "s3://bucket/calls.parquet".to_owned(),
            format: "parquet".to_owned(),
            sha256: String::new(),
            owner: "dana".to_owned(),
            initiative: String::new(),
            run_id: "0af3".repeat(8),
            time_column: "at".to_owned(),
            time_range: Some((Micros(0), Micros(86_400_000_000))),
            profile: finish(4, vec![age, job, at]),
        }),
        created_at: day(-3),
        created_by: "dana".to_owned(),
    }
}

fn view() -> DatasetView {
    let reuse = |initiative: &str, runs| Reuse { initiative: initiative.to_owned(), runs, endpoints: vec![] };
    let newest =
        VersionUse { version: version("calls", 2), reuse: vec![reuse("calls", 3), reuse("churn", 1)] };
    let older = VersionUse { version: version("calls", 1), reuse: vec![] };
    let logged = LoggedUse {
        name: "calls".to_owned(),
        digest: "12ab".to_owned(),
        source_type: "code".to_owned(),
        place: String::new(),
        schema: r#"{"mlflow_colspec": [{"name": "age", "type": "long"}]}"#.to_owned(),
        profile: r#"{"num_rows": 1200}"#.to_owned(),
        runs: 2,
        initiatives: 0,
    };
    DatasetView { name: "calls".to_owned(), versions: vec![newest, older], logged: vec![logged] }
}

#[track_caller]
fn says(page: &maud::Markup, expected: &[&str]) {
    for words in expected {
        assert!(page.0.contains(words), "'{words}' is missing in {}", page.0);
    }
    assert!(!page.0.contains(HOSTILE), "hostile text is markup");
}

#[test]
fn a_data_set_says_what_is_in_it_and_who_uses_it() {
    let viewer = actor("vera", Role::Viewer);
    let page = pages::dataset::page(&view(), None, &viewer);
    says(
        &page,
        &["What is in calls@2", "4 rows", "3 columns", "4 runs", "2 initiatives", "CC-BY-4.0", "20 to 70"],
    );
    says(
        &page,
        &["25.0 %", "nurse", "Histogram of age", "1970-01-01 to 1970-01-02", "1,200", "/initiatives/churn"],
    );
    says(&page, &["/lineage?node=dataset%3Acalls%402", "&lt;script&gt;", "Nobody wrote a contract"]);
    let older = pages::dataset::page(&view(), Some(1), &viewer);
    says(&older, &["What is in calls@1", "No run has read this version yet"]);
    says(&pages::dataset::page(&view(), Some(9), &viewer), &["There is no version 9 of calls."]);
}

#[test]
fn the_list_counts_what_is_used_again_and_says_how_to_begin() {
    let viewer = actor("vera", Role::Viewer);
    says(&pages::dataset::list_page(&[], "", &viewer), &["greenlight dataset add"]);
    let row = |name: &str, newest: Option<DatasetVersion>, initiatives: &[&str]| Listed {
        name: name.to_owned(),
        newest,
        versions: 2,
        runs: 3,
        initiatives: initiatives.iter().map(|i| (*i).to_owned()).collect(),
    };
    let rows = [row("calls", Some(version("calls", 2)), &["calls", "churn"]), row(HOSTILE, None, &[])];
    let page = pages::dataset::list_page(&rows, "", &viewer);
    says(&page, &["2 data sets", "1 used by more than one initiative", "logged by runs, not registered"]);
}

#[test]
fn lineage_is_drawn_with_links_and_as_a_table() {
    let node = |kind, name: &str, steps| GraphNode {
        id: Node::new(kind, name),
        kind,
        label: name.to_owned(),
        detail: "FINISHED".to_owned(),
        steps,
    };
    let nodes = vec![
        node(NodeKind::Dataset, "calls@1", -1),
        node(NodeKind::Run, HOSTILE, 0),
        node(NodeKind::Model, "calls@3", 1),
        node(NodeKind::Release, "calls.1", 2),
        node(NodeKind::Endpoint, "calls", 3),
    ];
    let edges =
        nodes.windows(2).map(|pair| Edge { from: pair[0].id.clone(), to: pair[1].id.clone() }).collect();
    let graph = Graph { root: nodes[1].id.clone(), nodes, edges, truncated: true };
    let page = pages::lineage::page(&graph, &actor("vera", Role::Viewer));
    says(&page, &["From 1 thing", "3 made from it", "it reaches live traffic", "/datasets/calls?version=1"]);
    says(
        &page,
        &["/releases/calls.1", "/models/calls", "There is more than is drawn", "1 before", "finished"],
    );
    assert_eq!(page.0.matches("<path class=\"edge\"").count(), 4);
}
