//! The rollout controller's rule: advance, hold or roll back, from statistics that may be looked at any time.

use greenlight_stats::Interval;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, whole};
use crate::policy::{AdvanceWhen, RolloutPolicy};

/// What is known about a rollout when it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RolloutFigures {
    /// Index of the present step.
    pub step: u32,
    /// Matured randomised units since the step began.
    pub matured_at_step: u64,
    /// Earned so far over all steps, minor units, as a confidence sequence; absent below two units.
    pub earned: Option<Interval>,
    /// Champion predictions so far, matured or not.
    pub champion_predictions: u64,
    /// Of those, how many failed and fell back to the holdout rule.
    pub champion_errors: u64,
    /// 99th percentile of the champion's scoring time, microseconds.
    pub p99_latency_us: f64,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Verdict {
    /// Go to the next step.
    Advance {
        /// Why.
        reason: String,
    },
    /// The last step is proven: it stays.
    Finish {
        /// Why.
        reason: String,
    },
    /// Stay and keep looking.
    Hold {
        /// What is missing.
        reason: String,
    },
    /// Take it back at once.
    RollBack {
        /// Which guardrail broke.
        reason: String,
    },
}

/// Fewest champion predictions before a share of errors or a percentile is believed.
const MIN_FOR_HEALTH: u64 = 50;

/// Judges `figures` under `policy`. Because `earned` is a confidence sequence, judging after every batch keeps the
/// chance of ever being wrong below `policy.alpha`.
pub fn judge(policy: &RolloutPolicy, figures: &RolloutFigures, currency: Currency) -> Verdict {
    if let Some(reason) = broken_guardrail(policy, figures, currency) {
        return Verdict::RollBack { reason };
    }
    let Some(step) = policy.steps.get(figures.step as usize) else {
        return Verdict::Hold { reason: "the policy has no such step".to_owned() };
    };
    if figures.matured_at_step < step.min_matured {
        let reason = format!(
            "{} of {} matured units at {} %",
            figures.matured_at_step, step.min_matured, step.percent
        );
        return Verdict::Hold { reason };
    }
    let Some(earned) = figures.earned else {
        return Verdict::Hold { reason: "no matured units yet".to_owned() };
    };
    let shown = describe(&earned, currency);
    let met = match step.advance_when {
        AdvanceWhen::NoHarm => earned.high >= 0.0,
        AdvanceWhen::Proven => earned.low > 0.0,
    };
    if !met {
        return Verdict::Hold { reason: format!("not proven yet: {shown}") };
    }
    let last = figures.step as usize + 1 == policy.steps.len();
    let reason = match step.advance_when {
        AdvanceWhen::Proven => format!("proven at {} %: {shown}", step.percent),
        AdvanceWhen::NoHarm => format!("no harm at {} %: {shown}", step.percent),
    };
    if last { Verdict::Finish { reason } } else { Verdict::Advance { reason } }
}

fn broken_guardrail(policy: &RolloutPolicy, figures: &RolloutFigures, currency: Currency) -> Option<String> {
    if let Some(earned) = figures.earned
        && earned.high < 0.0
    {
        return Some(format!("it loses money against the holdout: {}", describe(&earned, currency)));
    }
    if figures.champion_predictions < MIN_FOR_HEALTH {
        return None;
    }
    let share = figures.champion_errors as f64 / figures.champion_predictions as f64;
    if share > policy.max_error_share {
        return Some(format!(
            "{:.1} % of its predictions failed, {:.1} % allowed",
            share * 100.0,
            policy.max_error_share * 100.0
        ));
    }
    let p99_ms = figures.p99_latency_us / 1_000.0;
    (p99_ms > policy.max_p99_latency_ms)
        .then(|| format!("p99 of scoring is {p99_ms:.1} ms, {} ms allowed", policy.max_p99_latency_ms))
}

fn describe(earned: &Interval, currency: Currency) -> String {
    format!(
        "earned {} ({} to {}, {:.0} % confidence sequence)",
        whole(earned.estimate, currency),
        whole(earned.low, currency),
        whole(earned.high, currency),
        earned.level * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RolloutStep;

    fn policy() -> RolloutPolicy {
        let step = |percent, advance_when| RolloutStep { percent, min_matured: 100, advance_when };
        RolloutPolicy {
            steps: vec![step(10, AdvanceWhen::NoHarm), step(50, AdvanceWhen::Proven)],
            alpha: 0.05,
            tuned_for_units: 1_000.0,
            max_error_share: 0.01,
            max_p99_latency_ms: 50.0,
        }
    }

    fn figures(step: u32, matured: u64, low: f64, high: f64) -> RolloutFigures {
        RolloutFigures {
            step,
            matured_at_step: matured,
            earned: Some(Interval { estimate: f64::midpoint(low, high), low, high, level: 0.95 }),
            champion_predictions: 1_000,
            champion_errors: 0,
            p99_latency_us: 100.0,
        }
    }

    fn check(figures: &RolloutFigures, expected: &str) {
        let verdict = judge(&policy(), figures, Currency::EUR);
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["action"], expected, "{verdict:?}");
    }

    #[test]
    fn a_step_waits_for_units_then_for_its_condition() {
        check(&figures(0, 99, -1.0, 10.0), "hold");
        check(&figures(0, 100, -1.0, 10.0), "advance");
        check(&figures(1, 100, -1.0, 10.0), "hold");
        check(&figures(1, 100, 1.0, 10.0), "finish");
    }

    #[test]
    fn each_guardrail_rolls_back_at_any_step() {
        check(&figures(0, 10, -10.0, -1.0), "roll_back");
        check(&RolloutFigures { champion_errors: 11, ..figures(1, 10, 1.0, 2.0) }, "roll_back");
        check(&RolloutFigures { p99_latency_us: 50_001.0, ..figures(0, 10, 1.0, 2.0) }, "roll_back");
        // Too few predictions to believe a share of errors.
        check(
            &RolloutFigures { champion_predictions: 49, champion_errors: 2, ..figures(0, 10, 1.0, 2.0) },
            "hold",
        );
    }
}
