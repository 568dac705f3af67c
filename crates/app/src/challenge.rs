//! Challengers: approved releases that are compared with a live champion on a part of its traffic.

use greenlight_domain::prediction::Variant;
use greenlight_domain::release::{Release, Stage};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::rollout::{RolloutFigures, Verdict, judge};
use greenlight_domain::route::{Challenger, MAX_CHALLENGERS};
use serde::Deserialize;

use crate::release::{ReleaseView, change, find, policy_of, routed, routes_of, view};
use crate::rollout::{Looked, take_back};
use crate::{App, AppError, allow, live};

/// How much traffic a challenger gets.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Percent of all units, out of the champion's share.
    pub percent: u8,
}

/// Gives an approved release a part of the champion's traffic, or changes the part that a challenger has.
pub async fn challenge(
    app: &App,
    actor: &Actor,
    id: &str,
    request: Challenge,
) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Rollout)?;
    let before = find(app, id).await?;
    let mut after = before.clone();
    if before.stage != Stage::Challenger {
        after.stage = before.stage.step_to(Stage::Challenger, id)?;
        after.step_since = Some(app.clock.now());
    }
    let mut routes = routes_of(app, &before.endpoint).await?;
    let Some(champion) = &routes.champion else {
        return Err(AppError::Conflict(format!(
            "endpoint {} has no champion to challenge; start a rollout of this release instead",
            before.endpoint
        )));
    };
    if find(app, &champion.release).await?.stage != Stage::Live {
        let problem =
            format!("release {} is still rolling out; challenge it once it is live", champion.release);
        return Err(AppError::Conflict(problem));
    }
    if request.percent == 0 {
        return Err(AppError::Invalid("percent: a challenger gets at least 1 % of the units".to_owned()));
    }
    match routes.challengers.iter().position(|c| c.model.release == id) {
        Some(known) => routes.challengers[known].percent = request.percent,
        None if routes.challengers.len() >= MAX_CHALLENGERS => {
            return Err(AppError::Conflict(format!(
                "there are {MAX_CHALLENGERS} challengers already; end one"
            )));
        }
        None => {
            // Load before anything changes: a model that cannot be loaded must not get as far as traffic.
            live::load(app, &before.model, before.model_version).await?;
            routes.challengers.push(Challenger { model: routed(&before), percent: request.percent });
        }
    }
    change(app, actor, &before, &after, Some(routes), "release.challenge").await?;
    view(app, actor, id).await
}

/// Looks at a challenger's guardrails. What it earns against the champion is for people to compare; what breaks a
/// guardrail is taken back at once.
pub(crate) async fn look(app: &App, actor: &Actor, before: &Release) -> Result<Looked, AppError> {
    let mut connection = app.store.read().await?;
    let policy = policy_of(&mut connection, &before.policy).await?;
    drop(connection);
    let traffic = app.lake.traffic(&before.endpoint, Some(&before.id)).await?;
    let own = traffic.iter().find(|t| t.variant == Variant::Challenger);
    let figures = RolloutFigures {
        step: 0,
        matured_at_step: 0,
        earned: None,
        champion_predictions: own.map_or(0, |t| t.predictions),
        champion_errors: own.map_or(0, |t| t.errors),
        p99_latency_us: own.map_or(0.0, |t| t.p99_latency_us),
    };
    let live = app.live.get(&before.endpoint);
    let currency = live.as_ref().map_or(greenlight_domain::money::Currency::EUR, |e| e.value.currency);
    let percent = live
        .and_then(|e| e.routes.challengers.iter().find(|c| c.model.release == before.id).map(|c| c.percent));
    let release = before.id.clone();
    if let Verdict::RollBack { reason } = judge(&policy.rollout, &figures, currency) {
        take_back(app, actor, before, &reason, "release.challenger_taken_back").await?;
        return Ok(Looked { release, verdict: Verdict::RollBack { reason }, percent: 0 });
    }
    let reason = format!("no guardrail is broken after {} predictions", figures.champion_predictions);
    Ok(Looked { release, verdict: Verdict::Hold { reason }, percent: percent.unwrap_or(0) })
}
