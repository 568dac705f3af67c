//! MLflow's REST interface to experiments, runs and the registry, for its unmodified client.
//!
//! Owns the wire: names of fields, messages of refusals, page tokens. Fields that are not known are ignored, as MLflow
//! does. What is not served answers in MLflow's form that it is not.

mod artifact;
mod call;
mod error;
mod experiment;
mod logged_model;
mod metric;
mod page;
mod registered_model;
mod registered_version;
mod run;
mod webhook;

use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::ApiState;
use error::{Code, MlflowError};

/// The release of MLflow whose interface this is; its client asks for it.
const MLFLOW_VERSION: &str = "3.17.2";

/// Everything below `/api/2.0/mlflow` and, for MLflow's own pages, `/ajax-api/2.0/mlflow`.
pub(crate) fn router() -> Router<ApiState> {
    let version_2 = Router::new()
        .merge(artifact::router())
        .merge(experiment::router())
        .merge(logged_model::router())
        .merge(metric::router())
        .merge(registered_model::router())
        .merge(registered_version::router())
        .merge(run::router())
        .merge(webhook::router())
        .fallback(not_served)
        .method_not_allowed_fallback(not_served);
    let version_3 = Router::new().route("/server-info", get(server_info)).fallback(not_served);
    Router::new()
        .nest("/api/2.0/mlflow", version_2.clone())
        .nest("/ajax-api/2.0/mlflow", version_2)
        .nest("/api/3.0/mlflow", version_3.clone())
        .nest("/ajax-api/3.0/mlflow", version_3)
        .nest("/api/2.0/mlflow-artifacts", artifact::proxy())
        .nest("/ajax-api/2.0/mlflow-artifacts", artifact::proxy())
        .merge(artifact::pages())
        .route("/health", get(|| async { "OK" }))
        .route("/version", get(|| async { MLFLOW_VERSION }))
}

async fn server_info() -> Json<Value> {
    Json(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": { "gateway": false },
    }))
}

async fn not_served(uri: Uri) -> MlflowError {
    let path: String = uri.path().chars().take(200).collect();
    MlflowError {
        status: StatusCode::NOT_IMPLEMENTED,
        code: Code::NotImplemented,
        message: format!(
            "Greenlight does not serve '{path}': experiments, runs, logged models, artifacts and the registry are what it answers here"
        ),
    }
}
