//! Registered models: a name under which versions stand.

use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::registered_version::{self, RegisteredVersion};
use crate::tag::{self, Tags};
use crate::{Connection, Stamp, StoreError, counter, rows};

/// A registered model.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredModel {
    /// What its rows in other tables are named by.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// What people say of it; may be empty.
    pub description: String,
    /// When it was created.
    pub created_at: Micros,
    /// When it, or a version of it, changed last.
    pub updated_at: Micros,
    /// Tags, by key.
    pub tags: Vec<(String, String)>,
    /// Aliases and the versions that they name, by alias.
    pub aliases: Vec<(String, i64)>,
    /// The newest version in each stage, in the order in which the stages were first reached.
    pub latest: Vec<RegisteredVersion>,
}

pub(crate) type Row = (i64, String, String, i64, i64);

pub(crate) const COLUMNS: &str = "registered_model.number, registered_model.name, registered_model.description, \
                                  registered_model.created_at, registered_model.updated_at";

fn of_row((number, name, description, created_at, updated_at): Row) -> RegisteredModel {
    RegisteredModel {
        number,
        name,
        description,
        created_at: Micros(created_at),
        updated_at: Micros(updated_at),
        tags: Vec::new(),
        aliases: Vec::new(),
        latest: Vec::new(),
    }
}

/// Adds a model and returns its number. Fails with `Conflict` when the name is taken.
pub async fn insert(
    connection: &mut Connection,
    name: &str,
    description: &str,
    stamp: Stamp<'_>,
) -> Result<i64, StoreError> {
    let number = counter::next(connection, "registered_model").await?;
    sqlx::query(
        "insert into registered_model (number, name, description, created_at, updated_at, created_by) \
         values ($1, $2, $3, $4, $4, $5)",
    )
    .bind(number)
    .bind(name)
    .bind(description)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(number)
}

/// The number of the model of that name.
pub async fn number(connection: &mut Connection, name: &str) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("select number from registered_model where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.0))
}

/// The model of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<RegisteredModel>, StoreError> {
    let text = format!("select {COLUMNS} from registered_model where name = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(name).fetch_optional(&mut *connection).await?;
    Ok(filled(connection, row.into_iter().collect()).await?.pop())
}

/// Rows with what hangs on them.
pub(crate) async fn filled(
    connection: &mut Connection,
    rows: Vec<Row>,
) -> Result<Vec<RegisteredModel>, StoreError> {
    let mut models: Vec<RegisteredModel> = rows.into_iter().map(of_row).collect();
    let tags = tag::of(connection, Tags::RegisteredModel, models.iter().map(|m| m.number)).await?;
    let text = format!(
        "select model, alias, version from registered_alias where model in ({}) order by model, alias",
        rows::list(models.iter().map(|m| m.number))
    );
    let aliases: Vec<(i64, String, i64)> =
        sqlx::query_as(AssertSqlSafe(text)).fetch_all(&mut *connection).await?;
    let latest = registered_version::latest(connection, models.iter().map(|m| m.number)).await?;
    let mut by_number: std::collections::HashMap<i64, &mut RegisteredModel> =
        models.iter_mut().map(|model| (model.number, model)).collect();
    for (owner, key, value) in tags {
        if let Some(model) = by_number.get_mut(&owner) {
            model.tags.push((key, value));
        }
    }
    for (owner, alias, version) in aliases {
        if let Some(model) = by_number.get_mut(&owner) {
            model.aliases.push((alias, version));
        }
    }
    for version in latest {
        if let Some(model) = by_number.get_mut(&version.model) {
            model.latest.push(version);
        }
    }
    Ok(models)
}

/// Notes that a model changed. Others that change it wait for the end of the transaction.
pub async fn touch(connection: &mut Connection, number: i64, now: Micros) -> Result<(), StoreError> {
    sqlx::query("update registered_model set updated_at = $2 where number = $1")
        .bind(number)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives a model another name; its versions change with it. Fails with `Conflict` when the name is taken.
pub async fn rename(
    connection: &mut Connection,
    number: i64,
    name: &str,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("update registered_model set name = $2, updated_at = $3 where number = $1")
        .bind(number)
        .bind(name)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query("update registered_version set updated_at = $2 where model = $1")
        .bind(number)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Says something else of a model.
pub async fn describe(
    connection: &mut Connection,
    number: i64,
    description: &str,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("update registered_model set description = $2, updated_at = $3 where number = $1")
        .bind(number)
        .bind(description)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a model with its versions, tags and aliases.
pub async fn delete(connection: &mut Connection, number: i64) -> Result<(), StoreError> {
    for text in [
        "delete from registered_version_tag where owner in (select number from registered_version where model = $1)",
        "delete from registered_version where model = $1",
        "delete from registered_model_tag where owner = $1",
        "delete from registered_alias where model = $1",
        "delete from registered_model where number = $1",
    ] {
        sqlx::query(text).bind(number).execute(&mut *connection).await?;
    }
    Ok(())
}
