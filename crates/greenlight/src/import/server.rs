//! Reading from a tracking server by MLflow's REST API, versions 1.28 and later.

use std::time::Duration;

use axum::body::Bytes;
use futures::{Stream, TryStreamExt};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::wire::{Entry, Owner, PAGE, Page, list, number, text};
use crate::failure::Failure;

/// Longest wait for an answer that is not a file.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Slowest file that is waited for, bytes a second.
const SLOWEST: u64 = 1 << 18;
/// How often a question is asked when the server does not answer or is busy.
const ATTEMPTS: u32 = 5;
/// Points of a page of a history.
const POINTS: &str = "25000";

/// A tracking server, with what MLflow's own client would send to be let in.
#[derive(Debug)]
pub(super) struct Server {
    http: reqwest::Client,
    base: String,
    user: Option<(String, String)>,
    token: Option<String>,
}

impl Server {
    /// The server at that address; who asks is read from the variables of MLflow's client.
    pub(super) fn new(base: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| Failure::Unreachable(format!("the HTTP client cannot start: {error}")))?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = variable("MLFLOW_TRACKING_USERNAME")
            .map(|name| (name, variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()));
        let token = variable("MLFLOW_TRACKING_TOKEN");
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), user, token })
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match (&self.user, &self.token) {
            (Some((user, password)), _) => request.basic_auth(user, Some(password)),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        }
    }

    /// Asks, and asks again while the server is busy or away.
    async fn answer(&self, ask: impl Fn() -> RequestBuilder) -> Result<Response, Failure> {
        let mut wait = Duration::from_millis(500);
        for attempt in 1.. {
            let last = attempt == ATTEMPTS;
            match self.signed(ask()).send().await {
                Ok(response) if last || !is_passing(response.status()) => {
                    return self.checked(response).await;
                }
                Err(error) if last || error.is_builder() => return Err(self.away(&error)),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(Failure::Unreachable(format!("{} does not answer", self.base)))
    }

    fn away(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable(format!(
            "{} does not answer ({error}); is it a tracking server, and does it run?",
            self.base
        ))
    }

    async fn checked(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = response.url().path().to_owned();
        let said: Value = response.json().await.unwrap_or_default();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(Failure::Server {
                status: status.as_u16(),
                code: "GL0002".to_owned(),
                detail: format!(
                    "{} does not let us in ({status}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or \
                     MLFLOW_TRACKING_TOKEN, as for MLflow's client",
                    self.base
                ),
            });
        }
        let message = text(&said, "message");
        let detail = if message.is_empty() { "without a reason" } else { message };
        let detail = format!("{}{url} answered {status}: {detail}", self.base);
        Err(Failure::Server { status: status.as_u16(), code: "GL0004".to_owned(), detail })
    }

    async fn json(&self, ask: impl Fn() -> RequestBuilder) -> Result<Value, Failure> {
        let response = self.answer(|| ask().timeout(TIMEOUT)).await?;
        let bytes = response.bytes().await.map_err(|error| self.away(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| {
            Failure::Input(format!(
                "{} does not speak MLflow's API; give the address of a tracking server",
                self.base
            ))
        })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let url = format!("{}/api/2.0/mlflow/{path}", self.base);
        self.json(|| self.http.get(&url).query(query)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}/api/2.0/mlflow/{path}", self.base);
        self.json(|| self.http.post(&url).json(body)).await
    }

    pub(super) async fn experiments(&self, after: Option<&str>) -> Result<Page, Failure> {
        let body = json!({ "max_results": 1000, "view_type": "ACTIVE_ONLY", "page_token": after });
        Ok(page(&self.post("experiments/search", &body).await?, "experiments"))
    }

    pub(super) async fn runs(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        let body = json!({
            "experiment_ids": [experiment], "run_view_type": "ACTIVE_ONLY", "max_results": PAGE,
            // Oldest first: what begins meanwhile comes last.
            "order_by": ["attributes.start_time ASC"], "page_token": after,
        });
        Ok(page(&self.post("runs/search", &body).await?, "runs"))
    }

    pub(super) async fn run(&self, id: &str) -> Result<Value, Failure> {
        Ok(self.get("runs/get", &[("run_id", id)]).await?["run"].take())
    }

    pub(super) async fn history(&self, run: &str, key: &str, after: Option<&str>) -> Result<Page, Failure> {
        let mut query = vec![("run_id", run), ("metric_key", key), ("max_results", POINTS)];
        query.extend(after.map(|token| ("page_token", token)));
        Ok(page(&self.get("metrics/get-history", &query).await?, "metrics"))
    }

    /// Logged models; none on a server that is older than they are.
    pub(super) async fn logged_models(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        let body = json!({ "experiment_ids": [experiment], "max_results": 50, "page_token": after });
        match self.post("logged-models/search", &body).await {
            Ok(answer) => Ok(page(&answer, "models")),
            Err(Failure::Server { status: 404 | 405, .. }) => Ok(Page::default()),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn registered_models(&self, after: Option<&str>) -> Result<Page, Failure> {
        let mut query = vec![("max_results", "100")];
        query.extend(after.map(|token| ("page_token", token)));
        Ok(page(&self.get("registered-models/search", &query).await?, "registered_models"))
    }

    pub(super) async fn versions(&self, model: &str, after: Option<&str>) -> Result<Page, Failure> {
        let quoted = if model.contains('\'') { format!("\"{model}\"") } else { format!("'{model}'") };
        let filter = format!("name={quoted}");
        let mut query =
            vec![("filter", filter.as_str()), ("max_results", "1000"), ("order_by", "version_number ASC")];
        query.extend(after.map(|token| ("page_token", token)));
        Ok(page(&self.get("model-versions/search", &query).await?, "model_versions"))
    }

    pub(super) async fn files(
        &self,
        owner: Owner<'_>,
        folder: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>), Failure> {
        let mut query: Vec<(&str, &str)> = after.map(|token| ("page_token", token)).into_iter().collect();
        let answer = match owner {
            Owner::Run { id, .. } => {
                query.push(("run_id", id));
                query.extend((!folder.is_empty()).then_some(("path", folder)));
                self.get("artifacts/list", &query).await?
            }
            Owner::LoggedModel { id, .. } => {
                query.extend((!folder.is_empty()).then_some(("artifact_directory_path", folder)));
                self.get(&format!("logged-models/{id}/artifacts/directories"), &query).await?
            }
        };
        let found = page(&answer, "files");
        let entry = |file: &Value| Entry {
            path: text(file, "path").to_owned(),
            is_folder: file["is_dir"].as_bool().unwrap_or_default(),
            size: number(file, "file_size").and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        };
        Ok((found.items.iter().map(entry).collect(), found.next))
    }

    pub(super) async fn open(
        &self,
        owner: Owner<'_>,
        entry: &Entry,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + use<>, Failure> {
        let (path, query) = match owner {
            Owner::Run { id, .. } => {
                ("get-artifact".to_owned(), vec![("run_uuid", id), ("path", entry.path.as_str())])
            }
            Owner::LoggedModel { id, .. } => (
                format!("ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files"),
                vec![("artifact_file_path", entry.path.as_str())],
            ),
        };
        let url = format!("{}/{path}", self.base);
        let patience = TIMEOUT + Duration::from_secs(entry.size / SLOWEST);
        let response = self.answer(|| self.http.get(&url).query(&query).timeout(patience)).await?;
        Ok(response.bytes_stream().map_err(std::io::Error::other))
    }
}

/// Whether asking again may help.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504)
}

fn page(answer: &Value, items: &str) -> Page {
    let next = text(answer, "next_page_token");
    Page { items: list(answer, items).to_vec(), next: (!next.is_empty()).then(|| next.to_owned()) }
}
