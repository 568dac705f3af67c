//! Releases: submit, put into shadow, judge, approve.

use greenlight_domain::evidence::{Gate, GateResult};
use greenlight_domain::gate::shadow::{self, ShadowFigures};
use greenlight_domain::policy::PolicySpec;
use greenlight_domain::release::{Approval, Release, Stage, approve as judge_approval};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::route::{MAX_SHADOWS, RoutedModel, Routes};
use greenlight_domain::training::split_version;
use greenlight_stats::{drift, quantile};
use greenlight_store::StoreError;
use greenlight_store::evidence::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::new_id;
use crate::gate::{Judged, before_traffic};
use crate::{App, AppError, allow, live, servable};

/// Which model version should go to which endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRelease {
    /// Endpoint.
    pub endpoint: String,
    /// `name@version`, or `models:/name@alias` for the newest that comes from that version of the registry.
    pub model: String,
}

/// A decision about a release.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Yes or no.
    pub approved: bool,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// A release with everything that is known about it.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseView {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// The policy it was submitted under.
    pub policy_spec: PolicySpec,
    /// Evidence, oldest first.
    pub evidence: Vec<Evidence>,
    /// Decisions, oldest first.
    pub approvals: Vec<Approval>,
    /// Percent of units that the present step gives the champion; 0 outside a rollout.
    pub percent: u8,
}

/// Submits a release: runs the gates before traffic and stores release and evidence together.
pub async fn submit(app: &App, actor: &Actor, mut request: SubmitRelease) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Release)?;
    if request.model.starts_with("models:") {
        request.model = servable::reference(app, actor, &request.model).await?;
    }
    let judged = gather(app, &request).await?;
    let (model, model_version) = (judged.model.name.clone(), judged.model.version);
    let policy = judged.endpoint.policy.clone();
    let value_version = judged.value_version;
    let results = before_traffic(app, judged).await?;
    let passed = results.iter().all(|r| r.passed);
    let stopped_by = results.iter().find(|r| !r.passed).map(|r| format!("{} gate: {}", r.gate, r.summary));
    let mut transaction = app.store.begin().await?;
    let number = greenlight_store::release::next_number(&mut transaction, &request.endpoint).await?;
    let release = Release {
        id: format!("{}.{number}", request.endpoint),
        endpoint: request.endpoint,
        model,
        model_version,
        policy,
        author: actor.name.clone(),
        stage: if passed { Stage::Gated } else { Stage::Stopped },
        step: 0,
        step_since: None,
        reason: stopped_by,
        submitted_at: app.clock.now(),
        value_version,
    };
    greenlight_store::release::insert(&mut transaction, &release, number).await?;
    for result in &results {
        store_evidence(app, &mut transaction, actor, &release.id, result).await?;
    }
    let detail = json!({ "model": request.model, "stage": release.stage, "reason": release.reason });
    app.audit(&mut transaction, actor, "release.submit", &release.id, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    view(app, actor, &release.id).await
}

async fn gather(app: &App, request: &SubmitRelease) -> Result<Judged, AppError> {
    let mut connection = app.store.read().await?;
    let endpoint =
        greenlight_store::endpoint::get(&mut connection, &request.endpoint).await?.ok_or_else(|| {
            AppError::not_found("endpoint", &request.endpoint, "list them with 'greenlight endpoint list'")
        })?;
    let (name, version) = split_version(&request.model)?;
    let model = greenlight_store::model::get(&mut connection, name, version).await?.ok_or_else(|| {
        AppError::not_found("model version", &request.model, "list them with 'greenlight model list'")
    })?;
    let initiative = greenlight_store::initiative::get(&mut connection, &endpoint.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &endpoint.initiative, ""))?;
    let (dataset, version) = split_version(&endpoint.dataset)?;
    let (dataset, _) = greenlight_store::dataset::get(&mut connection, dataset, version)
        .await?
        .ok_or_else(|| AppError::not_found("dataset", &endpoint.dataset, ""))?;
    let policy = policy_of(&mut connection, &endpoint.policy).await?;
    let value_version =
        crate::value_version::newest(&mut connection, &endpoint.initiative, &initiative.value).await?.version;
    Ok(Judged { model, endpoint, initiative, dataset, policy, value_version })
}

pub(crate) async fn policy_of(
    connection: &mut greenlight_store::Connection,
    reference: &str,
) -> Result<PolicySpec, AppError> {
    let (name, version) = split_version(reference)?;
    greenlight_store::policy::get(connection, name, version)
        .await?
        .ok_or_else(|| AppError::not_found("policy", reference, ""))
}

