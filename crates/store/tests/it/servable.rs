//! Model versions that come from the registry, and the runs that made them.

use std::collections::BTreeMap;

use greenlight_domain::dataset::{ContractReport, DatasetSpec};
use greenlight_domain::frame::Field;
use greenlight_domain::model::{ModelVersion, Registered, Signature};
use greenlight_domain::time::Micros;
use greenlight_store::run::NewRun;
use greenlight_store::{Stamp, Store, dataset, model, run};

use crate::lineage::record;

fn version(number: i64, registered: Option<(&str, i64)>) -> ModelVersion {
    ModelVersion {
        name: "churn".into(),
        version: number,
        run_id: "r".into(),
        signature: Signature { inputs: [Field::number("x")].into(), outputs: [].into() },
        flavor: "lightgbm".into(),
        sha256: "0".into(),
        size_bytes: 1,
        dataset: "d@1".into(),
        trained_until: Micros(0),
        score_edges: vec![],
        score_counts: vec![],
        author: "dana".into(),
        created_at: Micros(number),
        registered: registered.map(|(name, version)| Registered { name: name.into(), version }),
    }
}

pub(crate) async fn versions_are_found_by_where_they_come_from(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let begun =
        NewRun { id: "r", experiment_id: 0, name: "n", author: "dana", started_at: Micros(1_000_000) };
    run::create(&mut tx, begun).await.unwrap();
    let versions = [
        version(1, None),
        version(2, Some(("m", 1))),
        version(3, Some(("m", 2))),
        version(4, Some(("m", 1))),
    ];
    for version in &versions {
        model::insert(&mut tx, version).await.unwrap();
    }
    let wanted = Registered { name: "m".into(), version: 1 };
    let found = model::of_registered(&mut tx, &wanted, 10).await.unwrap();
    assert_eq!(found, [versions[3].clone(), versions[1].clone()]);
    assert_eq!(model::of_registered(&mut tx, &wanted, 1).await.unwrap(), [versions[3].clone()]);
    let none = Registered { name: "m".into(), version: 3 };
    assert!(model::of_registered(&mut tx, &none, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_run_is_completed_and_never_overwritten(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let begun =
        NewRun { id: "r", experiment_id: 0, name: "n", author: "dana", started_at: Micros(1_000_000) };
    run::create(&mut tx, begun).await.unwrap();
    run::complete(&mut tx, "r", "d@1", "").await.unwrap();
    run::complete(&mut tx, "r", "d@2", "calls").await.unwrap();
    run::complete(&mut tx, "r", "d@3", "other").await.unwrap();
    let found = run::get(&mut tx, "r").await.unwrap().unwrap();
    assert_eq!((found.dataset.as_str(), found.initiative.as_str()), ("d@1", "calls"));
}

pub(crate) async fn data_sets_are_found_by_their_place(store: &Store) {
    let spec = DatasetSpec {
        description: String::new(),
        licence: String::new(),
        file: String::new(),
        sha256: String::new(),
        positive: String::new(),
        contract: BTreeMap::new(),
    };
    let report = ContractReport { rows: 3, violations: vec![] };
    let stamp = Stamp { at: Micros(1_000_000), actor: "dana" };
    let mut tx = store.begin().await.unwrap();
    for (version, place) in [(1, "s3://bucket/a"), (2, "s3://bucket/b"), (3, "s3://bucket/a")] {
        dataset::insert(&mut tx, ("bank", version), &spec, &report, &record(place), stamp).await.unwrap();
    }
    let found = dataset::at_place(&mut tx, "s3://bucket/a").await.unwrap();
    assert_eq!(found, [("bank".to_owned(), 1), ("bank".to_owned(), 3)]);
    assert!(dataset::at_place(&mut tx, "s3://bucket/c").await.unwrap().is_empty());
}
