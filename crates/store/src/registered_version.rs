//! Versions of registered models: where each came from, in which stage it stands, by which aliases it is named.

use std::collections::HashMap;

use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::tag::{self, Tags};
use crate::{Connection, Stamp, StoreError, counter, registered_model, rows};

/// A version of a registered model.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredVersion {
    /// What its rows in other tables are named by.
    pub number: i64,
    /// Number of its model.
    pub model: i64,
    /// Name of its model.
    pub name: String,
    /// Which version.
    pub version: i64,
    /// One of MLflow's words.
    pub stage: String,
    /// What people say of it.
    pub description: Option<String>,
    /// Where it came from, as it was given.
    pub source: String,
    /// Where its files lie.
    pub storage_location: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run elsewhere.
    pub run_link: Option<String>,
    /// When it was created.
    pub created_at: Micros,
    /// When it changed last.
    pub updated_at: Micros,
    /// Who created it.
    pub created_by: String,
    /// Tags, by key.
    pub tags: Vec<(String, String)>,
    /// Aliases, by name.
    pub aliases: Vec<String>,
}

/// A version to add.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    /// Number of its model.
    pub model: i64,
    /// Which version; the next one when absent.
    pub version: Option<i64>,
    /// What people say of it.
    pub description: Option<&'a str>,
    /// Where it came from, as it was given.
    pub source: &'a str,
    /// Where its files lie.
    pub storage_location: &'a str,
    /// The run that made it.
    pub run_id: Option<&'a str>,
    /// A link to that run elsewhere.
    pub run_link: Option<&'a str>,
}

pub(crate) type Row = (
    i64,
    i64,
    String,
    i64,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    Option<String>,
    i64,
    i64,
    String,
);

pub(crate) const COLUMNS: &str = "v.number, v.model, m.name, v.version, v.stage, v.description, v.source, \
                                  v.storage_location, v.run_id, v.run_link, v.created_at, v.updated_at, v.created_by \
                                  from registered_version as v join registered_model as m on m.number = v.model";

fn of_row(row: Row) -> RegisteredVersion {
    RegisteredVersion {
        number: row.0,
        model: row.1,
        name: row.2,
        version: row.3,
        stage: row.4,
        description: row.5,
        source: row.6,
        storage_location: row.7,
        run_id: row.8,
        run_link: row.9,
        created_at: Micros(row.10),
        updated_at: Micros(row.11),
        created_by: row.12,
        tags: Vec::new(),
        aliases: Vec::new(),
    }
}

/// Lets whoever removes runs and models for good wait until this transaction has added its version, or the other way
/// round: call it before looking at what the version comes from.
pub async fn hold(connection: &mut Connection) -> Result<(), StoreError> {
    counter::several(connection, "registered_version", 0).await?;
    Ok(())
}

/// Adds a version of a model and returns its number and version. Fails with `Conflict` when there is or was one of that
/// version.
pub async fn insert(
    connection: &mut Connection,
    new: NewVersion<'_>,
    stamp: Stamp<'_>,
) -> Result<(i64, i64), StoreError> {
    // Takes the model's row, so that two who add a version at once get two numbers.
    registered_model::touch(connection, new.model, stamp.at).await?;
    let number = counter::next(connection, "registered_version").await?;
    let (last,): (i64,) = sqlx::query_as(
        "select cast(coalesce(max(version), 0) as bigint) from registered_version where model = $1",
    )
    .bind(new.model)
    .fetch_one(&mut *connection)
    .await?;
    let version = new.version.unwrap_or(last + 1);
    sqlx::query(
        "insert into registered_version (number, model, version, stage, description, source, storage_location, run_id, \
         run_link, created_at, updated_at, created_by) values ($1, $2, $3, 'None', $4, $5, $6, $7, $8, $9, $9, $10)",
    )
    .bind(number)
    .bind(new.model)
    .bind(version)
    .bind(new.description)
    .bind(new.source)
    .bind(new.storage_location)
    .bind(new.run_id)
    .bind(new.run_link)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok((number, version))
}

