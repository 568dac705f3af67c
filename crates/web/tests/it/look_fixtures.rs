//! Views of an endpoint's log, made by hand, shared with `examples/gallery.rs`. Invented and plausible.

use greenlight_app::drift::{Bin, ColumnDrift, DriftView, Movement, Side};
use greenlight_app::explain::{Contribution, DecisionWorth, Sampling, ScoreExplanation, Tried, TryForm};
use greenlight_app::lake::log::{
    Disagreement, Disagreements, LogExtent, LogRow, LoggedOutcome, TrafficBucket, Window,
};
use greenlight_app::prediction::{LogPage, LogQuery, PredictionView};
use greenlight_app::traffic::{DisagreementView, TrafficView};
use greenlight_app::valuation::Worth;
use greenlight_domain::evidence::Grade;
use greenlight_domain::frame::Field;
use greenlight_domain::ledger::Figure;
use greenlight_domain::prediction::PredictionId;
use serde_json::{Value, json};

use crate::fixtures::{EUR, day};

pub(crate) fn id(last: char) -> PredictionId {
    format!("0120fb4e-8c00-7000-8000-00000000000{last}").parse().unwrap()
}

fn week() -> Window {
    Window { from: day(340), until: day(347) }
}

fn extent() -> LogExtent {
    LogExtent { oldest: day(0), newest: day(347), predictions: 19_779 }
}

pub(crate) fn traffic() -> TrafficView {
    let bucket = |hour: i32, variant: &str, predictions, errors, p50, p99| TrafficBucket {
        at: greenlight_domain::time::Micros(week().from.0 + i64::from(hour) * 3_600_000_000),
        variant: variant.into(),
        predictions,
        errors,
        p50_latency_us: p50,
        p99_latency_us: p99,
    };
    let buckets = (0..56)
        .filter(|n| !(30..34).contains(n))
        .flat_map(|n| {
            let busy = 20 + u64::from(n as u32 * 7 % 23);
            let slow = f64::from(n * 5 % 17);
            [
                bucket(n * 3, "champion", busy, u64::from(n == 12), 38.0 + slow, 160.0 + slow * 4.0),
                bucket(n * 3, "holdout", busy / 9, 0, 0.0, 0.0),
                bucket(n * 3, "shadow", busy - 1, 0, 50.0 + slow, 230.0 + slow),
            ]
        })
        .collect();
    TrafficView {
        endpoint: "calls".into(),
        window: Some(week()),
        extent: Some(extent()),
        bucket_seconds: 3 * 3_600,
        buckets,
    }
}

pub(crate) fn column(name: &str, psi: f64, movement: Movement) -> ColumnDrift {
    let bin = |label: &str, reference, current| Bin { label: label.into(), reference, current };
    ColumnDrift {
        name: name.into(),
        psi,
        by_chance: 0.031,
        movement,
        bins: vec![
            bin("up to −1.8", 400, 90),
            bin("−1.8 to 1.1", 400, 260),
            bin("above 1.1", 400, 40),
            bin("missing", 0, 12),
        ],
    }
}

pub(crate) fn drift() -> DriftView {
    let side = |from, until, predictions, sampled| Side {
        window: Window { from: day(from), until: day(until) },
        predictions,
        sampled,
    };
    DriftView {
        endpoint: "calls".into(),
        reference: Some(side(0, 28, 5_210, 4_012)),
        current: Some(side(340, 347, 402, 402)),
        features: vec![
            column("emp.var.rate", 0.84, Movement::Moved),
            column("contact", 0.14, Movement::Moving),
            column("age", 0.02, Movement::Stable),
        ],
        score: Some(column("score", 0.13, Movement::Moving)),
        model: Some("deposit-propensity@3".into()),
    }
}

pub(crate) fn disagreements() -> DisagreementView {
    let pair = |last, live: Option<f64>, shadow, live_decision: &str, shadow_decision: &str| Disagreement {
        id: id(last),
        at: day(346),
        unit: format!("client-{last}"),
        live_model: live.map(|_| "deposit-propensity@3".into()),
        live_probability: live,
        live_decision: live_decision.into(),
        shadow_model: Some("deposit-propensity@4".into()),
        shadow_probability: Some(shadow),
        shadow_decision: shadow_decision.into(),
    };
    DisagreementView {
        endpoint: "calls".into(),
        window: Some(week()),
        shadows: vec!["deposit-propensity@4".into()],
        found: Some(Disagreements {
            compared: 402,
            decisions_differ: 31,
            mean_difference: Some(0.041),
            top: vec![
                pair('1', Some(0.62), 0.11, "call", "skip"),
                pair('2', Some(0.07), 0.41, "skip", "call"),
                pair('3', None, 0.33, "skip", "call"),
            ],
        }),
    }
}

