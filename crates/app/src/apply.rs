//! Manifests: planned first, then applied in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use greenlight_domain::dataset::record::DatasetRecord;
use greenlight_domain::dataset::{ColumnRole, ContractReport, DatasetSpec, check_column};
use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::manifest::Document;
use greenlight_domain::plan::{Change, PlannedAction, differences};
use greenlight_domain::release::Stage;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::training::split_version;
use greenlight_domain::value_model::ValueModel;
use greenlight_store::{Connection, StoreError};
use serde_json::{Value, json};

use crate::{App, AppError, allow, dataset, live, value_version};

/// Most documents in one request.
const MAX_DOCUMENTS: usize = 500;

/// What applying `documents` would change. Nothing is written.
pub async fn plan(app: &App, actor: &Actor, documents: &[Document]) -> Result<Vec<Change>, AppError> {
    allow(actor, Action::Read)?;
    let ordered = check(documents)?;
    let mut connection = app.store.read().await?;
    let mut changes = Vec::with_capacity(ordered.len());
    for document in ordered {
        changes.push(planned(&mut connection, document).await?);
    }
    Ok(changes)
}

/// Applies `documents`: all of them or none.
pub async fn apply(app: &App, actor: &Actor, documents: &[Document]) -> Result<Vec<Change>, AppError> {
    allow(actor, Action::Apply)?;
    let ordered = check(documents)?;
    let checked = check_data(app, actor, &ordered).await?;
    let mut transaction = app.store.begin().await?;
    let mut changes = Vec::with_capacity(ordered.len());
    for document in &ordered {
        let change = planned(&mut transaction, document).await?;
        if change.action == PlannedAction::Refused {
            let reason = change.reason.unwrap_or_default();
            return Err(AppError::Conflict(format!(
                "{} {}: {reason}; nothing was applied",
                change.kind, change.name
            )));
        }
        if change.action != PlannedAction::Unchanged {
            write(app, &mut transaction, actor, document, &checked).await?;
            let detail = json!({ "action": change.action, "fields": change.fields });
            let subject = format!("{}/{}", document.kind().to_lowercase(), document.reference());
            app.audit(&mut transaction, actor, "manifest.apply", &subject, detail).await?;
        }
        changes.push(change);
    }
    for document in &ordered {
        check_references(app, &mut transaction, document).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    live::publish_all(app).await?;
    Ok(changes)
}

fn check(documents: &[Document]) -> Result<Vec<&Document>, AppError> {
    if documents.is_empty() || documents.len() > MAX_DOCUMENTS {
        return Err(AppError::Invalid(format!(
            "send 1 to {MAX_DOCUMENTS} documents, not {}",
            documents.len()
        )));
    }
    let mut seen = BTreeSet::new();
    for document in documents {
        document.validate()?;
        if !seen.insert((document.kind(), document.reference())) {
            let name = document.reference();
            return Err(AppError::Invalid(format!("{} {name} is described twice", document.kind())));
        }
    }
    let mut ordered: Vec<&Document> = documents.iter().collect();
    ordered.sort_by_key(|d| (d.rank(), d.reference()));
    Ok(ordered)
}

async fn planned(connection: &mut Connection, document: &Document) -> Result<Change, AppError> {
    let stored = stored_spec(connection, document).await?;
    let proposed = document.spec_json();
    let fields = stored.as_ref().map(|before| differences(before, &proposed)).unwrap_or_default();
    let action = match (&stored, fields.is_empty()) {
        (None, _) => PlannedAction::Create,
        (Some(_), true) => PlannedAction::Unchanged,
        (Some(_), false) if document.is_immutable() => PlannedAction::Refused,
        (Some(_), false) => PlannedAction::Update,
    };
    // Who gets a variant and what is logged may change under traffic: every prediction says what held for it.
    let free = |path: &str| path.starts_with("assignment") || path.starts_with("log");
    let guarded = |path: &str| match document {
        Document::Initiative { .. } => path.starts_with("value") && !value_version::may_change(path),
        _ => !free(path),
    };
    if action == PlannedAction::Update
        && fields.iter().any(|f| guarded(&f.path))
        && let Some(reason) = in_use(connection, document).await?
    {
        let (kind, name) = (document.kind().to_owned(), document.reference());
        return Ok(Change { kind, name, action: PlannedAction::Refused, fields, reason: Some(reason) });
    }
    let reason = (action == PlannedAction::Refused).then(|| match document {
        Document::BusinessCase { .. } => {
            "a business case is never edited; give the new one another name and it supersedes this one"
                .to_owned()
        }
        _ => "a published version never changes; raise its version".to_owned(),
    });
    Ok(Change { kind: document.kind().to_owned(), name: document.reference(), action, fields, reason })
}

async fn stored_spec(connection: &mut Connection, document: &Document) -> Result<Option<Value>, AppError> {
    fn json_of<T: serde::Serialize>(spec: Option<T>) -> Option<Value> {
        spec.and_then(|s| serde_json::to_value(s).ok())
    }
    Ok(match document {
        Document::Initiative { name, .. } => {
            json_of(greenlight_store::initiative::get(connection, name).await?)
        }
        Document::BusinessCase { name, .. } => {
            json_of(greenlight_store::business_case::get(connection, name).await?)
        }
        Document::Dataset { name, version, .. } => {
            json_of(greenlight_store::dataset::get(connection, name, *version).await?.map(|d| d.0))
        }
        Document::Policy { name, version, .. } => {
            json_of(greenlight_store::policy::get(connection, name, *version).await?)
        }
        Document::Endpoint { name, .. } => json_of(greenlight_store::endpoint::get(connection, name).await?),
        Document::Training { name, .. } => json_of(greenlight_store::training::get(connection, name).await?),
    })
}

async fn write(
    app: &App,
    connection: &mut Connection,
    actor: &Actor,
    document: &Document,
    checked: &BTreeMap<String, Checked>,
) -> Result<(), AppError> {
    let stamp = app.stamp(actor);
    match document {
        Document::Initiative { name, spec } => {
            let before = greenlight_store::initiative::get(connection, name).await?.map(|known| known.value);
            greenlight_store::initiative::upsert(connection, name, spec, stamp).await?;
            value_version::note(app, connection, actor, name, (before.as_ref(), &spec.value)).await?;
        }
        Document::BusinessCase { name, spec } => {
            greenlight_store::business_case::insert(connection, name, spec, stamp).await?;
        }
        Document::Dataset { name, version, spec } => {
            let Checked { report, record } = checked
                .get(&document.reference())
                .ok_or_else(|| AppError::Internal("the data set was not checked".to_owned()))?;
            greenlight_store::dataset::insert(connection, (name, *version), spec, report, record, stamp)
                .await?;
        }
        Document::Policy { name, version, spec } => {
            greenlight_store::policy::insert(connection, (name, *version), spec, stamp).await?;
        }
        Document::Endpoint { name, spec } => {
            let before = greenlight_store::endpoint::get(connection, name).await?;
            greenlight_store::endpoint::upsert(connection, name, spec, stamp).await?;
            if before.is_none_or(|known| known.initiative != spec.initiative) {
                value_version::begin(connection, name, &spec.initiative).await?;
            }
        }
        Document::Training { name, spec } => {
            greenlight_store::training::upsert(connection, name, spec, stamp).await?;
        }
    }
    Ok(())
}

/// A new data set version that meets its contract.
struct Checked {
    report: ContractReport,
    record: DatasetRecord,
}

/// Reads every new data set, checks its contract and looks at what is in it, before the transaction begins.
async fn check_data(
    app: &App,
    actor: &Actor,
    documents: &[&Document],
) -> Result<BTreeMap<String, Checked>, AppError> {
    let mut checked = BTreeMap::new();
    for document in documents {
        let Document::Dataset { name, version, spec } = document else {
            continue;
        };
        let mut connection = app.store.read().await?;
        let known = greenlight_store::dataset::get(&mut connection, name, *version).await?;
        drop(connection);
        if known.is_some() {
            continue;
        }
        let report = contract_report(app, spec).await?;
        let reference = document.reference();
        if !report.passed() {
            let violations = report.violations.join("; ");
            return Err(AppError::Invalid(format!(
                "Dataset {reference} does not meet its contract: {violations}"
            )));
        }
        let record = dataset::record_of_manifest(app, actor, (name, *version), spec).await?;
        checked.insert(reference, Checked { report, record });
    }
    Ok(checked)
}

async fn contract_report(app: &App, spec: &DatasetSpec) -> Result<ContractReport, AppError> {
    if spec.sha256.is_empty() {
        return Err(AppError::Invalid(format!("sha256: upload '{}' first and give its digest", spec.file)));
    }
    let file = app.artifacts.file(&spec.sha256).await?;
    let shape = app.lake.dataset_shape(&file).await?;
    let mut violations = Vec::new();
    for (name, contract) in &spec.contract {
        match shape.columns.iter().find(|c| c.name.as_ref() == name) {
            None => violations.push(format!("{name} is not in the file")),
            Some(found) if found.column_type != contract.column_type => {
                violations.push(format!("{name} holds another type than the contract says"));
            }
            Some(_) => {}
        }
    }
    for column in &shape.columns {
        if !spec.contract.contains_key(column.name.as_ref()) {
            violations.push(format!("{} is in the file but not in the contract", column.name));
        }
    }
    if violations.is_empty() {
        let columns: Vec<String> = spec.contract.keys().cloned().collect();
        let time = spec.column_of(ColumnRole::Time).unwrap_or_default();
        let frame = app.lake.read_dataset(&file, &columns, time, None).await?;
        for (field, column) in frame.fields().iter().zip(frame.columns()) {
            if let Some(contract) = spec.contract.get(field.name.as_ref()) {
                let found = check_column(&field.name, column, contract);
                violations.extend(found.into_iter().map(|(rule, rows)| format!("{rule} in {rows} rows")));
            }
        }
    }
    Ok(ContractReport { rows: shape.rows, violations })
}

/// What a document refers to must exist and fit, once everything of the request is written.
async fn check_references(
    app: &App,
    connection: &mut Connection,
    document: &Document,
) -> Result<(), AppError> {
    match document {
        Document::Endpoint { name, spec } => check_endpoint(app, connection, name, spec).await?,
        Document::Training { name, spec } => {
            let dataset = dataset_of(connection, &spec.dataset, name).await?;
            for feature in &spec.features {
                match dataset.contract.get(feature) {
                    Some(c) if c.role == ColumnRole::Feature => {}
                    Some(_) => {
                        return Err(AppError::Invalid(format!(
                            "Training {name}: '{feature}' is not a feature"
                        )));
                    }
                    None => return Err(missing("column", feature, name)),
                }
            }
        }
        Document::BusinessCase { name, spec } => {
            if greenlight_store::initiative::get(connection, &spec.initiative).await?.is_none() {
                return Err(missing("initiative", &spec.initiative, name));
            }
        }
        // A changed value model must still fit every endpoint that counts with it.
        Document::Initiative { name, .. } => {
            for (endpoint, spec) in greenlight_store::endpoint::list(connection).await? {
                if spec.initiative == *name {
                    check_endpoint(app, connection, &endpoint, &spec).await?;
                }
            }
        }
        Document::Dataset { .. } | Document::Policy { .. } => {}
    }
    Ok(())
}

/// An endpoint must fit its initiative, data set and policy, and its log must be able to take the features.
async fn check_endpoint(
    app: &App,
    connection: &mut Connection,
    name: &str,
    spec: &EndpointSpec,
) -> Result<(), AppError> {
    let initiative = greenlight_store::initiative::get(connection, &spec.initiative)
        .await?
        .ok_or_else(|| missing("initiative", &spec.initiative, name))?;
    let dataset = dataset_of(connection, &spec.dataset, name).await?;
    crate::release::policy_of(connection, &spec.policy).await?;
    let features = dataset.decision_time_features();
    let value = ValueModel::compile(&initiative.value, &features)?;
    let refused = |e: greenlight_domain::DomainError| AppError::Invalid(format!("Endpoint {name}: {e}"));
    spec.assignment.validate(&features).map_err(refused)?;
    check_layer(connection, name, spec).await?;
    spec.decision.validate().map_err(refused)?;
    if spec.log.keep_days.is_some_and(|days| days <= u32::from(initiative.value.window_days)) {
        let problem = format!(
            "log.keep_days must exceed the {} days in which an outcome counts",
            initiative.value.window_days
        );
        return Err(AppError::Invalid(format!("Endpoint {name}: {problem}")));
    }
    spec.log.mask(&features, &value.reads(), app.id_key).map_err(refused)?;
    if !value.decisions.iter().any(|d| d.as_ref() == spec.holdout.decision) {
        return Err(AppError::Invalid(format!(
            "Endpoint {name}: holdout.decision '{}' is not one of the decisions {}",
            spec.holdout.decision,
            initiative.value.decisions.join(", ")
        )));
    }
    let taken = |column: &str| features.iter().any(|f| f.name.as_ref() == column);
    for column in std::iter::once(&spec.unit).chain(&spec.event_time) {
        if taken(column) {
            return Err(AppError::Invalid(format!(
                "Endpoint {name}: '{column}' is a feature; unit and event_time are columns of their own"
            )));
        }
    }
    Ok(app.lake.open(name, features).await?)
}

/// Endpoints that share a layer must not share units.
async fn check_layer(connection: &mut Connection, name: &str, spec: &EndpointSpec) -> Result<(), AppError> {
    let Some(layer) = &spec.assignment.layer else { return Ok(()) };
    for (other, its) in greenlight_store::endpoint::list(connection).await? {
        if other != name && its.assignment.layer.as_ref().is_some_and(|its| its.overlaps(layer)) {
            let (from, until) = (layer.from_percent, layer.until_percent);
            return Err(AppError::Invalid(format!(
                "Endpoint {name}: {from} to {until} % of layer '{}' overlaps the part of endpoint {other}",
                layer.name
            )));
        }
    }
    Ok(())
}

/// Why a change of a value model or an endpoint has to wait: it would change what a release in traffic decides, and
/// how its past is counted, without gate or approval.
async fn in_use(connection: &mut Connection, document: &Document) -> Result<Option<String>, AppError> {
    let endpoints: Vec<String> = match document {
        Document::Endpoint { name, .. } => vec![name.clone()],
        Document::Initiative { name, .. } => {
            let all = greenlight_store::endpoint::list(connection).await?;
            all.into_iter().filter(|(_, e)| e.initiative == *name).map(|(endpoint, _)| endpoint).collect()
        }
        _ => return Ok(None),
    };
    for endpoint in endpoints {
        let releases = greenlight_store::release::list(connection, Some(&endpoint)).await?;
        let busy = |stage: Stage| {
            let waits = matches!(stage, Stage::Shadow | Stage::AwaitingApproval | Stage::Approved);
            stage.serves() || waits || stage == Stage::Challenger
        };
        if let Some(release) = releases.iter().find(|r| busy(r.stage)) {
            return Ok(Some(format!("release {} is {}; end it first", release.id, release.stage)));
        }
    }
    Ok(None)
}

async fn dataset_of(connection: &mut Connection, reference: &str, by: &str) -> Result<DatasetSpec, AppError> {
    let (name, version) = split_version(reference)?;
    let found = greenlight_store::dataset::get(connection, name, version).await?;
    let dataset = found.map(|d| d.0).ok_or_else(|| missing("dataset", reference, by))?;
    dataset.check_has_contract(reference)?;
    Ok(dataset)
}

fn missing(what: &'static str, name: &str, by: &str) -> AppError {
    AppError::not_found(what, name, &format!("'{by}' refers to it"))
}
