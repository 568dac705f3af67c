//! Webhooks, what they are told of, and what they have not been told yet.
//!
//! A delivery is written in the transaction of the change that it tells of, so none is lost and none tells of a change
//! that never was.

use greenlight_domain::time::Micros;
use greenlight_domain::webhook::WebhookEvent;
use sqlx::AssertSqlSafe;

use crate::{Connection, Stamp, StoreError, rows};

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// What people say of it; may be empty.
    pub description: String,
    /// Where it is told.
    pub url: String,
    /// Key of the signatures; none when it is empty.
    pub secret: String,
    /// Whether it is told anything.
    pub is_active: bool,
    /// When it was created.
    pub created_at: Micros,
    /// When it changed last.
    pub updated_at: Micros,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
}

/// Something that a webhook is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which the receiver sees.
    pub id: String,
    /// Where it goes.
    pub url: String,
    /// Key of the signature; none when it is empty.
    pub secret: String,
    /// The bytes, as text.
    pub body: String,
    /// How often it was tried before.
    pub attempts: i64,
}

type Row = (String, String, String, String, String, i64, i64, i64);

const COLUMNS: &str = "id, name, description, url, secret, is_active, created_at, updated_at from webhook";

async fn filled(connection: &mut Connection, found: Vec<Row>) -> Result<Vec<Webhook>, StoreError> {
    let mut webhooks = Vec::with_capacity(found.len());
    for (id, name, description, url, secret, is_active, created_at, updated_at) in found {
        let events: Vec<(String, String)> = sqlx::query_as(
            "select entity, action from webhook_event where webhook = $1 order by entity, action",
        )
        .bind(&id)
        .fetch_all(&mut *connection)
        .await?;
        let events = events.iter().filter_map(|(entity, action)| WebhookEvent::of(entity, action));
        webhooks.push(Webhook {
            events: events.collect(),
            id,
            name,
            description,
            url,
            secret,
            is_active: is_active != 0,
            created_at: Micros(created_at),
            updated_at: Micros(updated_at),
        });
    }
    Ok(webhooks)
}

/// Adds a webhook.
pub async fn insert(
    connection: &mut Connection,
    webhook: &Webhook,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into webhook (id, name, description, url, secret, is_active, created_at, updated_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
    )
    .bind(&webhook.id)
    .bind(&webhook.name)
    .bind(&webhook.description)
    .bind(&webhook.url)
    .bind(&webhook.secret)
    .bind(i64::from(webhook.is_active))
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(&mut *connection)
    .await?;
    set_events(connection, webhook).await
}

async fn set_events(connection: &mut Connection, webhook: &Webhook) -> Result<(), StoreError> {
    sqlx::query("delete from webhook_event where webhook = $1")
        .bind(&webhook.id)
        .execute(&mut *connection)
        .await?;
    for event in &webhook.events {
        sqlx::query(
            "insert into webhook_event (webhook, entity, action) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(&webhook.id)
        .bind(event.entity)
        .bind(event.action)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The webhook of that id.
pub async fn get(connection: &mut Connection, id: &str) -> Result<Option<Webhook>, StoreError> {
    let text = format!("select {COLUMNS} where id = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(id).fetch_optional(&mut *connection).await?;
    Ok(filled(connection, row.into_iter().collect()).await?.pop())
}

/// A page of webhooks, newest first.
pub async fn list(connection: &mut Connection, limit: i64, offset: i64) -> Result<Vec<Webhook>, StoreError> {
    let text = format!("select {COLUMNS} order by created_at desc, id limit $1 offset $2");
    let found =
        sqlx::query_as(AssertSqlSafe(text)).bind(limit).bind(offset).fetch_all(&mut *connection).await?;
    filled(connection, found).await
}

/// Writes everything of a webhook but when it was created.
pub async fn update(connection: &mut Connection, webhook: &Webhook) -> Result<(), StoreError> {
    sqlx::query(
        "update webhook set name = $2, description = $3, url = $4, secret = $5, is_active = $6, updated_at = $7 \
         where id = $1",
    )
    .bind(&webhook.id)
    .bind(&webhook.name)
    .bind(&webhook.description)
    .bind(&webhook.url)
    .bind(&webhook.secret)
    .bind(i64::from(webhook.is_active))
    .bind(webhook.updated_at.0)
    .execute(&mut *connection)
    .await?;
    set_events(connection, webhook).await
}

/// Deletes a webhook with what it has not been told yet; false when there is none.
pub async fn delete(connection: &mut Connection, id: &str) -> Result<bool, StoreError> {
    for table in ["webhook_delivery", "webhook_event"] {
        let text = format!("delete from {table} where webhook = $1");
        sqlx::query(AssertSqlSafe(text)).bind(id).execute(&mut *connection).await?;
    }
    let done = sqlx::query("delete from webhook where id = $1").bind(id).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// Has every active webhook of an event told; how many there are.
pub async fn enqueue(
    connection: &mut Connection,
    event: WebhookEvent,
    now: Micros,
    body: &str,
) -> Result<usize, StoreError> {
    let webhooks: Vec<(String,)> = sqlx::query_as(
        "select w.id from webhook_event as e join webhook as w on w.id = e.webhook \
         where e.entity = $1 and e.action = $2 and w.is_active = 1",
    )
    .bind(event.entity)
    .bind(event.action)
    .fetch_all(&mut *connection)
    .await?;
    if webhooks.is_empty() {
        return Ok(0);
    }
    for some in webhooks.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into webhook_delivery (id, webhook, body, attempts, due_at) values {}",
            rows::placeholders(some.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (webhook,) in some {
            let id = uuid::Uuid::now_v7().to_string();
            query = query.bind(id).bind(webhook).bind(body).bind(0_i64).bind(now.0);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(webhooks.len())
}

/// Whether a delivery is due.
pub async fn is_due(connection: &mut Connection, now: Micros) -> Result<bool, StoreError> {
    let found: Option<(i64,)> =
        sqlx::query_as("select due_at from webhook_delivery where due_at <= $1 limit 1")
            .bind(now.0)
            .fetch_optional(connection)
            .await?;
    Ok(found.is_some())
}

/// Takes deliveries that are due; nobody else takes them before `until`.
pub async fn take(
    connection: &mut Connection,
    (now, until): (Micros, Micros),
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let taken: Vec<(String, String, i64, String)> = sqlx::query_as(
        "update webhook_delivery set due_at = $2, attempts = attempts + 1 where id in \
         (select id from webhook_delivery where due_at <= $1 order by due_at, id limit $3) and due_at <= $1 \
         returning id, webhook, attempts, body",
    )
    .bind(now.0)
    .bind(until.0)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut deliveries = Vec::with_capacity(taken.len());
    for (id, webhook, attempts, body) in taken {
        if let Some(to) = get(connection, &webhook).await? {
            deliveries.push(Delivery { id, url: to.url, secret: to.secret, body, attempts: attempts - 1 });
        }
    }
    Ok(deliveries)
}

/// A delivery needs no further attempt.
pub async fn finish(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    sqlx::query("delete from webhook_delivery where id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// A delivery is tried again.
pub async fn retry(connection: &mut Connection, id: &str, due_at: Micros) -> Result<(), StoreError> {
    sqlx::query("update webhook_delivery set due_at = $2 where id = $1")
        .bind(id)
        .bind(due_at.0)
        .execute(connection)
        .await?;
    Ok(())
}
