//! A small initiative whose truth is known: the column `score` is the true probability.

use greenlight_domain::manifest::Document;
use serde_json::json;

/// An initiative, its business case, a data set (of that digest), a policy, an endpoint and two trainings, one of
/// which leaks. A unit that is called costs €5 and earns €10 when it subscribes.
pub fn documents(sha256: &str) -> Vec<Document> {
    let number = |known: &str| json!({ "type": "number", "known": known });
    let documents = json!([
        { "kind": "Initiative", "name": "calls", "spec": {
            "title": "Calls", "problem": "Most calls lose money.", "owner": "Marta",
            "metric": { "name": "value", "unit": "€", "baseline": 0, "target": 1, "target_date": "2021-12-31" },
            "value": {
                "expression": "CASE WHEN decision = 'call' THEN 10 * outcomes.bought - 5 ELSE 0 END",
                "currency": "EUR", "assumptions": ["A call costs €5."], "outcome": "bought",
                "decisions": ["skip", "call"], "window_days": 7 },
            "costs": [{ "name": "people", "per_month": "300" }] } },
        { "kind": "BusinessCase", "name": "calls-2020", "spec": {
            "initiative": "calls", "dated": "2020-12-31", "starts": "2021-01-01", "horizon_days": 365,
            "effect": "saving", "low": 100, "expected": 1000, "high": 5000, "drivers": ["a guess"] } },
        { "kind": "Dataset", "name": "history", "version": 1, "spec": {
            "description": "made up", "licence": "CC0-1.0", "file": "history.parquet", "sha256": sha256,
            "positive": "yes", "contract": {
                "score": number("before"), "noise": number("before"), "duration": number("after"),
                "day": { "type": "number", "known": "before", "role": "time" },
                "bought": { "type": "text", "known": "after", "role": "outcome" } } } },
        { "kind": "Policy", "name": "careful", "version": 1, "spec": {
            "description": "for tests",
            "history": { "months": 2, "min_auc": 0.6, "min_observed_over_expected": 0.5,
                "max_observed_over_expected": 2.0, "min_value_against_holdout": 0, "min_value_against_idle": 0,
                "min_months_ahead": 2, "resamples": 200, "level": 0.95, "seed": 1 },
            "shadow": { "min_predictions": 50, "max_p99_latency_ms": 1000, "max_error_share": 0.01,
                "max_drift_psi": 0.5 },
            "approvals": { "count": 2 },
            "rollout": { "alpha": 0.05, "tuned_for_units": 500, "max_error_share": 0.05,
                "max_p99_latency_ms": 1000, "steps": [
                    { "percent": 10, "min_matured": 100, "advance_when": "no_harm" },
                    { "percent": 50, "min_matured": 100, "advance_when": "proven" },
                    { "percent": 90, "min_matured": 100, "advance_when": "proven" }] } } },
        { "kind": "Endpoint", "name": "calls", "spec": {
            "initiative": "calls", "dataset": "history@1", "policy": "careful@1", "unit": "client",
            "event_time": "at", "holdout": { "title": "call everyone", "decision": "call" } } },
        { "kind": "Training", "name": "honest", "spec": {
            "experiment": "calls", "initiative": "calls", "dataset": "history@1", "from": "2020-01-01",
            "until": "2020-11-01", "features": ["score"],
            "learner": { "logistic_regression": {} } } },
        { "kind": "Training", "name": "leaky", "spec": {
            "experiment": "calls", "initiative": "calls", "dataset": "history@1", "from": "2020-01-01",
            "until": "2020-11-01", "features": ["score", "duration"],
            "learner": { "logistic_regression": {} } } },
        { "kind": "Training", "name": "noisy", "spec": {
            "experiment": "calls", "initiative": "calls", "dataset": "history@1", "from": "2020-01-01",
            "until": "2020-11-01", "features": ["noise"],
            "learner": { "logistic_regression": {} } } }
    ]);
    serde_json::from_value(documents).unwrap()
}