/// Stores the result of a gate with its audit line.
async fn store_evidence(
    app: &App,
    connection: &mut greenlight_store::Connection,
    actor: &Actor,
    release: &str,
    result: &GateResult,
) -> Result<(), AppError> {
    let id = new_id();
    greenlight_store::evidence::insert(connection, &id, release, result, app.stamp(actor)).await?;
    let detail = json!({ "gate": result.gate, "passed": result.passed, "digest": result.digest() });
    app.audit(connection, actor, "release.evidence", release, detail).await
}

/// The release of that id, or a clear error.
pub(crate) async fn find(app: &App, id: &str) -> Result<Release, AppError> {
    let mut connection = app.store.read().await?;
    greenlight_store::release::get(&mut connection, id)
        .await?
        .ok_or_else(|| AppError::not_found("release", id, "list them with 'greenlight release list'"))
}

/// Changes a release and, when given, the routes of its endpoint, in one transaction with the audit line; then
/// publishes the routes to serving.
pub(crate) async fn change(
    app: &App,
    actor: &Actor,
    before: &Release,
    after: &Release,
    routes: Option<Routes>,
    action: &str,
) -> Result<(), AppError> {
    let mut transaction = app.store.begin().await?;
    change_in(app, &mut transaction, actor, before, after, action).await?;
    let reroute = routes.is_some();
    if let Some(routes) = routes {
        write_routes(app, &mut transaction, actor, &after.endpoint, routes, action).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    if reroute {
        live::publish(app, &after.endpoint).await?;
    }
    Ok(())
}

pub(crate) async fn change_in(
    app: &App,
    transaction: &mut greenlight_store::Connection,
    actor: &Actor,
    before: &Release,
    after: &Release,
    action: &str,
) -> Result<(), AppError> {
    if !greenlight_store::release::change(transaction, after, before.stage, before.step).await? {
        return Err(AppError::Conflict(format!(
            "release {} was changed meanwhile; look at it again",
            after.id
        )));
    }
    let detail =
        json!({ "from": before.stage, "to": after.stage, "step": after.step, "reason": after.reason });
    app.audit(transaction, actor, action, &after.id, detail).await
}

/// Appends the next version of an endpoint's routes.
pub(crate) async fn write_routes(
    app: &App,
    transaction: &mut greenlight_store::Connection,
    actor: &Actor,
    endpoint: &str,
    routes: Routes,
    reason: &str,
) -> Result<(), AppError> {
    let routes = routes.next()?;
    greenlight_store::route::insert(transaction, endpoint, &routes, reason, app.stamp(actor)).await?;
    Ok(())
}

pub(crate) async fn routes_of(app: &App, endpoint: &str) -> Result<Routes, AppError> {
    let mut connection = app.store.read().await?;
    Ok(greenlight_store::route::current(&mut connection, endpoint).await?)
}

pub(crate) fn routed(release: &Release) -> RoutedModel {
    RoutedModel { release: release.id.clone(), model: release.model.clone(), version: release.model_version }
}

/// Puts a gated release beside live traffic.
pub async fn start_shadow(app: &App, actor: &Actor, id: &str) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Release)?;
    let before = find(app, id).await?;
    let mut after = before.clone();
    after.stage = before.stage.step_to(Stage::Shadow, id)?;
    let mut routes = routes_of(app, &before.endpoint).await?;
    if routes.shadows.len() >= MAX_SHADOWS {
        let there: Vec<&str> = routes.shadows.iter().map(|shadow| shadow.release.as_str()).collect();
        return Err(AppError::Conflict(format!(
            "{MAX_SHADOWS} releases are in shadow there already ({}); judge one first",
            there.join(", ")
        )));
    }
    // Load before anything changes: a model that cannot be loaded must not get as far as traffic.
    live::load(app, &before.model, before.model_version).await?;
    routes.shadows.push(routed(&before));
    change(app, actor, &before, &after, Some(routes), "release.shadow").await?;
    view(app, actor, id).await
}

