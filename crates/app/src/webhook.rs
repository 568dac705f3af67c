//! Webhooks: who is told of what happens in the registry, and telling them.
//!
//! What is to be told is written in the transaction of the change, and sent afterwards by whichever server takes it
//! first, at least once. A receiver knows a repetition by its delivery id, and us by the signature.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_domain::registry::MAX_DESCRIPTION;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::check_words;
use greenlight_domain::time::Micros;
use greenlight_domain::webhook::{WebhookEvent, check_webhook_name};
use greenlight_store::webhook::Delivery;
use greenlight_store::{Connection, StoreError};
use hmac::{Hmac, Mac};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::Sha256;

pub use greenlight_store::webhook::Webhook;

use crate::{App, AppError, allow};

/// Most webhooks of a page.
const MAX_PAGE: i64 = 1_000;
/// Longest URL and longest secret, in characters.
const MAX_WORDS: usize = 2_048;
/// Most attempts of one delivery.
const ATTEMPTS: i64 = 8;
/// Most deliveries that are under way at once.
const AT_ONCE: i64 = 10;
/// How long whoever takes a delivery has for it. Longer than a courier takes.
const LEASE: Duration = Duration::from_mins(2);

/// Carries messages to others.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Whether messages would be carried there: the scheme, the host, what its name resolves to. The error says why not,
    /// in MLflow's words.
    async fn check(&self, url: &str) -> Result<(), String>;

    /// Posts a JSON body with these headers, once.
    async fn post(&self, url: &str, headers: &[(&str, String)], body: String) -> Result<Reply, String>;
}

/// What a receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The start of the body.
    pub body: String,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}

/// What is known of a new webhook, or what changes of one; what is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Name.
    pub name: Option<String>,
    /// What people say of it.
    pub description: Option<String>,
    /// Where it is told.
    pub url: Option<String>,
    /// Key of the signatures.
    pub secret: Option<String>,
    /// Whether it is told anything.
    pub is_active: Option<bool>,
    /// What it is told of; all of it anew when it is given.
    pub events: Vec<WebhookEvent>,
}

/// What came of a test.
#[derive(Debug, Clone)]
pub enum Tested {
    /// The receiver answered.
    Answered(Reply),
    /// It could not be reached.
    Failed(String),
}

async fn apply(app: &App, webhook: &mut Webhook, change: Change) -> Result<(), AppError> {
    if let Some(name) = change.name {
        check_webhook_name(&name)?;
        webhook.name = name;
    }
    if let Some(description) = change.description {
        check_words("description", &description, MAX_DESCRIPTION)?;
        webhook.description = description;
    }
    if let Some(url) = change.url {
        if url.trim().is_empty() {
            return Err(AppError::Invalid(format!(
                "Webhook URL cannot be empty or just whitespace: '{url}'"
            )));
        }
        check_words("url", &url, MAX_WORDS)?;
        app.courier.check(&url).await.map_err(AppError::Invalid)?;
        webhook.url = url;
    }
    if let Some(secret) = change.secret {
        check_words("secret", &secret, MAX_WORDS)?;
        webhook.secret = secret;
    }
    webhook.is_active = change.is_active.unwrap_or(webhook.is_active);
    if !change.events.is_empty() {
        webhook.events = change.events;
        webhook.events.sort_unstable();
        webhook.events.dedup();
    }
    Ok(())
}

