//! What every database must do, one function a noun.

use greenlight_domain::dataset::ContractReport;
use greenlight_domain::evidence::{Gate, GateResult, Grade};
use greenlight_domain::experiment_search::{parse_experiment_filter, parse_experiment_order};
use greenlight_domain::frame::Field;
use greenlight_domain::ledger::{DayStatistics, Posting, PostingKind};
use greenlight_domain::manifest::Document;
use greenlight_domain::model::{ModelVersion, Signature};
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::Variant;
use greenlight_domain::release::{Approval, Release, Stage};
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::route::Routes;
use greenlight_domain::run_search::{parse_filter, parse_order};
use greenlight_domain::time::Micros;
use greenlight_store::endpoint::SettleCursor;
use greenlight_store::experiment::{Location, OWN_ROOT};
use greenlight_store::experiment_search::ExperimentSearch;
use greenlight_store::ledger::StatisticRow;
use greenlight_store::metric::{Page, Point};
use greenlight_store::param::Changed;
use greenlight_store::registered_version::NewVersion;
use greenlight_store::run::{NewRun, Run};
use greenlight_store::run_search::{RunSearch, View};
use greenlight_store::tag::Tags;
use greenlight_store::{
    Stamp, Store, StoreError, Transaction, approval, audit, business_case, dataset, endpoint, evidence,
    experiment, experiment_search, initiative, ledger, meta, metric, model, param, policy, registered_model,
    registered_version, release, route, run, run_search, run_tag, tag, token, training,
};
use serde_json::json;

pub(crate) use crate::hypothesis::hypotheses_are_closed_and_found_again;
pub(crate) use crate::import::what_was_imported_is_known_by_its_tags;
pub(crate) use crate::lineage::{
    datasets_are_listed_with_their_readers, lineage_leads_both_ways,
    runs_that_ended_come_in_the_order_of_their_end,
};
pub(crate) use crate::servable::{
    a_run_is_completed_and_never_overwritten, data_sets_are_found_by_their_place,
    versions_are_found_by_where_they_come_from,
};

pub(crate) use crate::research::{
    a_described_run_leaves_out_what_it_read,
    changes_of_a_registered_model_are_told_from_those_of_its_namesakes,
    model_versions_are_found_by_name_and_by_run, releases_are_found_by_model,
    runs_are_counted_no_further_than_asked,
};

pub(crate) use crate::garbage::{
    a_logged_model_goes_with_what_hangs_on_it, experiments_and_versions_go_when_nothing_needs_them,
    what_is_collected_goes_in_small_steps, what_is_deleted_is_found_with_who_holds_it,
};

pub(crate) use crate::run_order::{
    a_page_of_runs_has_everything_exactly, runs_by_a_metric_are_those_of_a_plain_sort,
};

const OURS: Location<'static> = Location::Below(OWN_ROOT);
const NOW: Stamp<'static> = Stamp { at: Micros(1_000_000), actor: "dana" };

fn document(value: serde_json::Value) -> Document {
    serde_json::from_value(value).unwrap()
}

