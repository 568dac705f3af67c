//! Upstreams over HTTP: the Open Inference Protocol in JSON, and MLflow's scoring server.
//!
//! Owns the one client of an upstream, whose connections are kept and used again. It follows no redirect, asks no
//! proxy, and reads no answer past its bound.

use std::time::Duration;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::Frame;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::describe::{Described, Meta};
use super::failed::{CallError, clean};
use super::mlflow;
use super::spec::{Output, Protocol, Spec};
use super::tensor::{self, Answered, Tensor};
use crate::artifact::refused;

/// Idle connections that are kept, each address.
const IDLE: usize = 64;
/// Most bytes of an answer that holds no scores.
const SMALL: usize = 256 << 10;
/// Bytes of an answer allowed for each row, on top of [`SMALL`].
const BYTES_A_ROW: usize = 1 << 10;

/// Most bytes of an answer to so many rows.
pub(crate) fn answer_bound(rows: usize) -> usize {
    SMALL + rows * BYTES_A_ROW
}

pub(crate) struct HttpServers {
    client: Client,
    /// Of each address: where rows go, and what is asked for health.
    servers: Vec<Server>,
    protocol: Protocol,
    bearer: Option<HeaderValue>,
}

struct Server {
    score: Url,
    model: Url,
    health: Vec<Url>,
}

#[derive(Serialize)]
struct InferRequest<'a> {
    inputs: &'a [Tensor<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<[Named<'a>; 1]>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct InferAnswer {
    outputs: Vec<OutputTensor>,
}

#[derive(Deserialize)]
struct OutputTensor {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    inputs: Option<Vec<Meta>>,
    #[serde(default)]
    outputs: Option<Vec<Meta>>,
}

