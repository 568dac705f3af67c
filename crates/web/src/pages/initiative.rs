//! One initiative: what has it earned, against what was forecast, and on which assumptions?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::initiative::{InitiativeView, view as find};
use greenlight_app::value_version::{self, ValueHistory};
use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::{Figure, ForecastPoint};
use greenlight_domain::money::Currency;
use greenlight_domain::role::Actor;
use greenlight_domain::time::Micros;
use maud::{Markup, html};

use super::initiative_case;
use crate::chart::forecast;
use crate::components::figure::{figure, figure_or_none, sum, verdict};
use crate::components::number::{count, counted, matured_share};
use crate::components::{date, empty, release_table, stage, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/initiatives/{name}", get(show))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Path(name): Path<String>) -> Response {
    let found = async {
        let view = find(&app, &actor, &name).await?;
        let history = value_version::history(&app, &actor, &name).await?;
        Ok((view, history))
    };
    answer(&actor, found.await.map(|(view, history)| page(&view, &history, &actor)))
}

/// The money of an initiative over all its endpoints.
pub(crate) struct Money {
    pub(crate) earned: Option<Figure>,
    pub(crate) net: Option<Figure>,
    pub(crate) cost: Option<Figure>,
    pub(crate) gross: Option<Figure>,
    /// What the business case expected until the newest settled day.
    pub(crate) forecast: Option<Figure>,
    /// Level at which `earned` holds.
    pub(crate) level: f64,
    pub(crate) randomised: u64,
    pub(crate) matured: u64,
    pub(crate) predictions: u64,
    /// What a year at the newest pace is worth, and a month.
    pub(crate) annual: Option<Figure>,
    pub(crate) monthly: Option<Figure>,
    pub(crate) settled_until: Option<Micros>,
    pub(crate) currency: Currency,
}

impl Money {
    /// Adds up the ledgers of the endpoints.
    pub(crate) fn of(view: &InitiativeView) -> Self {
        let gather = |pick: fn(&greenlight_app::ledger::LedgerView) -> Option<Figure>| {
            sum(&view.ledgers.iter().filter_map(pick).collect::<Vec<_>>())
        };
        let currency = view.spec.value.currency;
        let newest = view.ledgers.iter().filter_map(|l| l.forecast.last()).max_by_key(|p| p.at);
        let missed: f64 =
            view.ledgers.iter().filter(|l| l.incremental.is_some()).map(|l| 1.0 - l.level).sum();
        Self {
            earned: gather(|l| l.incremental),
            net: gather(|l| l.net),
            cost: gather(|l| Some(l.cost)),
            gross: gather(|l| Some(l.gross)),
            annual: gather(|l| l.run_rate.map(|rate| rate.annual)),
            monthly: gather(|l| l.run_rate.map(|rate| rate.monthly)),
            forecast: newest.map(|p| Figure {
                minor: p.forecast_minor[1],
                low_minor: Some(p.forecast_minor[0]),
                high_minor: Some(p.forecast_minor[2]),
                grade: Grade::D,
                currency,
            }),
            level: (1.0 - missed).max(0.0),
            randomised: view.ledgers.iter().map(|l| l.randomised).sum(),
            matured: view.ledgers.iter().map(|l| l.matured).sum(),
            predictions: view.ledgers.iter().map(|l| l.predictions).sum(),
            settled_until: view.ledgers.iter().filter_map(|l| l.settled_until).min(),
            currency,
        }
    }
}

/// The page.
pub fn page(view: &InitiativeView, history: &ValueHistory, actor: &Actor) -> Markup {
    let money = Money::of(view);
    let title = format!("What has “{}” earned?", view.spec.title);
    let body = html! {
        p.eyebrow { "Initiative · " (view.spec.owner) " " (stage::initiative_badge(view.stage)) }
        h1 { (title) }
        (headline(&money))
        (forecast_chart(view, &money))
        (figures(&money))
        div.columns {
            (initiative_case::problem(view))
            (initiative_case::business_case(view))
        }
        (initiative_case::value(view, history))
        (initiative_case::costs(view))
        p { a href={ "/hypotheses?initiative=" (percent_encoded(&view.name)) } { "What we believe here, and what was found" } }
        section {
            h2 { "Endpoints" }
            @if view.ledgers.is_empty() {
                (empty("No endpoint counts towards this initiative yet. Describe one and apply it:",
                    "greenlight apply -f DIR"))
            } @else {
                ul.links {
                    @for ledger in &view.ledgers {
                        li { a href={ "/endpoints/" (ledger.endpoint) } { (ledger.endpoint) } }
                    }
                }
            }
        }
        section {
            h2 { "Releases" }
            @if view.releases.is_empty() {
                p.none { "Nothing has been submitted for release yet." }
            } @else { (release_table(&view.releases)) }
        }
    };
    layout::page(&title, Section::Initiatives, Some(actor), body)
}

