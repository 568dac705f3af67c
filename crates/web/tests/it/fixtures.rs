//! Views made by hand, shared with `examples/gallery.rs`. The figures are invented and plausible, nothing more.

use greenlight_app::ab_test::AbTestView;
use greenlight_app::endpoint::{EndpointLine, EndpointView};
use greenlight_app::initiative::InitiativeView;
use greenlight_app::lake::TrafficRow;
use greenlight_app::ledger::{LedgerView, VariantValue};
use greenlight_app::release::ReleaseView;
use greenlight_app::value_version::{EndpointValue, ValueHistory};
use greenlight_domain::ab_test::Cell;
use greenlight_domain::business_case::{BusinessCaseSpec, Effect};
use greenlight_domain::cost::CostLine;
use greenlight_domain::endpoint::{EndpointSpec, HoldoutRule};
use greenlight_domain::evidence::{Check, Gate, GateResult, Grade};
use greenlight_domain::frame::Field;
use greenlight_domain::gate::history::MonthFigures;
use greenlight_domain::initiative::{InitiativeSpec, OutcomeMetric};
use greenlight_domain::ledger::{DayStatistics, Figure, ForecastPoint, RunRate};
use greenlight_domain::money::{Amount, Currency};
use greenlight_domain::policy::{
    AdvanceWhen, ApprovalPolicy, HistoryPolicy, PolicySpec, RolloutPolicy, RolloutStep, ShadowPolicy,
};
use greenlight_domain::prediction::Variant;
use greenlight_domain::release::{Approval, Release, Stage};
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::route::{RoutedModel, Routes};
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::{Period, ValueModelSpec};
use greenlight_store::evidence::Evidence;
use greenlight_store::route::RouteChange;
use greenlight_store::value_version::{Restatement, ValueVersion};

/// 2009-05-04, in days since the epoch.
pub(crate) const FIRST_DAY: i32 = 14_368;
pub(crate) const EUR: Currency = Currency::EUR;

pub(crate) fn day(after: i32) -> Micros {
    Micros::from_day(FIRST_DAY + after)
}

pub(crate) fn actor(name: &str, role: Role) -> Actor {
    Actor { name: name.to_owned(), role }
}

pub(crate) fn figure(minor: f64, low: f64, high: f64, grade: Grade) -> Figure {
    Figure { minor, low_minor: Some(low), high_minor: Some(high), grade, currency: EUR }
}

/// Business days over about a year: losses at first, then a steady gain.
pub(crate) fn forecast(days: i32) -> Vec<ForecastPoint> {
    (1..=days)
        .map(|n| {
            let t = f64::from(n);
            let earned = 5_200.0 * t + 60_000.0 * (t / 23.0).sin() - 90_000.0 * (1.0 - (-t / 20.0).exp());
            let half = 95_000.0 * (t + 6.0).sqrt();
            ForecastPoint {
                at: day(n),
                forecast_minor: [2_000.0 * t, 6_000.0 * t, 11_000.0 * t],
                earned_minor: Some(earned),
                earned_low_minor: (n > 1).then_some(earned - half),
                earned_high_minor: (n > 1).then_some(earned + half),
            }
        })
        .collect()
}

pub(crate) fn business_case() -> BusinessCaseSpec {
    BusinessCaseSpec {
        initiative: "term-deposits".into(),
        dated: day(-180),
        starts: day(0),
        horizon_days: 540,
        effect: Effect::Saving,
        low: Amount(1_000_000),
        expected: Amount(3_200_000),
        high: Amount(6_000_000),
        drivers: vec![
            "A call costs €5 in agent time.".into(),
            "About one client in nine subscribes when called.".into(),
        ],
    }
}