pub(crate) fn log_row(last: char) -> LogRow {
    LogRow {
        id: id(last),
        at: day(346),
        unit: format!("client-{last}"),
        variant: "champion".into(),
        propensity: Some(0.9),
        release: Some("calls.3".into()),
        model: Some("deposit-propensity@3".into()),
        probability: Some(0.4271),
        decision: "call".into(),
        champion_decision: Some("call".into()),
        mirrors: None,
        latency_us: 41,
        error: None,
    }
}

pub(crate) fn log() -> LogPage {
    let failed = LogRow {
        probability: None,
        error: Some("row 0 scored NaN".into()),
        variant: "champion".into(),
        ..log_row('2')
    };
    let holdout =
        LogRow { variant: "holdout".into(), probability: None, model: None, latency_us: 0, ..log_row('3') };
    LogPage {
        endpoint: "calls".into(),
        window: Some(week()),
        extent: Some(extent()),
        rows: vec![log_row('1'), failed, holdout],
        next: Some(format!("{}_{}", day(346).0, id('3'))),
        decisions: vec!["skip".into(), "call".into()],
        query: LogQuery { decision: "call".into(), ..LogQuery::default() },
    }
}

fn features() -> Vec<(String, Value)> {
    let named = [
        ("age", json!(41)),
        ("balance", json!(1_270.5)),
        ("job", json!("admin.")),
        ("poutcome", json!(null)),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(crate) fn prediction() -> PredictionView {
    PredictionView {
        endpoint: "calls".into(),
        row: log_row('1'),
        more: vec![("champion_propensity".into(), "0.9".into()), ("route_version".into(), "7".into())],
        features: features(),
        outcomes: vec![LoggedOutcome { name: "subscribed".into(), value: 1.0, at: day(349) }],
        settled: Some(Worth { value_minor: 282, earned_minor: Some(31.0), positive: true }),
        mirrors: vec![LogRow { variant: "shadow".into(), mirrors: Some(id('1')), ..log_row('9') }],
        currency: EUR,
    }
}

pub(crate) fn form() -> TryForm {
    TryForm {
        endpoint: "calls".into(),
        fields: vec![
            Field::number("age"),
            Field::number("balance"),
            Field::text("job"),
            Field::text("poutcome"),
        ],
        row: features(),
        source: "prediction of 2010-04-15".into(),
        models: vec!["deposit-propensity@3".into(), "deposit-propensity@4".into()],
    }
}

/// Contributions of halves and quarters, so that sums are exact. With `inputs` above 13 some share a step.
pub(crate) fn explanation(inputs: usize, sampled: bool) -> ScoreExplanation {
    let amounts = (0..inputs).map(|n| if n % 3 == 1 { -0.25 } else { 0.5 } / (1.0 + (n / 3) as f64));
    let contributions: Vec<Contribution> = amounts
        .enumerate()
        .map(|(n, amount)| Contribution {
            feature: format!("input {n}"),
            value: match n % 3 {
                0 => json!(1_270.5),
                1 => json!("a text that goes on and on beyond its place"),
                _ => Value::Null,
            },
            amount,
            standard_error: sampled.then_some(0.004),
        })
        .collect();
    let sum: f64 = contributions.iter().map(|c| c.amount).sum();
    ScoreExplanation {
        method: if sampled { "permutation SHAP (sampled, interventional)" } else { "exact linear SHAP" }
            .into(),
        unit: if sampled { "probability" } else { "log-odds" },
        expected: -2.0,
        score: sum - 2.0,
        contributions,
        sampling: sampled.then(|| Sampling {
            permutations: 256,
            seed: 7,
            background_rows: 128,
            background: "sampled from the log of 2010-04-08 to 2010-04-15".into(),
        }),
    }
}

pub(crate) fn tried(sampled: bool) -> Tried {
    let worth = |decision: &str, minor, low, high| DecisionWorth {
        decision: decision.into(),
        expected: Figure {
            minor,
            low_minor: Some(low),
            high_minor: Some(high),
            grade: Grade::D,
            currency: EUR,
        },
        if_not_minor: low,
        if_happened_minor: high,
    };
    Tried {
        endpoint: "calls".into(),
        model: "deposit-propensity@3".into(),
        flavor: "greenlight",
        row: features(),
        probability: 0.427,
        outcome: "subscribed".into(),
        decision: "call".into(),
        holdout_decision: "call".into(),
        worth: vec![worth("skip", 0.0, 0.0, 0.0), worth("call", 56.0, -500.0, 802.0)],
        assumptions: vec!["A call costs €5.".into()],
        explanation: explanation(15, sampled),
    }
}
