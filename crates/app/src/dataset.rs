//! Data sets as artifacts: versions with what is in them, where they lie, and who read and wrote them.
//!
//! An uploaded file is read and profiled here. What stays where it is was read by whoever registers it, with
//! credentials of their own: this server never calls an address that a request names.

use std::collections::BTreeMap;

use greenlight_domain::dataset::profile::Profile;
use greenlight_domain::dataset::record::{DatasetRecord, FORMATS, place};
use greenlight_domain::dataset::{ColumnRole, ContractReport, DatasetSpec};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::check_words;
use greenlight_store::{Connection, StoreError, dataset, logged_dataset};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use greenlight_store::dataset::{DatasetSummary, DatasetVersion};
pub use greenlight_store::logged_dataset::LoggedUse;

use crate::repository::Found;
use crate::{App, AppError, allow, run};

/// Most versions of a data set that are shown.
const MAX_VERSIONS: i64 = 100;
/// Data sets of a page.
pub const PAGE: i64 = 50;
/// Most columns of a profile that a client sends.
const MAX_COLUMNS: usize = 2_000;

/// A version to add.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterDataset {
    /// SHA-256 of the file, uploaded as an artifact before. Empty for what stays where it is.
    #[serde(default)]
    pub sha256: String,
    /// Where the content lies, when it was not uploaded: a URI.
    #[serde(default)]
    pub source: String,
    /// `parquet`, `csv`, `arrow` or `delta`.
    pub format: String,
    /// What is in it, as read by the client, when it was not uploaded.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// Where the data came from and what they mean.
    #[serde(default)]
    pub description: String,
    /// SPDX identifier or name of the licence.
    #[serde(default)]
    pub licence: String,
    /// Who answers for it; the actor when empty.
    #[serde(default)]
    pub owner: String,
    /// The initiative that it was made for.
    #[serde(default)]
    pub initiative: String,
    /// Id of the run that wrote it.
    #[serde(default)]
    pub run_id: String,
    /// Column of event times.
    #[serde(default)]
    pub time_column: String,
}

/// A version, and whether it is new.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Registered {
    /// The version.
    #[serde(flatten)]
    pub version: DatasetVersion,
    /// False when the newest version had the same content at the same place already.
    pub created: bool,
}

/// Runs of one initiative that read a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reuse {
    /// The initiative; empty for runs that name none.
    pub initiative: String,
    /// How many runs.
    pub runs: i64,
    /// Endpoints of the initiative that check requests against it.
    pub endpoints: Vec<String>,
}

/// A version with its readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionUse {
    /// The version.
    #[serde(flatten)]
    pub version: DatasetVersion,
    /// Who reads it.
    pub reuse: Vec<Reuse>,
}

/// A data set: its versions, and the digests under which runs logged its name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetView {
    /// Its name.
    pub name: String,
    /// Its versions, newest first.
    pub versions: Vec<VersionUse>,
    /// What runs logged under this name.
    pub logged: Vec<LoggedUse>,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// Its newest version; absent for a name that only runs logged.
    pub newest: Option<DatasetVersion>,
    /// Versions, or digests of a name that only runs logged.
    pub versions: i64,
    /// Runs that read the newest version, or any digest.
    pub runs: i64,
    /// Initiatives that use it, by name.
    pub initiatives: Vec<String>,
}

fn check(request: &RegisterDataset, name: &str) -> Result<(), AppError> {
    greenlight_domain::endpoint::check_name("name", name)?;
    check_words("description", &request.description, 5_000)?;
    check_words("licence", &request.licence, 200)?;
    check_words("owner", &request.owner, 200)?;
    check_words("source", &request.source, 4_000)?;
    if !FORMATS.contains(&request.format.as_str()) {
        let problem = format!("format: '{}' is none of {}", request.format, FORMATS.join(", "));
        return Err(AppError::Invalid(problem));
    }
    match (request.sha256.is_empty(), request.source.is_empty(), &request.profile) {
        (false, true, None) if request.format == "delta" => Err(AppError::Invalid(
            "a Delta table is a folder and is not uploaded; register it by its place".to_owned(),
        )),
        (false, true, None) => Ok(()),
        (true, false, Some(profile)) => check_profile(profile),
        _ => Err(AppError::Invalid(
            "send the sha256 of an uploaded file, or a source with the profile of what lies there".to_owned(),
        )),
    }
}

