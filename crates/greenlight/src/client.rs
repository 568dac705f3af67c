//! The client of a running server, as every verb uses it.

use std::time::Duration;

use reqwest::{Body, Method, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// A server and who speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

const TIMEOUT: Duration = Duration::from_mins(5);
/// Slowest file that is waited for, bytes a second.
const SLOWEST: u64 = 1 << 18;

impl Client {
    /// A client of `base` that sends `token`.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| Failure::Unreachable(format!("the HTTP client cannot start: {e}")))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// The same server as somebody else.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body).map_err(|e| Failure::Input(e.to_string()))?;
        self.send(Method::POST, path, Some(body.into())).await
    }

    /// `POST path` with a body of another type than JSON.
    pub(crate) async fn post_as(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let response = self.request(Method::POST, path, Some((content_type, body.into()))).await?;
        self.read(response).await
    }

    /// `PUT path` with a JSON body.
    pub(crate) async fn put_json(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body).map_err(|e| Failure::Input(e.to_string()))?;
        self.put(path, body.into()).await
    }

    /// `GET path`, of which the bytes are wanted.
    pub(crate) async fn download(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let response = self.request(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Err(self
                .read(response)
                .await
                .err()
                .unwrap_or_else(|| Failure::Unreachable(format!("{} answered without a file", self.base))));
        }
        Ok(response.bytes().await.map_err(|e| self.unreachable(&e))?.to_vec())
    }

    /// `DELETE path`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, None).await
    }

    /// `PUT path` with raw bytes.
    pub(crate) async fn put(&self, path: &str, body: Body) -> Result<Value, Failure> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `PUT path` with the bytes of a file of `size` bytes, which may take long.
    pub(crate) async fn put_file(&self, path: &str, body: Body, size: u64) -> Result<Value, Failure> {
        let patience = TIMEOUT + Duration::from_secs(size / SLOWEST);
        let request = self.http.put(format!("{}{path}", self.base)).timeout(patience).body(body);
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        self.read(request.send().await.map_err(|e| self.unreachable(&e))?).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        let body = body.map(|body| ("application/json", body));
        let response = self.request(method, path, body).await?;
        self.read(response).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Body)>,
    ) -> Result<Response, Failure> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        request.send().await.map_err(|e| self.unreachable(&e))
    }

    async fn read(&self, response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let detail = text("detail")
            .or_else(|| text("error"))
            .or_else(|| text("message"))
            .unwrap_or_else(|| format!("the server answered {status}"));
        if status == StatusCode::UNAUTHORIZED && self.token.is_empty() {
            let hint =
                "set GREENLIGHT_TOKEN (the first start of 'greenlight serve' prints one) or pass --token";
            return Err(Failure::Input(hint.to_owned()));
        }
        let code = text("code").unwrap_or_else(|| "GL0004".to_owned());
        Err(Failure::Server { status: status.as_u16(), code, detail })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable(format!(
            "{} does not answer ({error}); start a server with 'greenlight serve' or name one with --url",
            self.base
        ))
    }
}
