//! One file a noun: its routes, its handlers, and its pages as pure functions from a view to markup.

pub mod ab_test;
pub mod dataset;
pub mod endpoint;
pub mod endpoint_disagreement;
pub mod endpoint_drift;
pub mod endpoint_traffic;
pub mod endpoint_try;
pub mod experiment;
pub mod hypothesis;
pub mod initiative;
pub mod lineage;
pub mod login;
pub mod model;
pub mod portfolio;
pub mod prediction;
pub mod release;
pub mod run;
pub mod run_comparison;
pub mod run_table;

mod approval;
mod dataset_profile;
mod endpoint_request;
mod endpoint_tabs;
mod gate;
mod initiative_case;
mod model_history;
mod model_version;
mod rollout;
mod run_chart;
mod run_column;
mod run_comparison_chart;
mod run_file;
mod run_related;

use std::sync::Arc;

use axum::Router;
use greenlight_app::App;

/// The routes of all pages.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(portfolio::routes())
        .merge(initiative::routes())
        .merge(hypothesis::routes())
        .merge(release::routes())
        .merge(ab_test::routes())
        .merge(dataset::routes())
        .merge(lineage::routes())
        .merge(endpoint::routes())
        .merge(endpoint_traffic::routes())
        .merge(endpoint_drift::routes())
        .merge(endpoint_disagreement::routes())
        .merge(endpoint_try::routes())
        .merge(prediction::routes())
        .merge(experiment::routes())
        .merge(run_table::routes())
        .merge(run::routes())
        .merge(run_file::routes())
        .merge(run_comparison::routes())
        .merge(model::routes())
        .merge(login::routes())
}
