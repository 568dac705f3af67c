//! Questions of people to the log in memory: the same answers as the real one, without its bounds on work.

use greenlight_app::lake::log::{
    Disagreement, Disagreements, LogEntry, LogExtent, LogFilter, LogRow, LogSample, LoggedOutcome,
    TrafficBucket, Window,
};
use greenlight_domain::prediction::{Prediction, PredictionId, Variant};
use greenlight_domain::time::Micros;

use super::{Tables, features};

fn known(number: f64) -> Option<f64> {
    (!number.is_nan()).then_some(number)
}

fn row(p: &Prediction) -> LogRow {
    LogRow {
        id: p.id,
        at: p.at,
        unit: p.unit.to_string(),
        variant: p.variant.as_str().to_owned(),
        propensity: known(p.propensity),
        release: p.release.as_deref().map(str::to_owned),
        model: p.model.as_deref().map(str::to_owned),
        probability: known(p.probability),
        decision: p.decision.to_string(),
        champion_decision: p.champion_decision.as_deref().map(str::to_owned),
        mirrors: p.mirrors,
        latency_us: p.latency_us,
        error: p.error.as_deref().map(str::to_owned),
    }
}

fn sealed(tables: &Tables) -> &[Prediction] {
    &tables.predictions[..tables.sealed_predictions]
}

pub(super) fn extent(tables: &Tables) -> Option<LogExtent> {
    let rows = sealed(tables);
    Some(LogExtent {
        oldest: rows.iter().map(|p| p.at).min()?,
        newest: rows.iter().map(|p| p.at).max()?,
        predictions: rows.len() as u64,
    })
}

pub(super) fn page(tables: &Tables, filter: &LogFilter) -> Vec<LogRow> {
    let wanted =
        |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let mut rows: Vec<LogRow> = sealed(tables)
        .iter()
        .map(row)
        .filter(|r| {
            filter.window.contains(r.at)
                && wanted(&filter.unit, Some(&r.unit))
                && wanted(&filter.variant, Some(&r.variant))
                && wanted(&filter.decision, Some(&r.decision))
                && wanted(&filter.model, r.model.as_deref())
                && filter.failed.is_none_or(|failed| failed == r.error.is_some())
                && filter.least.is_none_or(|least| r.probability.is_some_and(|p| p >= least))
                && filter.most.is_none_or(|most| r.probability.is_some_and(|p| p <= most))
                && filter.after.is_none_or(|after| (r.at, r.id) < after)
        })
        .collect();
    rows.sort_by_key(|r| std::cmp::Reverse((r.at, r.id)));
    rows.dedup_by_key(|r| r.id);
    rows.truncate(filter.limit);
    rows
}

pub(super) fn entry(tables: &Tables, id: PredictionId) -> Option<LogEntry> {
    let at = sealed(tables).iter().position(|p| p.id == id)?;
    let found = &tables.predictions[at];
    let outcomes = tables.outcomes[..tables.sealed_outcomes].iter().filter(|(_, o)| o.prediction_id == id);
    Some(LogEntry {
        row: row(found),
        more: vec![
            ("champion_propensity".to_owned(), found.champion_propensity.to_string()),
            ("route_version".to_owned(), found.route_version.to_string()),
        ],
        features: features(tables, &[at]),
        outcomes: outcomes
            .map(|(_, o)| LoggedOutcome { name: o.name.to_string(), value: o.value, at: o.at })
            .collect(),
        mirrors: sealed(tables).iter().filter(|p| p.mirrors == Some(id)).map(row).collect(),
    })
}

pub(super) fn sample(tables: &Tables, window: Window, rows: usize) -> LogSample {
    let mine: Vec<usize> = (0..tables.sealed_predictions)
        .filter(|i| {
            tables.predictions[*i].variant != Variant::Shadow && window.contains(tables.predictions[*i].at)
        })
        .collect();
    let population = mine.len() as u64;
    // Every n-th row: an even sample without chance.
    let step = mine.len().div_ceil(rows.max(1)).max(1);
    let drawn: Vec<usize> = mine.into_iter().step_by(step).collect();
    LogSample {
        population,
        features: features(tables, &drawn),
        probabilities: drawn.iter().map(|i| tables.predictions[*i].probability).collect(),
        models: drawn.iter().map(|i| tables.predictions[*i].model.as_deref().map(str::to_owned)).collect(),
    }
}

pub(super) fn traffic(tables: &Tables, window: Window, bucket_us: i64) -> Vec<TrafficBucket> {
    let mut groups: std::collections::BTreeMap<(i64, &str), Vec<&Prediction>> =
        std::collections::BTreeMap::default();
    for p in sealed(tables).iter().filter(|p| window.contains(p.at)) {
        groups.entry(((p.at.0 - window.from.0) / bucket_us, p.variant.as_str())).or_default().push(p);
    }
    groups
        .into_iter()
        .map(|((place, variant), rows)| {
            let mut latencies: Vec<i64> = rows.iter().map(|p| p.latency_us).collect();
            latencies.sort_unstable();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64;
            TrafficBucket {
                at: Micros(window.from.0 + place * bucket_us),
                variant: variant.to_owned(),
                predictions: rows.len() as u64,
                errors: rows.iter().filter(|p| p.error.is_some()).count() as u64,
                p50_latency_us: at(0.5),
                p99_latency_us: at(0.99),
            }
        })
        .collect()
}

pub(super) fn disagreements(tables: &Tables, window: Window, most: usize) -> Disagreements {
    let mut pairs: Vec<(Disagreement, Option<f64>)> = Vec::new();
    for shadow in sealed(tables).iter().filter(|p| p.variant == Variant::Shadow && p.error.is_none()) {
        let live = sealed(tables).iter().find(|live| Some(live.id) == shadow.mirrors);
        let Some(live) = live.filter(|live| window.contains(live.at)) else { continue };
        let difference = known((shadow.probability - live.probability).abs());
        let decision = live.champion_decision.as_ref().unwrap_or(&live.decision);
        pairs.push((
            Disagreement {
                id: live.id,
                at: live.at,
                unit: live.unit.to_string(),
                live_model: live.model.as_deref().map(str::to_owned),
                live_probability: known(live.probability),
                live_decision: decision.to_string(),
                shadow_model: shadow.model.as_deref().map(str::to_owned),
                shadow_probability: known(shadow.probability),
                shadow_decision: shadow.decision.to_string(),
            },
            difference,
        ));
    }
    let differs = |pair: &Disagreement| pair.live_decision != pair.shadow_decision;
    let compared = pairs.len() as u64;
    let decisions_differ = pairs.iter().filter(|(pair, _)| differs(pair)).count() as u64;
    let differences: Vec<f64> = pairs.iter().filter_map(|(_, difference)| *difference).collect();
    let mean_difference =
        (!differences.is_empty()).then(|| differences.iter().sum::<f64>() / differences.len() as f64);
    pairs.retain(|(pair, difference)| differs(pair) || difference.is_some_and(|d| d > 0.0));
    pairs.sort_by(|(a, x), (b, y)| {
        y.unwrap_or(-1.0).total_cmp(&x.unwrap_or(-1.0)).then(differs(b).cmp(&differs(a)))
    });
    pairs.truncate(most);
    let top = pairs.into_iter().map(|(pair, _)| pair).collect();
    Disagreements { compared, decisions_differ, mean_difference, top }
}