pub(crate) fn ledger(earned: Option<Figure>) -> LedgerView {
    let cost = Figure::counted(423_598, Grade::D, EUR);
    let shift = |f: Figure| {
        figure(
            f.minor - cost.minor,
            f.low_minor.unwrap_or(f.minor) - cost.minor,
            f.high_minor.unwrap_or(f.minor) - cost.minor,
            Grade::A,
        )
    };
    let variant = |variant, units, positives, gross| VariantValue {
        variant,
        units,
        positives,
        gross: Figure::counted(gross, Grade::A, EUR),
    };
    let rate = |by: f64| {
        earned.map(|f| Figure {
            minor: f.minor * by,
            low_minor: f.low_minor.map(|low| low * by),
            high_minor: f.high_minor.map(|high| high * by),
            ..f
        })
    };
    LedgerView {
        run_rate: rate(6.0).zip(rate(0.5)).map(|(annual, monthly)| RunRate {
            annual,
            monthly,
            days: 28,
            from: day(30),
            until: day(58),
            level: 0.95,
        }),
        endpoint: "calls".into(),
        initiative: "term-deposits".into(),
        gross: Figure::counted(12_345_678, Grade::A, EUR),
        incremental: earned,
        level: 0.95,
        randomised: 18_204,
        cost,
        net: earned.map(shift),
        variants: vec![
            variant(Variant::Champion, 16_380, 2_104, 11_900_212),
            variant(Variant::Holdout, 1_824, 181, -445_466),
        ],
        settled_until: Some(day(340)),
        since: Some(day(0)),
        matured: 18_204,
        predictions: 19_377,
        business_case: Some(("term-deposits-2008".into(), business_case())),
        forecast: if earned.is_some() { forecast(340) } else { vec![] },
        assumptions: assumptions(),
        currency: EUR,
    }
}

fn assumptions() -> Vec<String> {
    vec![
        "A deposit is a quarter of the yearly balance and stays one year.".into(),
        "A client without money on the account brings nothing.".into(),
    ]
}

pub(crate) fn initiative(title: &str, earned: Option<Figure>) -> InitiativeView {
    InitiativeView {
        name: "term-deposits".into(),
        stage: if earned.is_some() { "live" } else { "framed" },
        spec: InitiativeSpec {
            title: title.into(),
            problem:
                "Agents call every client on the list. Eight calls in nine lead nowhere, cost €5 each, and \
                      annoy people who never asked to be called."
                    .into(),
            owner: "Dana Okafor".into(),
            metric: OutcomeMetric {
                name: "Subscriptions per hundred calls".into(),
                unit: "subscriptions".into(),
                baseline: 11.3,
                target: 20.0,
                target_date: day(600),
            },
            value: ValueModelSpec {
                expression: "CASE WHEN decision = 'call'\n  THEN outcomes.subscribed * 0.0246333 * 0.25 * \
                             greatest(features.balance, 0) - 5\n  ELSE 0 END"
                    .into(),
                currency: EUR,
                assumptions: assumptions(),
                outcome: "subscribed".into(),
                decisions: vec!["skip".into(), "call".into()],
                window_days: 7,
            },
            costs: vec![
                CostLine {
                    name: "Analyst, one day a week".into(),
                    per_month: Amount(120_000),
                    per_thousand_predictions: Amount(0),
                },
                CostLine {
                    name: "Serving".into(),
                    per_month: Amount(0),
                    per_thousand_predictions: Amount(40),
                },
            ],
        },
        business_case: Some(("term-deposits-2008".into(), business_case())),
        ledgers: vec![ledger(earned)],
        releases: vec![release("calls.3", Stage::Live), release("calls.2", Stage::Stopped)],
    }
}

pub(crate) fn release(id: &str, stage: Stage) -> Release {
    let reason = match stage {
        Stage::Stopped => Some("contract gate: every feature is known before the decision: duration is known only after the decision (leak)".into()),
        Stage::Live => Some("proven at 90 %: earned €17,320 (€2,510 to €32,130)".into()),
        _ => None,
    };
    Release {
        id: id.into(),
        endpoint: "calls".into(),
        model: "deposit-propensity".into(),
        model_version: 3,
        policy: "money-gates@1".into(),
        author: "sam".into(),
        stage,
        step: u32::from(stage == Stage::Live) * 2 + u32::from(stage == Stage::Rollout),
        step_since: stage.serves().then(|| day(40)),
        reason,
        submitted_at: day(-20),
        value_version: 1,
    }
}