/// A profile that a client sends is shown to others, so it must be one.
fn check_profile(profile: &Profile) -> Result<(), AppError> {
    let is_digest = profile.digest.len() == 64 && profile.digest.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_digest || profile.columns.len() > MAX_COLUMNS {
        return Err(AppError::Invalid(format!(
            "profile: needs a SHA-256 as digest and at most {MAX_COLUMNS} columns"
        )));
    }
    for column in &profile.columns {
        check_words("profile: a column's name", &column.name, 500)?;
        let finite = column.spread.as_ref().is_none_or(|s| {
            s.quantiles.len() <= 100 && s.histogram.len() <= 1_000 && s.min.is_finite() && s.max.is_finite()
        });
        if !finite || column.top.len() > 100 || column.missing > profile.rows {
            let problem = format!("profile: column '{}' cannot be right", column.name);
            return Err(AppError::Invalid(problem));
        }
    }
    Ok(())
}

/// The place of an uploaded version.
pub(crate) fn own_place(name: &str, version: i64) -> String {
    format!("/v1/datasets/{name}/versions/{version}/content")
}

/// Adds a version, unless the newest one has the same content at the same place.
pub async fn register(
    app: &App,
    actor: &Actor,
    name: &str,
    request: RegisterDataset,
) -> Result<Registered, AppError> {
    allow(actor, Action::Train)?;
    check(&request, name)?;
    let profile = if let Some(profile) = request.profile {
        profile
    } else {
        let file = app.artifacts.file(&request.sha256).await?;
        app.lake.profile(&file, &request.format).await?
    };
    let owner = if request.owner.is_empty() { actor.name.clone() } else { request.owner };
    let mut record = DatasetRecord {
        source: place(&request.source),
        format: request.format,
        sha256: request.sha256,
        owner,
        initiative: request.initiative,
        run_id: request.run_id,
        time_column: request.time_column,
        time_range: None,
        profile,
    }
    .with_time_range()?;
    let mut transaction = app.store.begin().await?;
    check_references(&mut transaction, &record).await?;
    let newest = dataset::versions(&mut transaction, name, 1).await?.pop();
    if let Some(newest) = newest
        && let Some(known) = &newest.record
        && known.profile.digest == record.profile.digest
        && (known.source == record.source || (known.sha256 == record.sha256 && !record.sha256.is_empty()))
    {
        return Ok(Registered { version: newest, created: false });
    }
    let version = dataset::next_version(&mut transaction, name).await?;
    if record.source.is_empty() {
        record.source = own_place(name, version);
    }
    let spec = DatasetSpec {
        description: request.description,
        licence: request.licence,
        file: String::new(),
        sha256: record.sha256.clone(),
        positive: String::new(),
        contract: BTreeMap::new(),
    };
    let report = ContractReport { rows: record.profile.rows, violations: Vec::new() };
    dataset::insert(&mut transaction, (name, version), &spec, &report, &record, app.stamp(actor)).await?;
    let added = find(&mut transaction, name, version).await?;
    let detail =
        json!({ "source": record.source, "digest": record.profile.digest, "rows": record.profile.rows });
    app.audit(&mut transaction, actor, "dataset.register", &format!("{name}@{version}"), detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Registered { version: added, created: true })
}

async fn check_references(connection: &mut Connection, record: &DatasetRecord) -> Result<(), AppError> {
    if !record.run_id.is_empty() {
        run::find_active(connection, &record.run_id).await?;
    }
    let initiative = &record.initiative;
    if !initiative.is_empty() && greenlight_store::initiative::get(connection, initiative).await?.is_none() {
        return Err(AppError::not_found("initiative", initiative, "apply its manifest first"));
    }
    Ok(())
}

/// The record of a version that a manifest describes and whose file was uploaded.
pub(crate) async fn record_of_manifest(
    app: &App,
    actor: &Actor,
    (name, version): (&str, i64),
    spec: &DatasetSpec,
) -> Result<DatasetRecord, AppError> {
    let file = app.artifacts.file(&spec.sha256).await?;
    let record = DatasetRecord {
        source: own_place(name, version),
        format: "parquet".to_owned(),
        sha256: spec.sha256.clone(),
        owner: actor.name.clone(),
        initiative: String::new(),
        run_id: String::new(),
        time_column: spec.column_of(ColumnRole::Time).unwrap_or_default().to_owned(),
        time_range: None,
        profile: app.lake.profile(&file, "parquet").await?,
    };
    Ok(record.with_time_range()?)
}

async fn find(connection: &mut Connection, name: &str, version: i64) -> Result<DatasetVersion, AppError> {
    dataset::version(connection, name, version).await?.ok_or_else(|| {
        AppError::not_found(
            "data set version",
            &format!("{name}@{version}"),
            "list them with 'greenlight dataset list'",
        )
    })
}

