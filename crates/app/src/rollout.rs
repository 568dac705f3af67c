//! Rollouts: start, look, advance, roll back. Looking is safe at any time: the verdict rests on a confidence
//! sequence.

use greenlight_domain::ledger::earned_total;
use greenlight_domain::prediction::Variant;
use greenlight_domain::release::{Release, Stage};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::rollout::{RolloutFigures, Verdict, judge};
use greenlight_stats::moments::Moments;
use greenlight_store::StoreError;
use greenlight_store::ledger::StatisticRow;
use serde::Serialize;

use crate::release::{
    ReleaseView, change, change_in, find, policy_of, routed, routes_of, view, write_routes,
};
use crate::{App, AppError, allow, live};

/// What a look found and did.
#[derive(Debug, Clone, Serialize)]
pub struct Looked {
    /// Which release.
    pub release: String,
    /// What to do, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Percent of units that get the champion after the look.
    pub percent: u8,
}

/// Gives an approved release its first share of traffic. A release that was live on the endpoint is superseded.
pub async fn start(app: &App, actor: &Actor, id: &str) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Rollout)?;
    let before = find(app, id).await?;
    let mut after = before.clone();
    after.stage = before.stage.step_to(Stage::Rollout, id)?;
    after.step = 0;
    after.step_since = Some(app.clock.now());
    let mut transaction = app.store.begin().await?;
    let mut superseded = None;
    let others = greenlight_store::release::list(&mut transaction, Some(&before.endpoint)).await?;
    for other in others.iter().filter(|r| r.stage.serves()) {
        if other.stage == Stage::Rollout {
            let problem = format!("release {} is rolling out there; let it finish or roll it back", other.id);
            return Err(AppError::Conflict(problem));
        }
        let mut ended = other.clone();
        ended.stage = Stage::Superseded;
        ended.reason = Some(format!("superseded by {id}"));
        change_in(app, &mut transaction, actor, other, &ended, "release.superseded").await?;
        superseded = Some(routed(other));
    }
    let policy = policy_of(&mut transaction, &before.policy).await?;
    let mut routes = greenlight_store::route::current(&mut transaction, &before.endpoint).await?;
    routes.end_challenger(id);
    routes.previous = superseded;
    routes.champion = Some(routed(&before));
    routes.champion_percent = policy.rollout.steps[0].percent;
    change_in(app, &mut transaction, actor, &before, &after, "rollout.start").await?;
    write_routes(app, &mut transaction, actor, &before.endpoint, routes, "rollout started").await?;
    transaction.commit().await.map_err(StoreError::from)?;
    live::publish(app, &before.endpoint).await?;
    view(app, actor, id).await
}

/// Looks at a rollout and acts on what it finds: advances, finishes, or rolls back when a guardrail broke.
pub async fn look(app: &App, actor: &Actor, id: &str) -> Result<Looked, AppError> {
    allow(actor, Action::Rollout)?;
    let before = find(app, id).await?;
    if before.stage == Stage::Challenger {
        return crate::challenge::look(app, actor, &before).await;
    }
    if !before.stage.serves() {
        return Err(AppError::Conflict(format!("release {id} is {} and gets no traffic", before.stage)));
    }
    let mut connection = app.store.read().await?;
    let policy = policy_of(&mut connection, &before.policy).await?;
    let rows = greenlight_store::ledger::statistics(&mut connection, &before.endpoint, Some(id)).await?;
    drop(connection);
    let percent = policy.rollout.steps.get(before.step as usize).map_or(0, |s| s.percent);
    let endpoint = app.live.get(&before.endpoint);
    let currency = endpoint.map_or(greenlight_domain::money::Currency::EUR, |e| e.value.currency);
    let figures = figures(app, &before, &rows, percent, &policy.rollout).await?;
    let verdict = judge(&policy.rollout, &figures, currency);
    let percent = act(app, actor, &before, &verdict, percent, &policy.rollout).await?;
    Ok(Looked { release: id.to_owned(), verdict, percent })
}