pub(crate) fn policy() -> PolicySpec {
    let step = |percent, min_matured, advance_when| RolloutStep { percent, min_matured, advance_when };
    PolicySpec {
        description: "For models that decide about people's time.".into(),
        history: HistoryPolicy {
            months: 6,
            min_auc: 0.65,
            min_observed_over_expected: 0.5,
            max_observed_over_expected: 2.0,
            min_value_against_holdout: Amount(0),
            min_value_against_idle: Amount(0),
            min_months_ahead: 4,
            resamples: 2_000,
            level: 0.95,
            seed: 7,
        },
        shadow: ShadowPolicy {
            min_predictions: 500,
            max_p99_latency_ms: 20.0,
            max_error_share: 0.001,
            max_drift_psi: 0.25,
        },
        approvals: ApprovalPolicy { count: 2 },
        rollout: RolloutPolicy {
            steps: vec![
                step(10, 500, AdvanceWhen::NoHarm),
                step(50, 2_000, AdvanceWhen::NoHarm),
                step(90, 5_000, AdvanceWhen::Proven),
            ],
            alpha: 0.05,
            tuned_for_units: 5_000.0,
            max_error_share: 0.01,
            max_p99_latency_ms: 20.0,
        },
    }
}

pub(crate) fn month(name: &str, gain: f64) -> MonthFigures {
    MonthFigures {
        month: name.into(),
        rows: 1_204,
        observed: 0.113,
        expected: 0.121,
        auc: Some(0.742),
        brier: 0.091,
        model_minor: 310_000.0 + gain,
        holdout_minor: 310_000.0,
        gain_minor: gain,
        gain_low_minor: gain - 140_000.0,
        gain_high_minor: gain + 155_000.0,
        over_idle_minor: 310_000.0 + gain,
        over_idle_low_minor: 120_000.0,
        disagreement: 0.41,
    }
}

pub(crate) fn months() -> Vec<MonthFigures> {
    let gains = [180_000.0, 260_000.0, -40_000.0, 310_000.0, 95_000.0, 220_000.0];
    (1..).zip(gains).map(|(n, gain)| month(&format!("2008-{:02}", n + 4), gain)).collect()
}

pub(crate) fn evidence(gate: Gate, checks: Vec<Check>, detail: serde_json::Value) -> Evidence {
    let result = GateResult::gather(gate, "all met".into(), checks, detail);
    let digest = result.digest();
    Evidence { id: format!("{gate}-1"), result, digest, at: day(-19), actor: "sam".into() }
}

pub(crate) fn all_evidence() -> Vec<Evidence> {
    let history = serde_json::json!({
        "months": months(), "all": MonthFigures { rows: 7_224, ..month("all", 1_025_000.0) }, "grade": "C",
        "level": 0.95, "resamples": 2_000, "seed": 7, "currency": "EUR",
    });
    let shadow = serde_json::json!({
        "predictions": 812, "errors": 0, "dropped": 0, "disagreement": 0.43, "p50_latency_us": 41.0,
        "p99_latency_us": 183.0, "drift_psi": 0.13,
        "score_counts": [61, 74, 70, 95, 88, 79, 82, 99, 80, 84],
        "training_counts": [300, 300, 300, 300, 300, 300, 300, 300, 300, 300],
    });
    vec![
        evidence(
            Gate::Contract,
            vec![
                Check::new(
                    "every feature is known before the decision",
                    "15 features, all known before",
                    true,
                ),
                Check::new("the endpoint carries every feature with its type", "all carried", true),
                Check::new(
                    "training ends before the test window begins",
                    "trained until 2008-10-01, tested from 2008-11-01",
                    true,
                ),
            ],
            serde_json::json!({ "leaks": [], "missing": [] }),
        ),
        evidence(
            Gate::History,
            vec![
                Check::new("6 months of history after training", "6 months", true),
                Check::new("AUC at least 0.65", "0.742", true),
                Check::new(
                    "value against the holdout rule surely above €0",
                    "€10,250 (€8,850 to €11,800, 95 % bootstrap interval, grade C)",
                    true,
                ),
                Check::new("ahead of the holdout rule in at least 4 months", "5 of 6", true),
            ],
            history,
        ),
        evidence(
            Gate::Shadow,
            vec![
                Check::new("at least 500 mirrored predictions", "812", true),
                Check::new("p99 of scoring at most 20 ms", "0.183 ms", true),
                Check::new("score drift (PSI) at most 0.25", "0.13", true),
            ],
            shadow,
        ),
    ]
}

