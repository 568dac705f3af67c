//! The contract suite: every query runs on SQLite and on a real PostgreSQL.
//!
//! `script/test` starts a PostgreSQL and names it in GREENLIGHT_TEST_POSTGRES_URL. Without it the suite fails
//! rather than passing on one database only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod contract;
mod garbage;
mod hypothesis;
mod import;
mod lineage;
mod research;
mod run_order;
mod servable;

use greenlight_store::Store;
use sqlx::{Connection, Executor};

/// A fresh SQLite database.
async fn sqlite(folder: &tempfile::TempDir) -> Store {
    let path = folder.path().join("contract.db");
    Store::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

/// A fresh database on the PostgreSQL that the script started.
async fn postgres() -> Store {
    let server = std::env::var("GREENLIGHT_TEST_POSTGRES_URL").expect(
        "GREENLIGHT_TEST_POSTGRES_URL names no PostgreSQL; run the tests with script/test, which starts one",
    );
    sqlx::any::install_default_drivers();
    let name = format!("contract_{}", uuid::Uuid::now_v7().simple());
    let mut admin = sqlx::AnyConnection::connect(&server).await.unwrap();
    let create = format!("create database {name}");
    admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    admin.close().await.unwrap();
    let (base, options) = server.split_once('?').map_or((server.as_str(), None), |(b, o)| (b, Some(o)));
    let (host, _) = base.rsplit_once('/').expect("the URL ends with a database");
    let url = options.map_or_else(|| format!("{host}/{name}"), |o| format!("{host}/{name}?{o}"));
    Store::connect(&url).await.unwrap()
}

/// Runs one contract on both databases.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite_ {
            $(#[tokio::test] async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                crate::contract::$name(&crate::sqlite(&folder).await).await;
            })+
        }
        mod postgres_ {
            $(#[tokio::test] async fn $name() {
                crate::contract::$name(&crate::postgres().await).await;
            })+
        }
    };
}

on_both![
    a_described_run_leaves_out_what_it_read,
    a_run_is_completed_and_never_overwritten,
    a_logged_model_goes_with_what_hangs_on_it,
    a_page_of_runs_has_everything_exactly,
    an_experiment_takes_its_runs_along,
    audit_is_newest_first_and_rolls_back_with_its_change,
    business_cases_are_superseded_by_date,
    data_sets_are_found_by_their_place,
    datasets_are_listed_with_their_readers,
    changes_of_a_registered_model_are_told_from_those_of_its_namesakes,
    endpoints_keep_their_cursor,
    evidence_and_approvals_come_back_as_written,
    experiments_and_versions_go_when_nothing_needs_them,
    experiments_are_found_as_mlflow_finds_them,
    experiments_have_names_of_their_own_and_tags,
    hypotheses_are_closed_and_found_again,
    initiatives_are_replaced,
    lineage_leads_both_ways,
    meta_keeps_the_first_value,
    metrics_are_logged_once_and_the_newest_stands_out,
    model_versions_are_found_by_name_and_by_run,
    models_runs_and_trainings,
    policies_and_datasets_are_versioned,
    registered_versions_are_numbered_once,
    releases_are_found_by_model,
    releases_change_only_from_where_they_were,
    routes_are_appended,
    runs_are_counted_no_further_than_asked,
    runs_are_found_as_mlflow_finds_them,
    runs_that_ended_come_in_the_order_of_their_end,
    runs_by_a_metric_are_those_of_a_plain_sort,
    runs_keep_what_is_logged_to_them,
    statistics_add_up_and_postings_are_summed,
    tokens_are_revoked_once,
    versions_are_found_by_where_they_come_from,
    what_is_collected_goes_in_small_steps,
    what_was_imported_is_known_by_its_tags,
    what_is_deleted_is_found_with_who_holds_it,
];