/// Data sets whose name follows `after`, registered or logged, by name; at most [`PAGE`].
pub async fn list(app: &App, actor: &Actor, after: &str) -> Result<Vec<Listed>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let registered = dataset::list(&mut connection, after, PAGE).await?;
    let logged = logged_dataset::unregistered(&mut connection, after, PAGE).await?;
    let endpoints = greenlight_store::endpoint::list(&mut connection).await?;
    let mut rows: BTreeMap<String, Listed> = BTreeMap::new();
    for DatasetSummary { versions, newest } in registered {
        let reuse = reuse(&mut connection, &newest, &endpoints).await?;
        let runs = reuse.iter().map(|r| r.runs).sum();
        let initiatives = named(&reuse);
        let name = newest.name.clone();
        rows.insert(name.clone(), Listed { name, newest: Some(newest), versions, runs, initiatives });
    }
    for (name, versions) in logged {
        rows.insert(name.clone(), Listed { name, newest: None, versions, runs: 0, initiatives: Vec::new() });
    }
    let mut rows: Vec<Listed> = rows.into_values().take(PAGE as usize).collect();
    for row in rows.iter_mut().filter(|row| row.newest.is_none()) {
        let (runs, initiatives) = logged_dataset::readers(&mut connection, &row.name).await?;
        (row.runs, row.initiatives) = (runs, initiatives);
    }
    Ok(rows)
}

fn named(reuse: &[Reuse]) -> Vec<String> {
    reuse.iter().map(|r| r.initiative.clone()).filter(|name| !name.is_empty()).collect()
}

/// Who reads a version: runs by initiative, and endpoints that check requests against its contract.
async fn reuse(
    connection: &mut Connection,
    version: &DatasetVersion,
    endpoints: &[(String, greenlight_domain::endpoint::EndpointSpec)],
) -> Result<Vec<Reuse>, AppError> {
    let reference = version.reference();
    let source = version.record.as_ref().map(|record| record.source.clone()).unwrap_or_default();
    let mut by_initiative: BTreeMap<String, Reuse> = BTreeMap::new();
    let mut of = |initiative: &str, runs: i64, endpoint: Option<&str>| {
        let entry = by_initiative.entry(initiative.to_owned()).or_insert_with(|| Reuse {
            initiative: initiative.to_owned(),
            runs: 0,
            endpoints: Vec::new(),
        });
        entry.runs += runs;
        entry.endpoints.extend(endpoint.map(str::to_owned));
    };
    for (initiative, runs) in dataset::reads(connection, &reference, &source).await? {
        of(&initiative, runs, None);
    }
    for (name, spec) in endpoints.iter().filter(|(_, spec)| spec.dataset == reference) {
        of(&spec.initiative, 0, Some(name));
    }
    Ok(by_initiative.into_values().collect())
}

/// A data set with its versions and their readers.
pub async fn view(app: &App, actor: &Actor, name: &str) -> Result<DatasetView, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let found = dataset::versions(&mut connection, name, MAX_VERSIONS).await?;
    let logged = logged_dataset::by_name(&mut connection, name, MAX_VERSIONS).await?;
    if found.is_empty() && logged.is_empty() {
        return Err(AppError::not_found("data set", name, "list them with 'greenlight dataset list'"));
    }
    let endpoints = greenlight_store::endpoint::list(&mut connection).await?;
    let mut versions = Vec::with_capacity(found.len());
    for version in found {
        let reuse = reuse(&mut connection, &version, &endpoints).await?;
        versions.push(VersionUse { version, reuse });
    }
    Ok(DatasetView { name: name.to_owned(), versions, logged })
}

/// One version.
pub async fn version(app: &App, actor: &Actor, name: &str, version: i64) -> Result<DatasetVersion, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    find(&mut connection, name, version).await
}

/// The file of an uploaded version, streamed.
pub async fn content(app: &App, actor: &Actor, (name, version): (&str, i64)) -> Result<Found, AppError> {
    allow(actor, Action::Download)?;
    let mut connection = app.store.read().await?;
    let found = find(&mut connection, name, version).await?;
    drop(connection);
    if found.spec.sha256.is_empty() {
        let source = found.record.map(|record| record.source).unwrap_or_default();
        return Err(AppError::Conflict(format!(
            "the content of {name}@{version} was not uploaded; it lies at {source}"
        )));
    }
    app.artifacts.stream(&found.spec.sha256).await
}
