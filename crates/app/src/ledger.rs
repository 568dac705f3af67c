//! What an endpoint earned: figures with grade and interval, maturity, forecast beside actual.

use std::collections::BTreeMap;

use greenlight_domain::business_case::BusinessCaseSpec;
use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::{
    DayStatistics, Figure, ForecastPoint, PostingKind, RunRate, earned_total, forecast_against_actual,
    run_rate,
};
use greenlight_domain::money::Currency;
use greenlight_domain::policy::RolloutPolicy;
use greenlight_domain::prediction::Variant;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::ledger::StatisticRow;
use serde::Serialize;

use crate::release::policy_of;
use crate::rollout::moments_of;
use crate::{App, AppError, allow};

/// Matured traffic and money of one variant.
#[derive(Debug, Clone, Serialize)]
pub struct VariantValue {
    /// Champion or holdout.
    pub variant: Variant,
    /// Matured units.
    pub units: i64,
    /// Units with a positive outcome.
    pub positives: i64,
    /// Money as the value model counts it.
    pub gross: Figure,
}

/// The ledger of one endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerView {
    /// Endpoint.
    pub endpoint: String,
    /// Its initiative.
    pub initiative: String,
    /// Money as the value model counts it, all variants.
    pub gross: Figure,
    /// Against the holdout, by randomised assignment; absent before anything was randomised.
    pub incremental: Option<Figure>,
    /// Level of its confidence sequence.
    pub level: f64,
    /// Units that were randomised and have matured.
    pub randomised: u64,
    /// What it cost; not negative.
    pub cost: Figure,
    /// Incremental less cost.
    pub net: Option<Figure>,
    /// By variant.
    pub variants: Vec<VariantValue>,
    /// Incremental money at the pace of the newest matured weeks; absent before there is a whole one.
    pub run_rate: Option<RunRate>,
    /// Predictions with an event time before this are settled.
    pub settled_until: Option<Micros>,
    /// Event time of the first settled day.
    pub since: Option<Micros>,
    /// Predictions that have matured.
    pub matured: u64,
    /// Predictions that decided about a unit, matured or not.
    pub predictions: u64,
    /// The business case in force, with its name.
    pub business_case: Option<(String, BusinessCaseSpec)>,
    /// Forecast beside actual by day.
    pub forecast: Vec<ForecastPoint>,
    /// What the value model assumes; shown wherever a figure appears.
    pub assumptions: Vec<String>,
    /// Which money.
    pub currency: Currency,
}

/// The ledger of an endpoint.
pub async fn of_endpoint(app: &App, actor: &Actor, endpoint: &str) -> Result<LedgerView, AppError> {
    allow(actor, Action::Read)?;
    let missing = || AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'");
    let mut connection = app.store.read().await?;
    let spec = greenlight_store::endpoint::get(&mut connection, endpoint).await?.ok_or_else(missing)?;
    let cursor = greenlight_store::endpoint::cursor(&mut connection, endpoint).await?.ok_or_else(missing)?;
    let initiative = greenlight_store::initiative::get(&mut connection, &spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &spec.initiative, ""))?;
    let policy = policy_of(&mut connection, &spec.policy).await?.rollout;
    let rows = greenlight_store::ledger::statistics(&mut connection, endpoint, None).await?;
    let totals = greenlight_store::ledger::totals(&mut connection, endpoint).await?;
    let business_case = greenlight_store::business_case::newest(&mut connection, &spec.initiative).await?;
    drop(connection);
    let traffic = app.lake.traffic(endpoint, None).await?;
    let currency = initiative.value.currency;
    let sum = |kind: PostingKind| totals.iter().filter(|t| t.0 == kind).map(|t| t.2).sum::<i64>();
    let cost = -sum(PostingKind::Cost);
    let moments = moments_of(&rows);
    let incremental = earned_total(&moments, policy.alpha, policy.tuned_for_units)?
        .map(|interval| Figure::estimated(interval, Grade::A, currency));
    let net = incremental.map(|figure| Figure {
        minor: figure.minor - cost as f64,
        low_minor: figure.low_minor.map(|low| low - cost as f64),
        high_minor: figure.high_minor.map(|high| high - cost as f64),
        // A difference is known only as well as the worse of its two parts: the cost is asserted.
        grade: Grade::D,
        ..figure
    });
    let days: Vec<DayStatistics> = rows.iter().map(|row| row.statistics.clone()).collect();
    Ok(LedgerView {
        gross: Figure::counted(sum(PostingKind::Gross), Grade::A, currency),
        incremental,
        level: 1.0 - policy.alpha,
        randomised: moments.n,
        cost: Figure::counted(cost, Grade::D, currency),
        net,
        variants: by_variant(&rows, currency),
        run_rate: run_rate(&days, cursor.settled_until, policy.alpha, currency),
        settled_until: (cursor.settled_until > Micros(0)).then_some(cursor.settled_until),
        since: rows.first().map(|r| Micros::from_day(r.statistics.day)),
        matured: rows.iter().map(|r| r.statistics.units.max(0) as u64).sum(),
        predictions: traffic.iter().map(|t| t.predictions).sum(),
        forecast: forecast(business_case.as_ref(), &rows, &policy)?,
        business_case,
        assumptions: initiative.value.assumptions,
        currency,
        initiative: spec.initiative,
        endpoint: endpoint.to_owned(),
    })
}

fn by_variant(rows: &[StatisticRow], currency: Currency) -> Vec<VariantValue> {
    [Variant::Champion, Variant::Challenger, Variant::Holdout]
        .into_iter()
        .map(|variant| {
            let mine = || rows.iter().filter(move |r| r.variant == variant).map(|r| &r.statistics);
            VariantValue {
                variant,
                units: mine().map(|s| s.units).sum(),
                positives: mine().map(|s| s.positives).sum(),
                gross: Figure::counted(mine().map(|s| s.gross_minor).sum(), Grade::A, currency),
            }
        })
        .collect()
}

fn forecast(
    business_case: Option<&(String, BusinessCaseSpec)>,
    rows: &[StatisticRow],
    policy: &RolloutPolicy,
) -> Result<Vec<ForecastPoint>, AppError> {
    let Some((_, case)) = business_case else {
        return Ok(Vec::new());
    };
    let mut days: BTreeMap<i32, DayStatistics> = BTreeMap::new();
    for row in rows {
        let day = row.statistics.day;
        days.entry(day)
            .or_insert_with(|| DayStatistics { day, ..DayStatistics::default() })
            .add(&row.statistics);
    }
    let days: Vec<DayStatistics> = days.into_values().collect();
    Ok(forecast_against_actual(case, &days, policy.alpha, policy.tuned_for_units)?)
}