/// The bearer token of the variable that the document names.
pub(crate) fn bearer(spec: &Spec) -> Result<Option<HeaderValue>, RuntimeError> {
    let Some(name) = &spec.bearer_env else { return Ok(None) };
    let token = std::env::var(name)
        .map_err(|_| refused(format!("the server has no variable {name}; set it to the upstream's token")))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| refused(format!("{name} does not hold a token that can be sent")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The body of a request for these rows.
pub(crate) fn body(spec: &Spec, tensors: &[Tensor<'_>], rows: &Frame) -> Result<Vec<u8>, RuntimeError> {
    let written = if spec.protocol == Protocol::Mlflow {
        serde_json::to_vec(&mlflow::request(&spec.columns, rows)?)
    } else {
        let outputs = spec.output.name.as_deref().map(|name| [Named { name }]);
        serde_json::to_vec(&InferRequest { inputs: tensors, outputs })
    };
    written.map_err(|e| RuntimeError::Scoring(format!("the rows cannot be written: {e}")))
}

impl HttpServers {
    pub(crate) fn new(spec: &Spec) -> Result<Self, RuntimeError> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_millis(spec.connect_timeout_ms))
            .pool_max_idle_per_host(IDLE)
            .user_agent(concat!("greenlight/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| refused(format!("no HTTP client can be made: {e}")))?;
        let servers = spec.urls()?.iter().map(|url| server(spec, url)).collect::<Option<Vec<_>>>();
        let servers = servers.ok_or_else(|| refused("an address cannot carry a path"))?;
        Ok(Self { client, servers, protocol: spec.protocol, bearer: bearer(spec)? })
    }

    pub(crate) async fn score(
        &self,
        index: usize,
        body: bytes::Bytes,
        traceparent: Option<&str>,
        rows: usize,
        output: &Output,
    ) -> Result<Vec<f64>, CallError> {
        let mut request = self.client.post(self.servers[index].score.clone()).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(trace) = traceparent {
            request = request.header("traceparent", trace);
        }
        let answer = self.send(request, answer_bound(rows)).await?;
        if self.protocol == Protocol::Mlflow {
            return mlflow::scores(&answer, rows, output);
        }
        let answer: InferAnswer = parse(&answer)?;
        let chosen = tensor::meant(answer.outputs.iter().map(|output| output.name.as_str()), output)?;
        let chosen = answer.outputs.into_iter().nth(chosen);
        let chosen = chosen.ok_or_else(|| CallError::Answer("it has no output".to_owned()))?;
        if !matches!(chosen.datatype.as_str(), "FP32" | "FP64") {
            let (name, datatype) = (clean(&chosen.name), clean(&chosen.datatype));
            return Err(CallError::Answer(format!(
                "output '{name}' is {datatype} and scores are FP32 or FP64"
            )));
        }
        let mut numbers = Vec::with_capacity(rows);
        flatten(&chosen.data, &mut numbers, 4)?;
        tensor::probabilities(&Answered { name: chosen.name, shape: chosen.shape, numbers }, rows, output)
    }

    /// Whether the server and its model say that they are ready.
    pub(crate) async fn ready(&self, index: usize) -> Result<(), CallError> {
        for url in &self.servers[index].health {
            let body = self.send(self.client.get(url.clone()), SMALL).await?;
            let said = serde_json::from_slice::<Value>(&body).ok();
            if said.is_some_and(|said| said.get("ready") == Some(&Value::Bool(false))) {
                return Err(CallError::Unavailable(format!("{} says not ready", url.path())));
            }
        }
        Ok(())
    }

    /// What the model takes and answers; empty where the server does not say.
    pub(crate) async fn describe(&self, index: usize) -> Result<Described, CallError> {
        if self.protocol == Protocol::Mlflow {
            return Ok(Described::default());
        }
        let body = self.send(self.client.get(self.servers[index].model.clone()), SMALL).await?;
        let metadata: Metadata = parse(&body)?;
        Ok(Described {
            inputs: metadata.inputs.unwrap_or_default(),
            outputs: metadata.outputs.unwrap_or_default(),
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder, bound: usize) -> Result<Vec<u8>, CallError> {
        let request = match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        };
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > bound {
                return Err(CallError::Answer(format!("its answer has more than {bound} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 { Ok(body) } else { Err(CallError::of_status(status, &body)) }
    }
}

fn server(spec: &Spec, base: &Url) -> Option<Server> {
    let at = |segments: &[&str]| {
        let mut url = base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
        Some(url)
    };
    if spec.protocol == Protocol::Mlflow {
        let ping = at(&["ping"])?;
        return Some(Server { score: at(&["invocations"])?, model: ping.clone(), health: vec![ping] });
    }
    let mut model = vec!["v2", "models", spec.model.as_str()];
    if let Some(version) = &spec.version {
        model.extend(["versions", version.as_str()]);
    }
    let below = |verb: &'static str| at(&[model.as_slice(), &[verb]].concat());
    let health = vec![at(&["v2", "health", "ready"])?, below("ready")?];
    Some(Server { score: below("infer")?, model: at(&model)?, health })
}

/// The last cause is what says why; the outer words only repeat the address.
fn transport(error: reqwest::Error) -> CallError {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    CallError::Transport(clean(&cause.to_string()))
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|e| CallError::Answer(clean(&format!("it is not the JSON that was due: {e}"))))
}

/// Numbers of a list, or of lists within it.
pub(crate) fn flatten(value: &Value, numbers: &mut Vec<f64>, depth: usize) -> Result<(), CallError> {
    match value {
        Value::Number(number) => numbers.extend(number.as_f64()),
        Value::Array(items) if depth > 0 => {
            for item in items {
                flatten(item, numbers, depth - 1)?;
            }
        }
        other => {
            let kind = match other {
                Value::Null => "null",
                Value::Bool(_) => "a truth value",
                Value::String(_) => "text",
                _ => "something nested",
            };
            return Err(CallError::Answer(format!("it holds {kind} where a number is due")));
        }
    }
    Ok(())
}