async fn figures(
    app: &App,
    release: &Release,
    rows: &[StatisticRow],
    percent: u8,
    policy: &greenlight_domain::policy::RolloutPolicy,
) -> Result<RolloutFigures, AppError> {
    let moments = moments_of(rows);
    let matured_at_step = rows
        .iter()
        .filter(|r| r.champion_percent == percent)
        .map(|r| r.statistics.randomised.max(0) as u64)
        .sum();
    let traffic = app.lake.traffic(&release.endpoint, Some(&release.id)).await?;
    let champion = traffic.iter().find(|t| t.variant == Variant::Champion);
    Ok(RolloutFigures {
        step: release.step,
        matured_at_step,
        earned: earned_total(&moments, policy.alpha, policy.tuned_for_units)?,
        champion_predictions: champion.map_or(0, |t| t.predictions),
        champion_errors: champion.map_or(0, |t| t.errors),
        p99_latency_us: champion.map_or(0.0, |t| t.p99_latency_us),
    })
}

/// The moments of the earned contributions of all randomised units in `rows`.
pub(crate) fn moments_of(rows: &[StatisticRow]) -> Moments {
    rows.iter().fold(Moments::default(), |so_far, row| {
        let day = &row.statistics;
        so_far.merge(Moments {
            n: day.randomised.max(0) as u64,
            sum: day.earned_sum,
            sum_squares: day.earned_sum_squares,
        })
    })
}

async fn act(
    app: &App,
    actor: &Actor,
    before: &Release,
    verdict: &Verdict,
    percent: u8,
    policy: &greenlight_domain::policy::RolloutPolicy,
) -> Result<u8, AppError> {
    let mut after = before.clone();
    let mut routes = routes_of(app, &before.endpoint).await?;
    match verdict {
        Verdict::Hold { .. } => Ok(percent),
        Verdict::Advance { reason } => {
            after.step = before.step + 1;
            after.step_since = Some(app.clock.now());
            after.reason = Some(reason.clone());
            let next = policy.steps.get(after.step as usize).map_or(percent, |s| s.percent);
            routes.champion_percent = next;
            change(app, actor, before, &after, Some(routes), "rollout.advance").await?;
            Ok(next)
        }
        // A live release is still watched by its guardrails, but it finishes only once.
        Verdict::Finish { .. } if before.stage == Stage::Live => Ok(percent),
        Verdict::Finish { reason } => {
            after.stage = before.stage.step_to(Stage::Live, &before.id)?;
            after.reason = Some(reason.clone());
            change(app, actor, before, &after, None, "rollout.finish").await?;
            Ok(percent)
        }
        Verdict::RollBack { reason } => {
            take_back(app, actor, before, reason, "rollout.rolled_back").await?;
            Ok(0)
        }
    }
}

/// Takes a release back by hand.
pub async fn roll_back(app: &App, actor: &Actor, id: &str, reason: &str) -> Result<ReleaseView, AppError> {
    allow(actor, Action::Rollout)?;
    if reason.trim().is_empty() {
        return Err(AppError::Invalid("reason: say why it is taken back".to_owned()));
    }
    let before = find(app, id).await?;
    take_back(app, actor, &before, reason, "rollout.rolled_back").await?;
    view(app, actor, id).await
}

pub(crate) async fn take_back(
    app: &App,
    actor: &Actor,
    before: &Release,
    reason: &str,
    action: &str,
) -> Result<(), AppError> {
    let mut after = before.clone();
    after.stage = before.stage.step_to(Stage::RolledBack, &before.id)?;
    after.reason = Some(reason.to_owned());
    let mut routes = routes_of(app, &before.endpoint).await?;
    // By stage, not by whether the routes name it: a challenger whose champion was taken back is not routed any more, and
    // the champion of today is not its to end.
    if before.stage == Stage::Challenger {
        routes.end_challenger(&before.id);
    } else {
        routes.champion = None;
        routes.previous = None;
        routes.champion_percent = 0;
        // Without a champion there is nothing to challenge, and its share was theirs.
        routes.challengers.clear();
    }
    change(app, actor, before, &after, Some(routes), action).await
}
