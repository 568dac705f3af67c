//! A request as MLflow's client sends it: JSON in a body, or fields in the query.

use std::sync::Arc;

use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use greenlight_app::allow;
use greenlight_domain::role::{Action, Actor};
use serde_json::{Map, Value};

use super::error::MlflowError;
use crate::auth::actor;
use crate::{ApiState, MAX_BODY};

/// Who asks, and the fields of what is asked.
pub(crate) struct Call {
    pub(crate) actor: Arc<Actor>,
    fields: Map<String, Value>,
}

/// A call of somebody who may log. Others are refused before their body is read.
pub(crate) struct Change(pub(crate) Call);

/// A call of somebody who may have others told.
pub(crate) struct Managed(pub(crate) Call);

impl FromRequest<ApiState> for Managed {
    type Rejection = MlflowError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, MlflowError> {
        take(request, state, Action::Webhook).await.map(Self)
    }
}

impl FromRequest<ApiState> for Call {
    type Rejection = MlflowError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, MlflowError> {
        take(request, state, Action::Read).await
    }
}

impl FromRequest<ApiState> for Change {
    type Rejection = MlflowError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, MlflowError> {
        take(request, state, Action::Train).await.map(Self)
    }
}

async fn take(request: Request, state: &ApiState, action: Action) -> Result<Call, MlflowError> {
    let (parts, body) = request.into_parts();
    let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let actor = actor(state, authorization)?;
    allow(&actor, action)?;
    if parts.method == Method::GET {
        return Ok(Call { actor, fields: query(&parts.uri)? });
    }
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| MlflowError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..MlflowError::invalid(format!("the body is larger than {} MiB, or it was cut off", MAX_BODY >> 20))
    })?;
    let content = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let must_say = matches!(parts.method, Method::POST | Method::PUT);
    if must_say && !content.unwrap_or_default().starts_with("application/json") {
        return Err(MlflowError::invalid("Bad Request. Content-Type must be one of ['application/json']."));
    }
    // MLflow takes a body that is no JSON object for an empty one; what it lacks is named then.
    let fields = match serde_json::from_slice(&body) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    Ok(Call { actor, fields })
}

/// The fields of a query; a name that is repeated makes a list.
fn query(uri: &Uri) -> Result<Map<String, Value>, MlflowError> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|rejection| MlflowError::invalid(rejection.body_text()))?;
    let mut fields = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(fields)
}

pub(crate) fn missing(name: &str) -> MlflowError {
    MlflowError::invalid(format!(
        "Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
    ))
}

fn wrong(name: &str, value: &Value) -> MlflowError {
    let kind = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    let shown: String = value.to_string().chars().take(200).collect();
    MlflowError::invalid(format!(
        "Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type '{kind}'. See the API docs for \
         more information about request parameters."
    ))
}

impl Call {
    /// The fields as a part of a message, such as one tag of a list.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields(&self.fields)
    }
}

/// Fields of a message.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; absent and empty are the same, as in a protocol buffer.
    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, MlflowError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// A text that may be empty, and must be there.
    pub(crate) fn any_text(self, name: &str) -> Result<&'a str, MlflowError> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(name, other)),
            None => Err(missing(name)),
        }
    }

    /// A text that must not be empty.
    pub(crate) fn needed(self, name: &str) -> Result<&'a str, MlflowError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// An integer, also in a text.
    pub(crate) fn int(self, name: &str) -> Result<Option<i64>, MlflowError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let int = match value {
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as i64))
            }
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        int.map(Some).ok_or_else(|| wrong(name, value))
    }

    /// A number; NaN and the infinities come as texts.
    pub(crate) fn number(self, name: &str) -> Result<Option<f64>, MlflowError> {
        let Some(value) = self.get(name).filter(|value| **value != Value::String(String::new())) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, value))
    }

    /// A message within.
    pub(crate) fn message(self, name: &str) -> Result<Option<Fields<'a>>, MlflowError> {
        self.get(name)
            .map(|value| value.as_object().map(Fields).ok_or_else(|| wrong(name, value)))
            .transpose()
    }

    /// The messages of a list that must be there; it may be empty.
    pub(crate) fn needed_messages(self, name: &str) -> Result<Vec<Fields<'a>>, MlflowError> {
        self.get(name).ok_or_else(|| missing(name))?;
        self.messages(name)
    }

    /// The messages of a list.
    pub(crate) fn messages(self, name: &str) -> Result<Vec<Fields<'a>>, MlflowError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let Value::Array(all) = value else { return Err(wrong(name, value)) };
        let messages = all.iter().map(|one| one.as_object().map(Fields).ok_or_else(|| wrong(name, value)));
        messages.collect()
    }

    /// The texts of a list; one alone is a list of one.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<&'a str>, MlflowError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.as_str()]),
            Some(value @ Value::Array(all)) => {
                all.iter().map(|one| one.as_str().ok_or_else(|| wrong(name, value))).collect()
            }
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// Keys and values of a list of tags or parameters.
    pub(crate) fn pairs(self, name: &str) -> Result<Vec<(&'a str, &'a str)>, MlflowError> {
        let pair = |one: Fields<'a>| {
            let value = if one.get("value").is_some() { one.any_text("value")? } else { "" };
            Ok((one.needed("key")?, value))
        };
        self.messages(name)?.into_iter().map(pair).collect()
    }

    /// The same, to keep.
    pub(crate) fn owned_pairs(self, name: &str) -> Result<Vec<(String, String)>, MlflowError> {
        Ok(self.pairs(name)?.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A text that may be empty; absent is something else.
    pub(crate) fn given(self, name: &str) -> Result<Option<&'a str>, MlflowError> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| wrong(name, value))).transpose()
    }

    /// The texts of a list that must be there; it may be empty.
    pub(crate) fn needed_texts(self, name: &str) -> Result<Vec<&'a str>, MlflowError> {
        self.get(name).ok_or_else(|| missing(name))?;
        self.texts(name)
    }

    /// Yes or no; no when it is absent.
    pub(crate) fn flag(self, name: &str) -> Result<bool, MlflowError> {
        self.flag_or(name, false)
    }

    /// Yes or no, or what it is when it is absent.
    pub(crate) fn flag_or(self, name: &str, absent: bool) -> Result<bool, MlflowError> {
        match self.get(name) {
            None => Ok(absent),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// The id of a run, under its name or its old name.
    pub(crate) fn run_id(self) -> Result<&'a str, MlflowError> {
        match self.text("run_id")? {
            Some(id) => Ok(id),
            None => self.text("run_uuid")?.ok_or_else(|| missing("run_id")),
        }
    }

    /// The number of an experiment.
    pub(crate) fn experiment_id(self) -> Result<i64, MlflowError> {
        experiment_id(self.needed("experiment_id")?)
    }
}

/// The number of an experiment from its text.
pub(crate) fn experiment_id(text: &str) -> Result<i64, MlflowError> {
    text.trim().parse().map_err(|_| {
        let shown: String = text.chars().take(100).collect();
        MlflowError::invalid(format!(
            "Invalid experiment ID '{shown}'. Experiment ID must be a valid integer."
        ))
    })
}