/// A version that was not deleted, with tags and aliases.
pub async fn get(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<Option<RegisteredVersion>, StoreError> {
    let text = format!("select {COLUMNS} where m.name = $1 and v.version = $2 and v.deleted_at is null");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(name).bind(version).fetch_optional(&mut *connection).await?;
    Ok(filled(connection, row.into_iter().collect()).await?.pop())
}

/// The newest version in each stage of these models, in the order in which the stages were first reached.
pub async fn latest(
    connection: &mut Connection,
    models: impl IntoIterator<Item = i64>,
) -> Result<Vec<RegisteredVersion>, StoreError> {
    let text = format!(
        "select {COLUMNS} join (select model, stage, max(version) as newest, min(version) as first \
         from registered_version where deleted_at is null and model in ({}) group by model, stage) as s \
         on s.model = v.model and s.newest = v.version order by v.model, s.first",
        rows::list(models)
    );
    let found: Vec<Row> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(&mut *connection).await?;
    filled(connection, found).await
}

/// Rows with what hangs on them.
pub(crate) async fn filled(
    connection: &mut Connection,
    found: Vec<Row>,
) -> Result<Vec<RegisteredVersion>, StoreError> {
    let mut versions: Vec<RegisteredVersion> = found.into_iter().map(of_row).collect();
    let tags = tag::of(connection, Tags::RegisteredVersion, versions.iter().map(|v| v.number)).await?;
    let text = format!(
        "select a.alias, v.number from registered_alias as a \
         join registered_version as v on v.model = a.model and v.version = a.version \
         where v.number in ({}) order by a.alias",
        rows::list(versions.iter().map(|v| v.number))
    );
    let aliases: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(connection).await?;
    let mut by_number: HashMap<i64, &mut RegisteredVersion> =
        versions.iter_mut().map(|version| (version.number, version)).collect();
    for (owner, key, value) in tags {
        if let Some(version) = by_number.get_mut(&owner) {
            version.tags.push((key, value));
        }
    }
    for (alias, number) in aliases {
        if let Some(version) = by_number.get_mut(&number) {
            version.aliases.push(alias);
        }
    }
    Ok(versions)
}

/// Says something else of a version, or nothing.
pub async fn describe(
    connection: &mut Connection,
    number: i64,
    description: Option<&str>,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("update registered_version set description = $2, updated_at = $3 where number = $1")
        .bind(number)
        .bind(description)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts a version into a stage.
pub async fn set_stage(
    connection: &mut Connection,
    version: &RegisteredVersion,
    stage: &str,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("update registered_version set stage = $2, updated_at = $3 where number = $1")
        .bind(version.number)
        .bind(stage)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    registered_model::touch(connection, version.model, now).await
}

/// Puts every other version of a stage into another one; which versions these are.
pub async fn move_others(
    connection: &mut Connection,
    version: &RegisteredVersion,
    (from, to): (&str, &str),
    now: Micros,
) -> Result<Vec<i64>, StoreError> {
    let moved: Vec<(i64,)> = sqlx::query_as(
        "update registered_version set stage = $4, updated_at = $5 \
         where model = $1 and number <> $2 and stage = $3 and deleted_at is null returning version",
    )
    .bind(version.model)
    .bind(version.number)
    .bind(from)
    .bind(to)
    .bind(now.0)
    .fetch_all(connection)
    .await?;
    Ok(moved.into_iter().map(|row| row.0).collect())
}

/// Deletes a version: its number is never given again, its aliases name nothing any more.
pub async fn delete(
    connection: &mut Connection,
    version: &RegisteredVersion,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("delete from registered_alias where model = $1 and version = $2")
        .bind(version.model)
        .bind(version.version)
        .execute(&mut *connection)
        .await?;
    sqlx::query("update registered_version set deleted_at = $2, updated_at = $2 where number = $1")
        .bind(version.number)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    registered_model::touch(connection, version.model, now).await
}

/// Lets an alias name a version, whatever it named before; which version that was.
pub async fn set_alias(
    connection: &mut Connection,
    model: i64,
    alias: &str,
    version: i64,
) -> Result<Option<i64>, StoreError> {
    let before = by_alias(connection, model, alias).await?;
    sqlx::query(
        "insert into registered_alias (model, alias, version) values ($1, $2, $3) \
         on conflict (model, alias) do update set version = excluded.version",
    )
    .bind(model)
    .bind(alias)
    .bind(version)
    .execute(connection)
    .await?;
    Ok(before)
}

/// Removes an alias; which version it named.
pub async fn delete_alias(
    connection: &mut Connection,
    model: i64,
    alias: &str,
) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("delete from registered_alias where model = $1 and alias = $2 returning version")
            .bind(model)
            .bind(alias)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|row| row.0))
}

/// The version that an alias names.
pub async fn by_alias(
    connection: &mut Connection,
    model: i64,
    alias: &str,
) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("select version from registered_alias where model = $1 and alias = $2")
            .bind(model)
            .bind(alias)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|row| row.0))
}
