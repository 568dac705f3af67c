//! The shadow gate: did the model answer beside live traffic, quickly, without error, on data like its own?

use greenlight_stats::drift;
use serde_json::json;

use crate::DomainError;
use crate::evidence::{Check, Gate, GateResult};
use crate::policy::ShadowPolicy;

/// What the shadow did so far, counted by the lake.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShadowFigures {
    /// Mirrored predictions.
    pub predictions: u64,
    /// Of those, how many failed.
    pub errors: u64,
    /// Mirrored predictions that the full queue dropped.
    pub dropped: u64,
    /// Rows whose decision differs from the live one.
    pub disagreements: u64,
    /// Median scoring time.
    pub p50_latency_us: f64,
    /// 99th percentile of scoring time.
    pub p99_latency_us: f64,
    /// Rows per score bin of the model's training histogram.
    pub score_counts: Vec<u64>,
}

/// Judges the shadow under `policy`; `training_counts` are the rows per score bin in training.
pub fn judge(
    policy: &ShadowPolicy,
    figures: &ShadowFigures,
    training_counts: &[u64],
) -> Result<GateResult, DomainError> {
    let psi = if figures.predictions == 0 {
        0.0
    } else {
        drift::population_stability_index(training_counts, &figures.score_counts)
            .map_err(|e| DomainError::invalid("shadow.drift", e.to_string()))?
    };
    let of =
        |part: u64| if figures.predictions == 0 { 0.0 } else { part as f64 / figures.predictions as f64 };
    let p99_ms = figures.p99_latency_us / 1_000.0;
    let checks = vec![
        Check::new(
            format!("at least {} mirrored predictions", policy.min_predictions),
            figures.predictions.to_string(),
            figures.predictions >= policy.min_predictions,
        ),
        Check::new(
            format!("at most {:.2} % errors", policy.max_error_share * 100.0),
            format!("{:.2} %", of(figures.errors) * 100.0),
            of(figures.errors) <= policy.max_error_share,
        ),
        Check::new(
            format!("p99 of scoring at most {} ms", policy.max_p99_latency_ms),
            format!("{p99_ms:.3} ms"),
            p99_ms <= policy.max_p99_latency_ms,
        ),
        Check::new(
            format!("score drift (PSI) at most {:.2}", policy.max_drift_psi),
            format!("{psi:.2}"),
            psi <= policy.max_drift_psi,
        ),
    ];
    let praise = format!(
        "{} mirrored predictions, p99 {p99_ms:.3} ms, drift {psi:.2}, differs from the live decision on {:.0} %",
        figures.predictions,
        of(figures.disagreements) * 100.0
    );
    let detail = json!({
        "predictions": figures.predictions, "errors": figures.errors, "dropped": figures.dropped,
        "disagreement": of(figures.disagreements), "p50_latency_us": figures.p50_latency_us,
        "p99_latency_us": figures.p99_latency_us, "drift_psi": psi,
        "score_counts": figures.score_counts, "training_counts": training_counts,
    });
    Ok(GateResult::gather(Gate::Shadow, praise, checks, detail))
}