fn headline(money: &Money) -> Markup {
    let (tone, sentence) = verdict(money.earned.as_ref(), money.level, money.randomised);
    html! {
        section.answer-block aria-label="The answer" {
            @match &money.earned {
                Some(earned) => p.answer { "Earned " (figure(earned)) },
                None => p.answer { "Nothing earned yet" },
            }
            p class={ "verdict " (tone.class()) } { (sentence) }
        }
    }
}

fn forecast_chart(view: &InitiativeView, money: &Money) -> Markup {
    let points = merged(view);
    let case = view.business_case.as_ref().map_or("", |(name, _)| name.as_str());
    html! {
        @if points.is_empty() {
            p.none {
                @if view.business_case.is_none() {
                    "There is no business case, so there is no forecast to compare with."
                } @else {
                    "No day has been settled yet, so there is nothing to set beside the forecast."
                }
            }
        } @else { (forecast::chart(&points, money.currency, money.level, case)) }
    }
}

/// Forecast and actual over all endpoints: on each day the newest known figures of each are added.
fn merged(view: &InitiativeView) -> Vec<ForecastPoint> {
    if let [only] = view.ledgers.as_slice() {
        return only.forecast.clone();
    }
    let days: BTreeSet<Micros> = view.ledgers.iter().flat_map(|l| l.forecast.iter().map(|p| p.at)).collect();
    let mut newest: BTreeMap<usize, ForecastPoint> = BTreeMap::new();
    let mut points = Vec::with_capacity(days.len());
    for at in days {
        let mut forecast_minor = [0.0; 3];
        for (index, ledger) in view.ledgers.iter().enumerate() {
            if let Ok(found) = ledger.forecast.binary_search_by_key(&at, |p| p.at) {
                forecast_minor = ledger.forecast[found].forecast_minor;
                newest.insert(index, ledger.forecast[found]);
            }
        }
        let add =
            |pick: fn(&ForecastPoint) -> Option<f64>| newest.values().filter_map(pick).reduce(|a, b| a + b);
        points.push(ForecastPoint {
            at,
            forecast_minor,
            earned_minor: add(|p| p.earned_minor),
            earned_low_minor: add(|p| p.earned_low_minor),
            earned_high_minor: add(|p| p.earned_high_minor),
        });
    }
    points
}

fn run_rate(pace: Option<&Figure>) -> Markup {
    html! {
        (figure_or_none(pace, "not before a matured week"))
        @if pace.is_some() { span.small.muted { "at the pace of the newest matured weeks" } }
    }
}

fn figures(money: &Money) -> Markup {
    let matured = html! {
        (matured_share(money.matured, money.predictions))
        span.small.muted { (count(money.matured.cast_signed())) " of "
            (counted(money.predictions, "prediction", "predictions")) }
    };
    let settled = html! {
        @match money.settled_until {
            Some(until) => { (date(until)) span.small.muted { "later days have not matured and are not counted" } },
            None => span.none { "nothing yet" },
        }
    };
    tiles(&[
        ("Forecast so far", figure_or_none(money.forecast.as_ref(), "no settled day yet")),
        ("Cost so far", figure_or_none(money.cost.as_ref(), "none yet")),
        ("A year at this pace (ARR)", run_rate(money.annual.as_ref())),
        ("A month at this pace (MRR)", run_rate(money.monthly.as_ref())),
        ("Earned after cost", figure_or_none(money.net.as_ref(), "not known yet")),
        ("Gross, all variants", figure_or_none(money.gross.as_ref(), "nothing yet")),
        ("Matured", matured),
        ("Settled until", settled),
    ])
}
