//! Webhooks.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::webhook::{self, Change as Changed, Tested, Webhook};
use greenlight_domain::webhook::WebhookEvent;
use serde_json::{Map, Value, json};

use super::call::{Fields, Managed};
use super::error::MlflowError;
use super::page;
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

/// Webhooks of a page when a client does not say how many.
const PAGE: i64 = 100;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{id}", get(show).patch(update).delete(remove))
        .route("/webhooks/{id}/test", post(test))
}

fn message(webhook: &Webhook) -> Value {
    let events = webhook.events.iter().map(|event| {
        json!({ "entity": event.entity.to_ascii_uppercase(), "action": event.action.to_ascii_uppercase() })
    });
    let mut message = json!({
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": events.collect::<Vec<_>>(),
        "status": if webhook.is_active { "ACTIVE" } else { "DISABLED" },
        "creation_timestamp": webhook.created_at.0 / 1_000,
        "last_updated_timestamp": webhook.updated_at.0 / 1_000,
    });
    if !webhook.description.is_empty() {
        message["description"] = json!(webhook.description);
    }
    message
}

fn answer(webhook: &Webhook) -> Json<Value> {
    Json(json!({ "webhook": message(webhook) }))
}

fn event(fields: Fields<'_>) -> Result<WebhookEvent, MlflowError> {
    let found = WebhookEvent::parse(fields.needed("entity")?, fields.needed("action")?);
    Ok(found.map_err(greenlight_app::AppError::from)?)
}

fn change(fields: Fields<'_>) -> Result<Changed, MlflowError> {
    let given = |name| Ok::<_, MlflowError>(fields.given(name)?.map(str::to_owned));
    let text = |name| Ok::<_, MlflowError>(fields.text(name)?.map(str::to_owned));
    Ok(Changed {
        name: text("name")?,
        description: given("description")?,
        url: text("url")?,
        secret: given("secret")?,
        is_active: match fields.text("status")? {
            Some("ACTIVE") => Some(true),
            Some("DISABLED") => Some(false),
            _ => None,
        },
        events: fields.messages("events")?.into_iter().map(event).collect::<Result<_, _>>()?,
    })
}

async fn create(State(state): State<ApiState>, Managed(call): Managed) -> Answer {
    let fields = call.fields();
    fields.needed("name")?;
    fields.needed("url")?;
    fields.needed_messages("events")?;
    Ok(answer(&webhook::create(&state.app, &call.actor, change(fields)?).await?))
}

async fn list(State(state): State<ApiState>, Managed(call): Managed) -> Answer {
    let fields = call.fields();
    let limit = fields.int("max_results")?.filter(|limit| *limit != 0).unwrap_or(PAGE);
    let offset = page::offset(fields.text("page_token")?)?;
    let (found, more) = webhook::list(&state.app, &call.actor, (limit, offset)).await?;
    let mut answer = Map::new();
    if !found.is_empty() {
        answer.insert("webhooks".to_owned(), found.iter().map(message).collect());
    }
    if more {
        answer.insert("next_page_token".to_owned(), page::token(offset + limit).into());
    }
    Ok(Json(Value::Object(answer)))
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>, Managed(call): Managed) -> Answer {
    Ok(answer(&webhook::get(&state.app, &call.actor, &id).await?))
}

async fn update(State(state): State<ApiState>, Path(id): Path<String>, Managed(call): Managed) -> Answer {
    let change = change(call.fields())?;
    Ok(answer(&webhook::update(&state.app, &call.actor, &id, change).await?))
}

async fn remove(State(state): State<ApiState>, Path(id): Path<String>, Managed(call): Managed) -> Answer {
    webhook::delete(&state.app, &call.actor, &id).await?;
    Ok(Json(json!({})))
}

async fn test(State(state): State<ApiState>, Path(id): Path<String>, Managed(call): Managed) -> Answer {
    let event = call.fields().message("event")?.map(event).transpose()?;
    let result = match webhook::test(&state.app, &call.actor, &id, event).await? {
        Tested::Answered(reply) => json!({
            "success": reply.status < 400, "response_status": reply.status, "response_body": reply.body,
        }),
        Tested::Failed(problem) => json!({ "success": false, "error_message": problem }),
    };
    Ok(Json(json!({ "result": result })))
}