/// Creates a webhook.
pub async fn create(app: &App, actor: &Actor, new: Change) -> Result<Webhook, AppError> {
    allow(actor, Action::Webhook)?;
    let now = app.clock.now();
    let mut webhook = Webhook {
        id: uuid::Uuid::new_v4().to_string(),
        name: String::new(),
        description: String::new(),
        url: String::new(),
        secret: String::new(),
        is_active: true,
        created_at: now,
        updated_at: now,
        events: Vec::new(),
    };
    apply(app, &mut webhook, new).await?;
    if webhook.events.is_empty() {
        return Err(AppError::Invalid(
            "Webhook events must be a non-empty list of WebhookEvent objects: [].".to_owned(),
        ));
    }
    let mut transaction = app.store.begin().await?;
    greenlight_store::webhook::insert(&mut transaction, &webhook, app.stamp(actor)).await?;
    let detail = json!({ "name": webhook.name, "url": webhook.url });
    app.audit(&mut transaction, actor, "webhook.create", &webhook.id, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(webhook)
}

async fn find(connection: &mut Connection, id: &str) -> Result<Webhook, AppError> {
    let found = greenlight_store::webhook::get(connection, id).await?;
    found.ok_or_else(|| AppError::not_found("webhook", id, ""))
}

/// The webhook of that id.
pub async fn get(app: &App, actor: &Actor, id: &str) -> Result<Webhook, AppError> {
    allow(actor, Action::Webhook)?;
    find(&mut *app.store.read().await?, id).await
}

/// A page of webhooks, newest first; whether there are more.
pub async fn list(
    app: &App,
    actor: &Actor,
    (limit, offset): (i64, i64),
) -> Result<(Vec<Webhook>, bool), AppError> {
    allow(actor, Action::Webhook)?;
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(AppError::Invalid(format!("max_results must be between 1 and {MAX_PAGE}.")));
    }
    let mut connection = app.store.read().await?;
    let mut found = greenlight_store::webhook::list(&mut connection, limit + 1, offset.max(0)).await?;
    let more = found.len() as i64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(0));
    Ok((found, more))
}