pub(crate) fn release_view(stage: Stage) -> ReleaseView {
    let approval = |actor: &str, comment: &str, at| Approval {
        actor: actor.into(),
        approved: true,
        comment: comment.into(),
        at,
    };
    let mut approvals = vec![approval("ada", "The gain is worth the calls we no longer make.", day(-3))];
    if stage != Stage::AwaitingApproval {
        approvals.push(approval("bo", "", day(-2)));
    }
    let view = ReleaseView {
        release: release("calls.3", stage),
        policy_spec: policy(),
        evidence: all_evidence(),
        approvals,
        percent: match stage {
            Stage::Rollout => 50,
            Stage::Live => 90,
            _ => 0,
        },
    };
    if stage != Stage::Stopped {
        return view;
    }
    let checks = vec![
        Check::new(
            "every feature is known before the decision",
            "duration is known only after the decision (leak)",
            false,
        ),
        Check::new("the endpoint carries every feature with its type", "all carried", true),
    ];
    let leak = evidence(Gate::Contract, checks, serde_json::json!({ "leaks": ["duration"], "missing": [] }));
    ReleaseView { evidence: vec![leak], approvals: vec![], ..view }
}

pub(crate) fn routes() -> Routes {
    let model = |release: &str, version| RoutedModel {
        release: release.into(),
        model: "deposit-propensity".into(),
        version,
    };
    Routes {
        version: 7,
        champion: Some(model("calls.3", 3)),
        champion_percent: 90,
        shadows: vec![model("calls.4", 4)],
        ..Routes::default()
    }
}

pub(crate) fn endpoint_line() -> EndpointLine {
    EndpointLine { name: "calls".into(), initiative: "term-deposits".into(), routes: routes() }
}

pub(crate) fn endpoint() -> EndpointView {
    let traffic = |variant, predictions, errors, p50_latency_us, p99_latency_us| TrafficRow {
        variant,
        predictions,
        errors,
        p50_latency_us,
        p99_latency_us,
        newest: day(347),
    };
    let change = |version, at, reason: &str, champion_percent, shadow: bool| RouteChange {
        routes: Routes {
            version,
            champion: (champion_percent > 0).then(|| routes().champion).flatten(),
            champion_percent,
            shadows: if shadow { routes().shadows } else { vec![] },
            ..Routes::default()
        },
        at,
        actor: "greenlight".into(),
        reason: reason.into(),
    };
    EndpointView {
        name: "calls".into(),
        spec: EndpointSpec {
            assignment: greenlight_domain::assignment::AssignmentSpec::default(),
            decision: greenlight_domain::decision::DecisionSpec::default(),
            log: greenlight_domain::log::LogSpec::default(),
            initiative: "term-deposits".into(),
            dataset: "bank@1".into(),
            policy: "money-gates@1".into(),
            unit: "client".into(),
            event_time: Some("contacted_at".into()),
            holdout: HoldoutRule { title: "Call everyone on the list".into(), decision: "call".into() },
        },
        routes: routes(),
        history: vec![
            change(7, day(330), "release.shadow", 90, true),
            change(6, day(60), "rollout.advance", 90, false),
            change(5, day(30), "rollout.advance", 50, false),
            change(4, day(2), "rollout started", 10, false),
            change(3, day(-10), "shadow judged", 0, false),
        ],
        traffic: vec![
            traffic(Variant::Champion, 17_420, 2, 38.0, 171.0),
            traffic(Variant::Holdout, 1_957, 0, 37.0, 168.0),
            traffic(Variant::Shadow, 402, 0, 52.0, 240.0),
        ],
        ledger: ledger(Some(figure(1_732_000.0, 251_000.0, 3_213_000.0, Grade::A))),
        releases: vec![
            release("calls.4", Stage::Shadow),
            release("calls.3", Stage::Live),
            release("calls.2", Stage::Stopped),
        ],
        request: vec![
            Field::number("age"),
            Field::number("balance"),
            Field::text("job"),
            Field::text("poutcome"),
        ],
    }
}