async fn seed_initiative(store: &Store, name: &str) {
    let doc = document(json!({ "kind": "Initiative", "name": name, "spec": {
        "title": "T", "problem": "P", "owner": "O",
        "metric": { "name": "m", "unit": "u", "baseline": 0.0, "target": 1.0, "target_date": "2030-01-01" },
        "value": { "expression": "1", "currency": "EUR", "assumptions": [], "outcome": "o",
            "decisions": ["a", "b"], "window_days": 1 } } }));
    let Document::Initiative { spec, .. } = doc else { unreachable!() };
    let mut tx = store.begin().await.unwrap();
    initiative::upsert(&mut tx, name, &spec, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn seed_endpoint(store: &Store, name: &str) {
    seed_initiative(store, "i").await;
    let doc = document(json!({ "kind": "Endpoint", "name": name, "spec": {
        "initiative": "i", "dataset": "d@1", "policy": "p@1", "unit": "u",
        "holdout": { "title": "all", "decision": "a" } } }));
    let Document::Endpoint { spec, .. } = doc else { unreachable!() };
    let mut tx = store.begin().await.unwrap();
    endpoint::upsert(&mut tx, name, &spec, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

fn a_release(number: i64) -> Release {
    Release {
        id: format!("e.{number}"),
        endpoint: "e".into(),
        model: "m".into(),
        model_version: 1,
        policy: "p@1".into(),
        author: "dana".into(),
        stage: Stage::Gated,
        step: 0,
        step_since: None,
        reason: None,
        submitted_at: NOW.at,
        value_version: 1,
    }
}

async fn seed_release(store: &Store) {
    seed_endpoint(store, "e").await;
    let mut tx = store.begin().await.unwrap();
    release::insert(&mut tx, &a_release(1), 1).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn audit_is_newest_first_and_rolls_back_with_its_change(store: &Store) {
    let actor = Actor { name: "dana".into(), role: Role::Scientist };
    let line = |n: i64| (format!("{n:036}"), json!({ "n": n, "text": "quote ' and ü" }));
    for n in 0..3 {
        let (id, detail) = line(n);
        let mut tx = store.begin().await.unwrap();
        audit::append(&mut tx, &id, NOW.at, &actor, ("act", "thing", &detail)).await.unwrap();
        if n == 1 {
            drop(tx); // rolled back: the line goes with its change
        } else {
            tx.commit().await.unwrap();
        }
    }
    let mut connection = store.read().await.unwrap();
    let lines = audit::newest(&mut connection, Some("thing"), 10).await.unwrap();
    let seen: Vec<i64> = lines.iter().map(|l| l.detail["n"].as_i64().unwrap()).collect();
    assert_eq!(seen, [2, 0]);
    assert_eq!(audit::newest(&mut connection, None, 1).await.unwrap().len(), 1);
    assert!(audit::newest(&mut connection, Some("other"), 10).await.unwrap().is_empty());
    let (all, newest) = audit::count_above(&mut connection, "").await.unwrap();
    assert!(all >= 2 && newest == NOW.at);
    assert_eq!(audit::count_above(&mut connection, &lines[0].id).await.unwrap(), (0, Micros(0)));
}

pub(crate) async fn business_cases_are_superseded_by_date(store: &Store) {
    seed_initiative(store, "i").await;
    let mut tx = store.begin().await.unwrap();
    for (name, dated) in [("old", "2020-01-01"), ("new", "2021-01-01")] {
        let doc = document(json!({ "kind": "BusinessCase", "name": name, "spec": {
            "initiative": "i", "dated": dated, "starts": "2021-06-01", "horizon_days": 10, "effect": "saving",
            "low": 1, "expected": 2, "high": "3.50", "drivers": [] } }));
        let Document::BusinessCase { spec, .. } = doc else { unreachable!() };
        business_case::insert(&mut tx, name, &spec, NOW).await.unwrap();
    }
    let (name, spec) = business_case::newest(&mut tx, "i").await.unwrap().unwrap();
    assert_eq!((name.as_str(), spec.high.0), ("new", 350));
    assert!(business_case::get(&mut tx, "old").await.unwrap().is_some());
    let again = business_case::insert(&mut tx, "old", &spec, NOW).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict), "{again}");
}

pub(crate) async fn endpoints_keep_their_cursor(store: &Store) {
    seed_endpoint(store, "e").await;
    let mut tx = store.begin().await.unwrap();
    let before = endpoint::cursor(&mut tx, "e").await.unwrap().unwrap();
    assert_eq!(before, SettleCursor::default());
    let after = SettleCursor {
        settled_until: Micros(5),
        run: 1,
        outcome_segment: 2,
        cost_until: Micros(4),
        ..before
    };
    assert!(endpoint::advance_cursor(&mut tx, "e", &before, &after).await.unwrap());
    assert!(
        !endpoint::advance_cursor(&mut tx, "e", &before, &after).await.unwrap(),
        "only from where it was"
    );
    endpoint::raise_watermark(&mut tx, "e", Micros(9)).await.unwrap();
    endpoint::raise_watermark(&mut tx, "e", Micros(7)).await.unwrap();
    let cursor = endpoint::cursor(&mut tx, "e").await.unwrap().unwrap();
    assert_eq!(cursor, SettleCursor { watermark: Micros(9), ..after });
    let spec = endpoint::get(&mut tx, "e").await.unwrap().unwrap();
    endpoint::upsert(&mut tx, "e", &spec, NOW).await.unwrap();
    assert_eq!(
        endpoint::cursor(&mut tx, "e").await.unwrap().unwrap(),
        cursor,
        "applying again keeps the cursor"
    );
    assert_eq!(endpoint::list(&mut tx).await.unwrap().len(), 1);
    assert!(endpoint::get(&mut tx, "none").await.unwrap().is_none());
}

pub(crate) async fn evidence_and_approvals_come_back_as_written(store: &Store) {
    seed_release(store).await;
    let result =
        GateResult::gather(Gate::History, "fine".into(), vec![], json!({ "auc": 0.563, "n": 10059 }));
    let mut tx = store.begin().await.unwrap();
    evidence::insert(&mut tx, "00000000-0000-7000-8000-000000000001", "e.1", &result, NOW).await.unwrap();
    let found = evidence::of_release(&mut tx, "e.1").await.unwrap();
    assert_eq!(found[0].result, result);
    assert_eq!(found[0].digest, found[0].result.digest(), "a round trip keeps the digest");
    let yes = Approval { actor: "ada".into(), approved: true, comment: "ok".into(), at: NOW.at };
    approval::insert(&mut tx, "e.1", &yes).await.unwrap();
    assert_eq!(approval::of_release(&mut tx, "e.1").await.unwrap(), std::slice::from_ref(&yes));
    let twice = approval::insert(&mut tx, "e.1", &yes).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict), "{twice}");
}

pub(crate) async fn initiatives_are_replaced(store: &Store) {
    seed_initiative(store, "b").await;
    seed_initiative(store, "a").await;
    let mut tx = store.begin().await.unwrap();
    let mut spec = initiative::get(&mut tx, "a").await.unwrap().unwrap();
    spec.title = "Other".into();
    initiative::upsert(&mut tx, "a", &spec, NOW).await.unwrap();
    let all = initiative::list(&mut tx).await.unwrap();
    assert_eq!(
        all.iter().map(|(n, s)| (n.as_str(), s.title.as_str())).collect::<Vec<_>>(),
        [("a", "Other"), ("b", "T")]
    );
}

pub(crate) async fn meta_keeps_the_first_value(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    meta::put_if_absent(&mut tx, "k", "first").await.unwrap();
    meta::put_if_absent(&mut tx, "k", "second").await.unwrap();
    assert_eq!(meta::get(&mut tx, "k").await.unwrap().as_deref(), Some("first"));
    assert_eq!(meta::get(&mut tx, "none").await.unwrap(), None);
}

pub(crate) async fn models_runs_and_trainings(store: &Store) {
    let a_run = Run {
        id: "r1".into(),
        experiment: "x".into(),
        name: "m".into(),
        status: "FINISHED".into(),
        initiative: "i".into(),
        dataset: "d@1".into(),
        code_version: "1".into(),
        author: "dana".into(),
        started_at: NOW.at,
        ended_at: Some(Micros(2_000_000)),
        params: vec![("alpha".into(), "1".into())],
        metrics: vec![("auc".into(), 0.1 + 0.2)],
    };
    let version = ModelVersion {
        name: "m".into(),
        version: 1,
        run_id: "r1".into(),
        signature: Signature { inputs: [Field::number("x")].into(), outputs: [].into() },
        flavor: "f".into(),
        sha256: "0".into(),
        size_bytes: 1,
        dataset: "d@1".into(),
        trained_until: NOW.at,
        score_edges: vec![0.1],
        score_counts: vec![1, 2],
        author: "dana".into(),
        created_at: NOW.at,
        registered: None,
    };
    let mut tx = store.begin().await.unwrap();
    assert_eq!(model::next_version(&mut tx, "m").await.unwrap(), 1);
    run::insert(&mut tx, &a_run).await.unwrap();
    model::insert(&mut tx, &version).await.unwrap();
    assert_eq!(model::next_version(&mut tx, "m").await.unwrap(), 2);
    assert_eq!(run::get(&mut tx, "r1").await.unwrap(), Some(a_run.clone()));
    assert_eq!(run::newest(&mut tx, 5).await.unwrap(), [a_run]);
    assert_eq!(model::get(&mut tx, "m", 1).await.unwrap(), Some(version.clone()));
    assert_eq!(model::newest(&mut tx, 5).await.unwrap(), [version]);
    let doc = document(json!({ "kind": "Training", "name": "t", "spec": {
        "experiment": "x", "initiative": "i", "dataset": "d@1", "from": "2020-01-01", "until": "2020-02-01",
        "features": ["x"], "learner": { "gradient_boosting": { "budget": 0.5 } } } }));
    let Document::Training { spec, .. } = doc else { unreachable!() };
    training::upsert(&mut tx, "t", &spec, NOW).await.unwrap();
    training::upsert(&mut tx, "t", &spec, NOW).await.unwrap();
    assert_eq!(training::get(&mut tx, "t").await.unwrap(), Some(spec));
    assert_eq!(training::names(&mut tx).await.unwrap(), ["t"]);
}

pub(crate) async fn policies_and_datasets_are_versioned(store: &Store) {
    let doc = document(json!({ "kind": "Dataset", "name": "d", "version": 1, "spec": {
        "description": "", "licence": "", "file": "f", "sha256": "", "positive": "yes", "contract": {} } }));
    let Document::Dataset { spec, .. } = doc else { unreachable!() };
    let report = ContractReport { rows: 7, violations: vec![] };
    let mut tx = store.begin().await.unwrap();
    dataset::insert(&mut tx, ("d", 1), &spec, &report, &crate::lineage::record("/x"), NOW).await.unwrap();
    assert_eq!(dataset::get(&mut tx, "d", 1).await.unwrap(), Some((spec, report)));
    assert!(dataset::get(&mut tx, "d", 2).await.unwrap().is_none());
    let doc = document(json!({ "kind": "Policy", "name": "p", "version": 3, "spec": {
        "description": "", "approvals": { "count": 1 },
        "history": { "months": 1, "min_auc": 0.5, "min_observed_over_expected": 0.5,
            "max_observed_over_expected": 2.0, "min_value_against_holdout": 0, "min_value_against_idle": 0,
            "min_months_ahead": 1, "resamples": 10, "level": 0.9, "seed": 1 },
        "shadow": { "min_predictions": 1, "max_p99_latency_ms": 1.0, "max_error_share": 0.1, "max_drift_psi": 0.1 },
        "rollout": { "alpha": 0.05, "tuned_for_units": 10.0, "max_error_share": 0.1, "max_p99_latency_ms": 1.0,
            "steps": [{ "percent": 10, "min_matured": 1, "advance_when": "proven" }] } } }));
    let Document::Policy { spec, .. } = doc else { unreachable!() };
    policy::insert(&mut tx, ("p", 3), &spec, NOW).await.unwrap();
    assert_eq!(policy::get(&mut tx, "p", 3).await.unwrap(), Some(spec));
    assert!(policy::get(&mut tx, "p", 1).await.unwrap().is_none());
}

pub(crate) async fn releases_change_only_from_where_they_were(store: &Store) {
    seed_release(store).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(release::next_number(&mut tx, "e").await.unwrap(), 2);
    let mut after = a_release(1);
    after.stage = Stage::Rollout;
    after.step = 1;
    after.step_since = Some(Micros(3));
    after.reason = Some("because".into());
    assert!(release::change(&mut tx, &after, Stage::Gated, 0).await.unwrap());
    assert!(!release::change(&mut tx, &after, Stage::Gated, 0).await.unwrap());
    assert_eq!(release::get(&mut tx, "e.1").await.unwrap(), Some(after.clone()));
    assert_eq!(release::list(&mut tx, Some("e")).await.unwrap(), [after.clone()]);
    assert_eq!(release::list(&mut tx, None).await.unwrap(), [after]);
    assert!(release::list(&mut tx, Some("other")).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let mut orphan = a_release(2);
    orphan.endpoint = "nowhere".into();
    let refused = release::insert(&mut tx, &orphan, 2).await.unwrap_err();
    assert!(matches!(refused, StoreError::MissingReference), "{refused}");
}

pub(crate) async fn routes_are_appended(store: &Store) {
    seed_endpoint(store, "e").await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(route::current(&mut tx, "e").await.unwrap(), Routes::default());
    for version in 1..=2 {
        let routes = Routes { version, champion_percent: 10 * version as u8, ..Routes::default() };
        route::insert(&mut tx, "e", &routes, "why", NOW).await.unwrap();
    }
    assert_eq!(route::current(&mut tx, "e").await.unwrap().champion_percent, 20);
    let published = endpoint::published(&mut tx).await.unwrap();
    assert_eq!(published.iter().map(|p| (p.name.as_str(), p.route_version)).collect::<Vec<_>>(), [("e", 2)]);
    let history = route::history(&mut tx, "e").await.unwrap();
    assert_eq!(history.iter().map(|h| h.routes.version).collect::<Vec<_>>(), [2, 1]);
    let twice = route::insert(&mut tx, "e", &Routes { version: 2, ..Routes::default() }, "why", NOW)
        .await
        .unwrap_err();
    assert!(matches!(twice, StoreError::Conflict), "{twice}");
}

pub(crate) async fn statistics_add_up_and_postings_are_summed(store: &Store) {
    seed_endpoint(store, "e").await;
    let day = DayStatistics {
        day: 14_368,
        units: 3,
        positives: 1,
        gross_minor: -1_500,
        randomised: 2,
        earned_sum: 0.1,
        earned_sum_squares: 0.2,
        errors: 1,
        earned_micros: 99_999,
        value_sum_squares: 2_250_000.5,
    };
    let row = StatisticRow {
        release: "e.1".into(),
        variant: Variant::Champion,
        champion_percent: 10,
        statistics: day.clone(),
    };
    let mut tx = store.begin().await.unwrap();
    ledger::add_statistics(&mut tx, "e", &row).await.unwrap();
    ledger::add_statistics(&mut tx, "e", &row).await.unwrap();
    let mut other = row.clone();
    other.champion_percent = 50;
    ledger::add_statistics(&mut tx, "e", &other).await.unwrap();
    let mut doubled = day.clone();
    doubled.add(&day);
    let rows = ledger::statistics(&mut tx, "e", Some("e.1")).await.unwrap();
    assert_eq!(rows.len(), 2, "the steps of a rollout are told apart");
    assert_eq!(rows[0].statistics, doubled);
    assert!(ledger::statistics(&mut tx, "e", Some("e.2")).await.unwrap().is_empty());
    assert_eq!(ledger::earned(&mut tx, "e", "e.1", 14_368).await.unwrap(), (3 * 99_999, 0), "every split");
    assert_eq!(ledger::earned(&mut tx, "e", "e.1", 14_369).await.unwrap(), (0, 0));
    let posting = |kind, variant, amount_minor| Posting {
        endpoint: "e".into(),
        release: None,
        variant,
        day: 14_368,
        kind,
        amount_minor,
        grade: Grade::A,
        settle_run: 1,
    };
    let lines = [
        posting(PostingKind::Gross, Some(Variant::Champion), 5),
        posting(PostingKind::Gross, Some(Variant::Champion), -2),
        posting(PostingKind::Cost, None, -7),
    ];
    for (index, line) in lines.iter().enumerate() {
        ledger::post(&mut tx, &format!("p{index}"), line, Currency::EUR, NOW.at).await.unwrap();
    }
    let totals = ledger::totals(&mut tx, "e").await.unwrap();
    assert_eq!(totals, [(PostingKind::Cost, None, -7), (PostingKind::Gross, Some(Variant::Champion), 3)]);
}

pub(crate) async fn tokens_are_revoked_once(store: &Store) {
    let ada = Actor { name: "ada".into(), role: Role::Approver };
    let mut tx = store.begin().await.unwrap();
    token::insert(&mut tx, "t1", &ada, ("hash", Some(100)), NOW).await.unwrap();
    let valid = token::valid(&mut tx).await.unwrap();
    let kept = token::ValidToken { secret_hash: "hash".into(), actor: ada, rate_per_second: Some(100) };
    assert_eq!(valid, [kept]);
    assert!(token::revoke(&mut tx, "t1", NOW.at).await.unwrap());
    assert!(!token::revoke(&mut tx, "t1", NOW.at).await.unwrap());
    assert!(token::valid(&mut tx).await.unwrap().is_empty());
    assert_eq!(token::list(&mut tx).await.unwrap()[0].revoked_at, Some(NOW.at));
}

pub(crate) async fn experiments_have_names_of_their_own_and_tags(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let default = experiment::get(&mut tx, 0).await.unwrap().unwrap();
    assert_eq!(
        (default.name.as_str(), default.artifact_location.as_str()),
        ("Default", "mlflow-artifacts:/0")
    );
    let id = experiment::insert(&mut tx, "churn", OURS, NOW).await.unwrap();
    let elsewhere = experiment::insert(&mut tx, "far", Location::At("file:///far"), NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(experiment::insert(&mut tx, "churn", OURS, NOW).await, Err(StoreError::Conflict)));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    experiment::set_tag(&mut tx, id, "team", "risk").await.unwrap();
    experiment::set_tag(&mut tx, id, "team", "growth").await.unwrap();
    experiment::rename(&mut tx, id, "churn 2", Micros(5_000_000)).await.unwrap();
    let found = experiment::get_by_name(&mut tx, "churn 2").await.unwrap().unwrap();
    assert_eq!(found.tags, [("team".to_owned(), "growth".to_owned())]);
    assert_eq!((found.id, found.artifact_location), (id, format!("mlflow-artifacts:/{id}")));
    assert_eq!((found.created_at, found.updated_at), (NOW.at, Micros(5_000_000)));
    assert!(experiment::delete_tag(&mut tx, id, "team").await.unwrap());
    assert!(!experiment::delete_tag(&mut tx, id, "team").await.unwrap());
    let found = experiment::get(&mut tx, elsewhere).await.unwrap().unwrap();
    assert_eq!(found.artifact_location, "file:///far");
}

pub(crate) async fn experiments_are_found_as_mlflow_finds_them(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for (name, at) in [("churn", 2_000_000), ("Chips", 1_000_000)] {
        let id =
            experiment::insert(&mut tx, name, OURS, Stamp { at: Micros(at), actor: "dana" }).await.unwrap();
        experiment::set_tag(&mut tx, id, "team", name).await.unwrap();
    }
    for (filter, order, expected) in [
        ("", None, &["churn", "Chips", "Default"][..]),
        ("name like 'ch%'", None, &["churn"]),
        ("name ilike 'ch%'", Some("creation_time"), &["Chips", "churn"]),
        ("tags.team != 'churn'", None, &["Chips"]),
        ("tags.team is null", None, &["Default"]),
        (
            "experiment_id in ('0', '1') and creation_time < 3000",
            Some("experiment_id"),
            &["Default", "churn"],
        ),
    ] {
        let conditions = parse_experiment_filter(filter).unwrap();
        let orders: Vec<_> = order.iter().map(|order| parse_experiment_order(order).unwrap()).collect();
        let asked = ExperimentSearch {
            view: View::Active,
            conditions: &conditions,
            orders: &orders,
            limit: 9,
            offset: 0,
        };
        let found = experiment_search::search(&mut tx, asked).await.unwrap();
        let names: Vec<&str> = found.iter().map(|experiment| experiment.name.as_str()).collect();
        assert_eq!(names, expected, "{filter}");
    }
}

async fn begin_run(tx: &mut Transaction, id: &str, experiment_id: i64) -> i64 {
    let run = NewRun { id, experiment_id, name: "bold-owl-1", author: "dana", started_at: NOW.at };
    run::create(tx, run).await.unwrap()
}

pub(crate) async fn an_experiment_takes_its_runs_along(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let id = experiment::insert(&mut tx, "churn", OURS, NOW).await.unwrap();
    let early = begin_run(&mut tx, "early", id).await;
    begin_run(&mut tx, "late", id).await;
    run::set_deleted(&mut tx, early, Some(Micros(1))).await.unwrap();
    let at = Some(Micros(2));
    experiment::set_deleted(&mut tx, id, at, Micros(2)).await.unwrap();
    assert_eq!(run::info(&mut tx, "late").await.unwrap().unwrap().deleted_at, at);
    experiment::set_deleted(&mut tx, id, None, Micros(3)).await.unwrap();
    assert_eq!(run::info(&mut tx, "late").await.unwrap().unwrap().deleted_at, None);
    assert_eq!(run::info(&mut tx, "early").await.unwrap().unwrap().deleted_at, Some(Micros(1)));
}

pub(crate) async fn runs_keep_what_is_logged_to_them(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let number = begin_run(&mut tx, "r1", 0).await;
    let other = begin_run(&mut tx, "r2", 0).await;
    assert_ne!(number, other);
    let mut info = run::info(&mut tx, "r1").await.unwrap().unwrap();
    assert_eq!(
        (info.status.as_str(), info.artifact_uri.as_str()),
        ("RUNNING", "mlflow-artifacts:/0/r1/artifacts")
    );
    "FINISHED".clone_into(&mut info.status);
    info.ended_at = Some(Micros(9));
    run::update(&mut tx, &info).await.unwrap();
    let many: Vec<(String, String)> = (0..300).map(|i| (format!("p{i:03}"), i.to_string())).collect();
    let pairs: Vec<(&str, &str)> = many.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(param::log(&mut tx, number, &pairs).await.unwrap(), []);
    assert_eq!(
        param::log(&mut tx, number, &pairs[..2]).await.unwrap(),
        [],
        "the same value again is no change"
    );
    let changed = param::log(&mut tx, number, &[("new", "1"), ("p001", "2")]).await.unwrap();
    assert_eq!(changed, [Changed { key: "p001".into(), old: "1".into(), new: "2".into() }]);
    run_tag::set(&mut tx, number, &[("a", "1"), ("b", "2")]).await.unwrap();
    run_tag::set(&mut tx, number, &[("b", "3")]).await.unwrap();
    assert!(run_tag::delete(&mut tx, number, "a").await.unwrap());
    assert!(!run_tag::delete(&mut tx, number, "a").await.unwrap());
    let infos = vec![run::info(&mut tx, "r2").await.unwrap().unwrap(), info.clone()];
    let found = run::records(&mut tx, infos).await.unwrap();
    assert_eq!((found[0].params.len(), found[1].params.len()), (0, 301));
    assert_eq!(found[1].info, info);
    assert_eq!(found[1].tags, [("b".to_owned(), "3".to_owned())]);
}

pub(crate) async fn metrics_are_logged_once_and_the_newest_stands_out(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let number = begin_run(&mut tx, "r1", 0).await;
    let point = |key, value, at_ms, step| Point { key, value, at_ms, step };
    let points = [
        point("loss", 0.5, 10, 2),
        point("loss", 0.9, 20, 1),
        point("odd", f64::NAN, 1, 0),
        point("big", f64::INFINITY, 1, -3),
    ];
    for _ in 0..2 {
        metric::log(&mut tx, (number, 0), &points).await.unwrap();
    }
    metric::log(&mut tx, (number, 0), &[point("loss", 0.4, 10, 2)]).await.unwrap();
    let all = Page { limit: 10, offset: 0 };
    let history = metric::history(&mut tx, number, "loss", all).await.unwrap();
    let values: Vec<f64> = history.iter().map(|point| point.value).collect();
    assert_eq!(values, [0.4, 0.5, 0.9], "by time, then step, then value; each once");
    let second = metric::history(&mut tx, number, "loss", Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!(second, history[1..2]);
    let info = run::info(&mut tx, "r1").await.unwrap().unwrap();
    let record = run::records(&mut tx, vec![info]).await.unwrap().remove(0);
    let newest: Vec<(&str, f64, i64)> =
        record.metrics.iter().map(|m| (m.key.as_str(), m.value, m.step)).collect();
    assert_eq!(newest[0], ("big", f64::INFINITY, -3));
    assert_eq!(newest[1], ("loss", 0.5, 2));
    assert!(newest[2].1.is_nan());
    let many: Vec<Point<'_>> = (0..1_000).map(|i| point("many", i as f64, i, i)).collect();
    metric::log(&mut tx, (number, 0), &many).await.unwrap();
    let all = metric::history(&mut tx, number, "many", Page { limit: 2_000, offset: 0 }).await.unwrap();
    assert_eq!(all.len(), 1_000);

    tx.commit().await.unwrap();
    let newer = point("loss", 0.1, 5, 9);
    for one in [newer, newer, point("loss", 0.2, 5, 1), point("odd", f64::NAN, 2, 1)] {
        assert!(metric::log_one(store, "r1", &one).await.unwrap());
    }
    assert!(!metric::log_one(store, "none", &newer).await.unwrap());
    let mut tx = store.begin().await.unwrap();
    let all = Page { limit: 10, offset: 0 };
    assert_eq!(metric::history(&mut tx, number, "loss", all).await.unwrap().len(), 5);
    let info = run::info(&mut tx, "r1").await.unwrap().unwrap();
    let record = run::records(&mut tx, vec![info]).await.unwrap().remove(0);
    let newest: Vec<(&str, i64)> = record.metrics.iter().map(|m| (m.key.as_str(), m.step)).collect();
    assert_eq!(newest, [("big", -3), ("loss", 9), ("many", 999), ("odd", 1)]);
    run::set_deleted(&mut tx, number, Some(Micros(1))).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!metric::log_one(store, "r1", &newer).await.unwrap(), "a deleted run takes nothing");
}

/// Three runs: `old` without parameters, `mid` with a NaN, `new` with everything.
async fn seed_runs(tx: &mut Transaction) {
    for (id, at, value) in [("old", 1_000, None), ("mid", 2_000, Some(f64::NAN)), ("new", 3_000, Some(0.9))] {
        let run = NewRun { id, experiment_id: 0, name: id, author: "dana", started_at: Micros(at) };
        let number = run::create(tx, run).await.unwrap();
        run_tag::set(tx, number, &[("mlflow.runName", id)]).await.unwrap();
        if let Some(value) = value {
            let points = [Point { key: "auc", value, at_ms: 1, step: 1 }];
            metric::log(tx, (number, 0), &points).await.unwrap();
            param::log(tx, number, &[("learner", if value > 0.0 { "Trees" } else { "linear" })])
                .await
                .unwrap();
        }
    }
}

async fn found(tx: &mut Transaction, filter: &str, orders: &[&str]) -> Vec<String> {
    let conditions = parse_filter(filter).unwrap();
    let orders: Vec<_> = orders.iter().map(|order| parse_order(order).unwrap()).collect();
    let asked = RunSearch {
        experiments: &[0, 7],
        view: View::Active,
        conditions: &conditions,
        orders: &orders,
        limit: 10,
        offset: 0,
    };
    let runs = run_search::search(tx, asked).await.unwrap();
    runs.into_iter().map(|run| run.id).collect()
}

pub(crate) async fn runs_are_found_as_mlflow_finds_them(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    seed_runs(&mut tx).await;
    for (filter, expected) in [
        ("", &["new", "mid", "old"][..]),
        ("metrics.auc > 0.5", &["new"]),
        ("metrics.auc != 0.9", &["mid"]),
        ("metrics.auc <= 5", &["new"]),
        ("params.learner = 'Trees'", &["new"]),
        ("params.learner != 'Trees'", &["mid"]),
        ("params.learner like 'tr%'", &[]),
        ("params.learner ILIKE 'tr%'", &["new"]),
        ("params.learner IS NULL", &["old"]),
        ("params.learner IS NOT NULL and start_time > 2", &["new"]),
        ("run_name = 'mid'", &["mid"]),
        ("run_id in ('old', 'new')", &["new", "old"]),
        ("run_id not in ('old')", &["new", "mid"]),
        ("user_id = 'dana' and status = 'RUNNING'", &["new", "mid", "old"]),
        ("artifact_uri like '%/mid/artifacts'", &["mid"]),
        ("end_time != 0", &[]),
        ("tags.mlflow.runName like '_l%'", &["old"]),
    ] {
        assert_eq!(found(&mut tx, filter, &[]).await, expected, "{filter}");
    }
    for (orders, expected) in [
        (&["metrics.auc"][..], ["new", "mid", "old"]),
        (&["metrics.auc DESC"], ["new", "mid", "old"]),
        (&["params.learner DESC"], ["mid", "new", "old"]),
        (&["end_time", "start_time"], ["old", "mid", "new"]),
        (&["run_name DESC"], ["old", "new", "mid"]),
    ] {
        assert_eq!(found(&mut tx, "", orders).await, expected, "{orders:?}");
    }
    let number = run::info(&mut tx, "mid").await.unwrap().unwrap().number;
    run::set_deleted(&mut tx, number, Some(Micros(1))).await.unwrap();
    assert_eq!(found(&mut tx, "", &[]).await, ["new", "old"]);
}

fn new_version(model: i64) -> NewVersion<'static> {
    NewVersion {
        model,
        version: None,
        description: None,
        source: "s3://b/m",
        storage_location: "s3://b/m",
        run_id: None,
        run_link: None,
    }
}

pub(crate) async fn registered_versions_are_numbered_once(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let model = registered_model::insert(&mut tx, "churn", "", NOW).await.unwrap();
    tag::set(&mut tx, Tags::RegisteredModel, model, &[("a", "1"), ("b", "2")]).await.unwrap();
    tag::set(&mut tx, Tags::RegisteredModel, model, &[("b", "3")]).await.unwrap();
    assert!(tag::delete(&mut tx, Tags::RegisteredModel, model, "a").await.unwrap());
    tx.commit().await.unwrap();
    let add = || async {
        let mut tx = store.begin().await.unwrap();
        let (_, version) = registered_version::insert(&mut tx, new_version(model), NOW).await.unwrap();
        tx.commit().await.unwrap();
        version
    };
    let (a, b, c) = tokio::join!(add(), add(), add());
    let mut numbers = [a, b, c];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
    let mut tx = store.begin().await.unwrap();
    let first = registered_version::get(&mut tx, "churn", 1).await.unwrap().unwrap();
    let third = registered_version::get(&mut tx, "churn", 3).await.unwrap().unwrap();
    registered_version::set_stage(&mut tx, &first, "Production", Micros(2)).await.unwrap();
    registered_version::set_alias(&mut tx, model, "champion", 3).await.unwrap();
    let found = registered_model::get(&mut tx, "churn").await.unwrap().unwrap();
    assert_eq!(found.tags, [("b".to_owned(), "3".to_owned())]);
    let latest: Vec<(i64, &str)> = found.latest.iter().map(|v| (v.version, v.stage.as_str())).collect();
    assert_eq!(latest, [(1, "Production"), (3, "None")]);
    registered_version::delete(&mut tx, &third, Micros(3)).await.unwrap();
    assert_eq!(registered_version::get(&mut tx, "churn", 3).await.unwrap(), None);
    assert_eq!(registered_version::by_alias(&mut tx, model, "champion").await.unwrap(), None);
    let (_, next) = registered_version::insert(&mut tx, new_version(model), NOW).await.unwrap();
    assert_eq!(next, 4);
    registered_model::rename(&mut tx, model, "leave", Micros(4)).await.unwrap();
    assert_eq!(registered_version::get(&mut tx, "leave", 4).await.unwrap().unwrap().name, "leave");
    registered_model::delete(&mut tx, model).await.unwrap();
    assert_eq!(registered_model::get(&mut tx, "leave").await.unwrap(), None);
    assert_eq!(registered_version::get(&mut tx, "leave", 4).await.unwrap(), None);
}
