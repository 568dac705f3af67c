//! SQL and migrations, the same text on SQLite and PostgreSQL. The only crate that names `sqlx`.
//!
//! One file a noun; every function takes a connection, so that a use case puts a change and its audit line into one
//! transaction. Times are epoch microseconds, money is minor units, flags are 0 or 1, specifications are JSON text.
//! It refuses rules: whether a change is allowed is decided in `domain` and `app`.

pub mod approval;
pub mod audit;
pub mod business_case;
pub mod dataset;
pub mod endpoint;
pub mod evidence;
pub mod experiment;
pub mod experiment_search;
pub mod garbage;
pub mod hypothesis;
pub mod import;
pub mod initiative;
pub mod ledger;
pub mod lineage;
pub mod logged_dataset;
pub mod logged_model;
pub mod logged_model_search;
pub mod meta;
pub mod metric;
pub mod model;
pub mod param;
pub mod policy;
pub mod registered_model;
pub mod registered_version;
pub mod registry_search;
pub mod release;
pub mod route;
pub mod run;
pub mod run_model;
pub mod run_search;
pub mod run_tag;
pub mod tag;
pub mod token;
pub mod training;
pub mod value_version;
pub mod webhook;

mod connect;
mod counter;
mod error;
mod json;
mod packed;
mod rows;
mod statement;

pub use connect::{Connection, Store, Transaction};
pub use error::StoreError;

/// Who wrote a row and when.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// When.
    pub at: greenlight_domain::time::Micros,
    /// Who.
    pub actor: &'a str,
}