/// A test of sixty days: each day half of 80 units are treated and earn `effect` minor units more; of the treated, `lost` a
/// day never arrived.
#[expect(clippy::expect_used, reason = "a fixture has nobody to answer to")]
pub(crate) fn ab_test(effect: f64, lost: i64) -> AbTestView {
    let mut cells = Vec::new();
    for after in 0..60 {
        let wave = f64::from(after % 7 - 3) * 40.0;
        for (variant, units, mean) in
            [(Variant::Champion, 40 - lost, effect + wave), (Variant::Holdout, 40, -wave)]
        {
            let n = units as f64;
            // Money of one unit spreads by €9 around its mean.
            let squares = n * (mean * mean + 810_000.0);
            let side = if variant == Variant::Champion { 1.0 } else { -1.0 };
            cells.push(Cell {
                variant,
                champion_percent: 50,
                statistics: DayStatistics {
                    day: FIRST_DAY + after,
                    units,
                    positives: units / 5,
                    gross_minor: (n * mean) as i64,
                    value_sum_squares: squares,
                    randomised: units,
                    earned_sum: side * n * mean,
                    earned_sum_squares: squares,
                    ..DayStatistics::default()
                },
            });
        }
    }
    AbTestView {
        release: "calls.3".into(),
        model: "calls-boosted@2".into(),
        endpoint: "calls".into(),
        stage: Stage::Rollout,
        holdout: "call everyone".into(),
        currency: EUR,
        grade: Grade::A,
        level: 0.95,
        settled_until: Some(day(60)),
        predictions: 5_360,
        readout: greenlight_domain::ab_test::read(&cells, &policy().rollout).expect("a sound policy"),
    }
}

/// The history of a value model whose versions count by those expressions; the newest has restated something.
pub(crate) fn value_history(expressions: &[&str]) -> ValueHistory {
    let version = |(index, expression): (usize, &&str)| ValueVersion {
        version: index as i64 + 1,
        spec: ValueModelSpec {
            expression: (*expression).to_owned(),
            ..initiative("Fewer calls", None).spec.value
        },
        created_at: day(index as i32 * 30),
        created_by: "Marta Nunes".into(),
    };
    let restatement = Restatement {
        settle_run: 12,
        version: expressions.len() as i64,
        from: day(0),
        until: day(28),
        reason: "the margin was too high".into(),
        gross_change_minor: -123_456,
        incremental_change_minor: -98_765,
        at: day(31),
        by: "olga".into(),
    };
    let endpoint = EndpointValue {
        endpoint: "calls".into(),
        periods: vec![Period { from: day(30), version: expressions.len() as i64 }],
        decides_by: 1,
        restatements: if expressions.len() > 1 { vec![restatement] } else { Vec::new() },
    };
    ValueHistory {
        initiative: "calls".into(),
        versions: expressions.iter().enumerate().map(version).collect(),
        endpoints: vec![endpoint],
    }
}