/// Changes a webhook.
pub async fn update(app: &App, actor: &Actor, id: &str, change: Change) -> Result<Webhook, AppError> {
    allow(actor, Action::Webhook)?;
    let mut webhook = get(app, actor, id).await?;
    // Before a transaction begins: a name may take seconds to resolve.
    apply(app, &mut webhook, change).await?;
    webhook.updated_at = app.clock.now();
    let mut transaction = app.store.begin().await?;
    find(&mut transaction, id).await?;
    greenlight_store::webhook::update(&mut transaction, &webhook).await?;
    let detail = json!({ "name": webhook.name, "url": webhook.url, "active": webhook.is_active });
    app.audit(&mut transaction, actor, "webhook.update", id, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(webhook)
}

/// Deletes a webhook with what it has not been told yet.
pub async fn delete(app: &App, actor: &Actor, id: &str) -> Result<(), AppError> {
    allow(actor, Action::Webhook)?;
    let mut transaction = app.store.begin().await?;
    let webhook = find(&mut transaction, id).await?;
    greenlight_store::webhook::delete(&mut transaction, id).await?;
    let detail = json!({ "name": webhook.name, "url": webhook.url });
    app.audit(&mut transaction, actor, "webhook.delete", id, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Sends an example of an event, or of the first that the webhook is told of.
pub async fn test(
    app: &App,
    actor: &Actor,
    id: &str,
    event: Option<WebhookEvent>,
) -> Result<Tested, AppError> {
    allow(actor, Action::Webhook)?;
    let webhook = get(app, actor, id).await?;
    let Some(event) = event.or_else(|| webhook.events.first().copied()) else {
        return Err(AppError::Invalid("the webhook is told of nothing; say which event to test".to_owned()));
    };
    let now = app.clock.now();
    let delivery = Delivery {
        id: uuid::Uuid::new_v4().to_string(),
        url: webhook.url,
        secret: webhook.secret,
        body: body(event, now, event.example())?,
        attempts: 0,
    };
    Ok(match send(app, &delivery).await {
        Ok(reply) => Tested::Answered(reply),
        Err(problem) => Tested::Failed(format!("Failed to test webhook: {problem}")),
    })
}

/// Fields of an event in the order in which they are written.
#[derive(Debug)]
struct Data(Vec<(&'static str, Value)>);

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct Message {
    entity: &'static str,
    action: &'static str,
    timestamp: String,
    data: Data,
}

/// The message of an event.
fn body(event: WebhookEvent, at: Micros, data: Vec<(&'static str, Value)>) -> Result<String, AppError> {
    let WebhookEvent { entity, action } = event;
    let message = Message { entity, action, timestamp: at.to_string(), data: Data(data) };
    serde_json::to_string(&message).map_err(|error| AppError::Internal(error.to_string()))
}

/// Has the webhooks of an event told, once the transaction is committed.
pub(crate) async fn announce(
    app: &App,
    connection: &mut Connection,
    (entity, action): (&str, &str),
    data: Vec<(&'static str, Value)>,
) -> Result<(), AppError> {
    let Some(event) = WebhookEvent::of(entity, action) else {
        return Err(AppError::Internal(format!("there is no event {entity}.{action}")));
    };
    let now = app.clock.now();
    greenlight_store::webhook::enqueue(connection, event, now, &body(event, now, data)?).await?;
    Ok(())
}

/// `v1,` and the HMAC of what is sent, so that the receiver knows who sent it and that it is not old.
fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

async fn send(app: &App, delivery: &Delivery) -> Result<Reply, String> {
    let seconds = app.clock.now().0 / 1_000_000;
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-MLflow-Delivery-Id", delivery.id.clone()),
        ("X-MLflow-Timestamp", seconds.to_string()),
    ];
    if !delivery.secret.is_empty()
        && let Some(signature) = signature(&delivery.secret, &delivery.id, seconds, &delivery.body)
    {
        headers.push(("X-MLflow-Signature", signature));
    }
    app.courier.post(&delivery.url, &headers, delivery.body.clone()).await
}

/// Whether another attempt may help.
fn is_passing(sent: &Result<Reply, String>) -> bool {
    match sent {
        Ok(reply) => matches!(reply.status, 429 | 500 | 502 | 503 | 504),
        Err(_) => true,
    }
}

/// Seconds before the next attempt: 1, 2, 4, … and at most an hour; longer when the receiver says so.
fn wait(attempts: i64, sent: &Result<Reply, String>) -> Duration {
    let doubled = Duration::from_secs(1 << attempts.clamp(0, 11));
    let asked = sent.as_ref().ok().and_then(|reply| reply.retry_after).unwrap_or_default();
    doubled.max(asked).min(Duration::from_hours(1))
}

fn later(now: Micros, by: Duration) -> Micros {
    Micros(now.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

/// Sends what is due; how many deliveries that were.
pub async fn deliver(app: &App) -> Result<usize, AppError> {
    let now = app.clock.now();
    if !greenlight_store::webhook::is_due(&mut *app.store.read().await?, now).await? {
        return Ok(0);
    }
    let mut transaction = app.store.begin().await?;
    let due = greenlight_store::webhook::take(&mut transaction, (now, later(now, LEASE)), AT_ONCE).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    let sent = futures::future::join_all(due.iter().map(|delivery| send(app, delivery))).await;
    for (delivery, sent) in due.iter().zip(sent) {
        let mut transaction = app.store.begin().await?;
        let tries_left = delivery.attempts + 1 < ATTEMPTS;
        if is_passing(&sent) && tries_left {
            let again = later(app.clock.now(), wait(delivery.attempts, &sent));
            greenlight_store::webhook::retry(&mut transaction, &delivery.id, again).await?;
        } else {
            match &sent {
                Ok(reply) if reply.status < 400 => {}
                Ok(reply) => {
                    tracing::warn!(
                        delivery = delivery.id,
                        status = reply.status,
                        "a webhook refused a delivery"
                    );
                }
                Err(problem) => {
                    tracing::warn!(delivery = delivery.id, problem, "a delivery to a webhook was given up");
                }
            }
            greenlight_store::webhook::finish(&mut transaction, &delivery.id).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
    }
    Ok(due.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answer: `hmac.new(b"key", b"id.7.{}", "sha256")` of Python 3.11.
    #[test]
    fn a_signature_is_that_of_mlflow() {
        assert_eq!(
            signature("key", "id", 7, "{}").unwrap(),
            "v1,ywuCjG5ZjzUh4qRvm3T/94scMk+Q8nz3kuJdq/zh2dA="
        );
    }

    #[test]
    fn attempts_grow_apart() {
        let failed = Err("gone".to_owned());
        assert_eq!(wait(0, &failed), Duration::from_secs(1));
        assert_eq!(wait(3, &failed), Duration::from_secs(8));
        assert_eq!(wait(60, &failed), Duration::from_secs(2_048));
        let busy = Ok(Reply { status: 429, body: String::new(), retry_after: Some(Duration::from_secs(30)) });
        assert_eq!(wait(0, &busy), Duration::from_secs(30));
        assert!(is_passing(&busy) && is_passing(&failed));
        assert!(!is_passing(&Ok(Reply { status: 404, body: String::new(), retry_after: None })));
    }
}