/// Judges the shadow by what it did so far; with too few predictions nothing is recorded.
pub async fn judge_shadow(app: &App, actor: &Actor, id: &str) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Release)?;
    let before = find(app, id).await?;
    if before.stage != Stage::Shadow {
        return Err(AppError::Conflict(format!("release {id} is {} and not in shadow", before.stage)));
    }
    let (policy, model) = {
        let mut connection = app.store.read().await?;
        let policy = policy_of(&mut connection, &before.policy).await?;
        let model =
            greenlight_store::model::get(&mut connection, &before.model, before.model_version).await?;
        (policy, model.ok_or_else(|| AppError::not_found("model version", &before.model, ""))?)
    };
    app.lake.seal(&before.endpoint).await?;
    let rows = app.lake.shadow_rows(&before.endpoint, id).await?;
    let figures = shadow_figures(&rows, &model.score_edges, app.live.dropped_shadow(id))?;
    if figures.predictions < policy.shadow.min_predictions {
        return Err(AppError::Conflict(format!(
            "the shadow of {id} has {} of {} predictions; let it run on",
            figures.predictions, policy.shadow.min_predictions
        )));
    }
    let result = shadow::judge(&policy.shadow, &figures, &model.score_counts)?;
    let mut after = before.clone();
    let next = if result.passed { Stage::AwaitingApproval } else { Stage::Stopped };
    after.stage = before.stage.step_to(next, id)?;
    after.reason = (!result.passed).then(|| format!("{} gate: {}", Gate::Shadow, result.summary));
    let mut routes = routes_of(app, &before.endpoint).await?;
    routes.end_shadow(id);
    let mut transaction = app.store.begin().await?;
    store_evidence(app, &mut transaction, actor, id, &result).await?;
    change_in(app, &mut transaction, actor, &before, &after, "release.shadow_judged").await?;
    write_routes(app, &mut transaction, actor, &before.endpoint, routes, "shadow judged").await?;
    transaction.commit().await.map_err(StoreError::from)?;
    live::publish(app, &before.endpoint).await?;
    view(app, actor, id).await
}

fn shadow_figures(
    rows: &[crate::lake::ShadowRow],
    edges: &[f64],
    dropped: u64,
) -> Result<ShadowFigures, AppError> {
    let mut latencies: Vec<f64> = rows.iter().map(|r| r.latency_us as f64).collect();
    let scores: Vec<f64> = rows.iter().filter(|r| !r.failed).map(|r| r.probability).collect();
    let mut at = |q: f64| {
        if latencies.is_empty() {
            return Ok(0.0);
        }
        quantile::quantile(&mut latencies, q).map_err(|e| AppError::Internal(e.to_string()))
    };
    Ok(ShadowFigures {
        predictions: rows.len() as u64,
        errors: rows.iter().filter(|r| r.failed).count() as u64,
        dropped,
        disagreements: rows.iter().filter(|r| r.disagrees && !r.failed).count() as u64,
        p50_latency_us: at(0.5)?,
        p99_latency_us: at(0.99)?,
        score_counts: drift::histogram(&scores, edges),
    })
}

/// Records a person's decision.
pub async fn decide(app: &App, actor: &Actor, id: &str, request: Decide) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Approve)?;
    let before = find(app, id).await?;
    let mut transaction = app.store.begin().await?;
    let policy = policy_of(&mut transaction, &before.policy).await?;
    // Takes the row's lock: of two people who decide at once, the second one sees the first one's decision.
    greenlight_store::release::change(&mut transaction, &before, before.stage, before.step).await?;
    let so_far = greenlight_store::approval::of_release(&mut transaction, id).await?;
    let approval = Approval {
        actor: actor.name.clone(),
        approved: request.approved,
        comment: request.comment.chars().take(2_000).collect(),
        at: app.clock.now(),
    };
    let mut after = before.clone();
    after.stage = judge_approval(&before, &so_far, policy.approvals.count, &approval)?;
    if after.stage == Stage::Rejected {
        after.reason = Some(format!("rejected by {}: {}", approval.actor, approval.comment));
    }
    greenlight_store::approval::insert(&mut transaction, id, &approval).await?;
    change_in(app, &mut transaction, actor, &before, &after, "release.decide").await?;
    transaction.commit().await.map_err(StoreError::from)?;
    view(app, actor, id).await
}

/// A release with its evidence and decisions.
pub async fn view(app: &App, actor: &Actor, id: &str) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Read)?;
    let release = find(app, id).await?;
    let mut connection = app.store.read().await?;
    let policy_spec = policy_of(&mut connection, &release.policy).await?;
    let evidence = greenlight_store::evidence::of_release(&mut connection, id).await?;
    let approvals = greenlight_store::approval::of_release(&mut connection, id).await?;
    let percent = if release.stage.serves() {
        policy_spec.rollout.steps.get(release.step as usize).map_or(0, |s| s.percent)
    } else {
        0
    };
    Ok(ReleaseView { release, policy_spec, evidence, approvals, percent })
}

/// All releases, newest first.
pub async fn list(app: &App, actor: &Actor, endpoint: Option<&str>) -> Result<Vec<Release>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    Ok(greenlight_store::release::list(&mut connection, endpoint).await?)
}
