//! Drift of an endpoint's inputs and scores: the last days against the first days of its log, and the scores against
//! those of training.
//!
//! Works on samples of bounded size that are drawn by the random part of the ids, so that a look twice is the same
//! look. Refuses to say why something moved.

use std::collections::BTreeMap;

use greenlight_domain::frame::Column;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::route::RoutedModel;
use greenlight_stats::drift;
use serde::Serialize;

use crate::lake::log::{LogSample, Window};
use crate::live::blocking;
use crate::prediction::{live_endpoint, newest_days};
use crate::{App, AppError, allow};

/// Days at the beginning of the log that are the reference when nobody says otherwise.
pub const REFERENCE_DAYS: i64 = 28;
/// Siddiqi's reading of the index: below this nothing moved.
pub const STABLE: f64 = 0.1;
/// And above this it did.
pub const MOVED: f64 = 0.25;
const MAX_ROWS: usize = 4_000;
const BINS: usize = 10;
const CATEGORIES: usize = 20;
/// Fewer rows than this on either side say nothing.
const LEAST_ROWS: u64 = 50;

/// How much something moved, beyond what chance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Movement {
    /// Within chance, or below 0.1.
    Stable,
    /// Between 0.1 and 0.25, and beyond chance.
    Moving,
    /// Above 0.25, and beyond chance.
    Moved,
    /// Too few rows to tell.
    Unknown,
}

/// Rows of one bin on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// What falls into it.
    pub label: String,
    /// Rows of the reference.
    pub reference: u64,
    /// Rows of the present.
    pub current: u64,
}

/// Drift of one column.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnDrift {
    /// Feature, or the score.
    pub name: String,
    /// Population stability index.
    pub psi: f64,
    /// What chance alone stays below in 19 of 20 cases.
    pub by_chance: f64,
    /// The reading.
    pub movement: Movement,
    /// Rows by bin.
    pub bins: Vec<Bin>,
}

/// One side of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Event times.
    pub window: Window,
    /// Predictions in it, shadows left out.
    pub predictions: u64,
    /// Of those, how many were drawn.
    pub sampled: usize,
}

/// Drift of an endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct DriftView {
    /// Endpoint.
    pub endpoint: String,
    /// What the present is compared with: the first days of the log.
    pub reference: Option<Side>,
    /// The last days of the log.
    pub current: Option<Side>,
    /// Features, most moved first; empty while the log is too short for two windows.
    pub features: Vec<ColumnDrift>,
    /// The champion's scores of the last days against those of its training.
    pub score: Option<ColumnDrift>,
    /// `name@version` of the champion whose training the scores are compared with.
    pub model: Option<String>,
}

/// The last `days` against the first `reference_days`.
pub async fn of_endpoint(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    days: i64,
    reference_days: i64,
) -> Result<DriftView, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    if !(1..=crate::prediction::MAX_DAYS).contains(&reference_days) {
        return Err(AppError::Invalid(format!("reference_days: {reference_days} is not between 1 and 366")));
    }
    let mut view = DriftView {
        endpoint: endpoint.to_owned(),
        reference: None,
        current: None,
        features: Vec::new(),
        score: None,
        model: live.routes.champion.as_ref().map(RoutedModel::reference),
    };
    let Some((extent, window)) = newest_days(app, endpoint, days).await? else { return Ok(view) };
    let current = app.lake.log_sample(endpoint, window, MAX_ROWS).await?;
    view.current = Some(side(window, &current));
    if let Some(champion) = &live.routes.champion {
        view.score = scores(app, champion, &current).await?;
    }
    let until = extent.oldest.plus_days(reference_days).min(window.from);
    if until <= extent.oldest {
        return Ok(view);
    }
    let first = Window { from: extent.oldest, until };
    let reference = app.lake.log_sample(endpoint, first, MAX_ROWS).await?;
    view.reference = Some(side(first, &reference));
    view.features = blocking(move || features(&reference, &current)).await??;
    Ok(view)
}

fn side(window: Window, sample: &LogSample) -> Side {
    Side { window, predictions: sample.population, sampled: sample.features.rows() }
}

/// The champion's scores against the histogram that its training left.
async fn scores(
    app: &App,
    champion: &RoutedModel,
    current: &LogSample,
) -> Result<Option<ColumnDrift>, AppError> {
    let mut connection = app.store.read().await?;
    let model = greenlight_store::model::get(&mut connection, &champion.model, champion.version).await?;
    drop(connection);
    let Some(model) = model.filter(|m| !m.score_counts.is_empty()) else { return Ok(None) };
    let reference = champion.reference();
    let mine: Vec<f64> = current
        .probabilities
        .iter()
        .zip(&current.models)
        .filter(|(_, model)| model.as_deref() == Some(reference.as_str()))
        .map(|(probability, _)| *probability)
        .collect();
    let counts = drift::histogram(&mine, &model.score_edges);
    let labels = labels(&model.score_edges);
    if counts.len() != model.score_counts.len() {
        return Ok(None);
    }
    Ok(Some(judged("score", labels, &model.score_counts, &counts)?))
}

/// Every feature, most moved first.
fn features(reference: &LogSample, current: &LogSample) -> Result<Vec<ColumnDrift>, AppError> {
    let fields = reference.features.fields().iter();
    let mut all = Vec::new();
    for (field, before) in fields.zip(reference.features.columns()) {
        let Some(now) = current.features.column(&field.name) else { continue };
        let judged = match (before, now) {
            (Column::Number(before), Column::Number(now)) => numbers(&field.name, before, now)?,
            (Column::Text(before), Column::Text(now)) => categories(&field.name, before, now)?,
            _ => continue,
        };
        all.push(judged);
    }
    all.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    Ok(all)
}

/// Quantile bins of the reference, and one for what is missing.
fn numbers(name: &str, before: &[f64], now: &[f64]) -> Result<ColumnDrift, AppError> {
    let finite: Vec<f64> = before.iter().copied().filter(|v| v.is_finite()).collect();
    let edges = if finite.is_empty() { Vec::new() } else { drift::quantile_edges(&finite, BINS)? };
    let counted = |values: &[f64]| {
        let mut counts = drift::histogram(values, &edges);
        counts.push(values.iter().filter(|v| v.is_nan()).count() as u64);
        counts
    };
    let mut labels = labels(&edges);
    labels.push("missing".to_owned());
    judged(name, labels, &counted(before), &counted(now))
}

fn labels(edges: &[f64]) -> Vec<String> {
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return vec!["all".to_owned()] };
    // Where one value is frequent the first edge lies just below it (see `quantile_edges`).
    let is_one = edges.get(1).is_some_and(|second| first.next_up() >= *second);
    let between = edges.windows(2).enumerate().map(|(at, pair)| {
        if at == 0 && is_one { short(pair[1]) } else { format!("{} to {}", short(pair[0]), short(pair[1])) }
    });
    let lowest =
        if is_one { format!("below {}", short(edges[1])) } else { format!("up to {}", short(*first)) };
    std::iter::once(lowest).chain(between).chain(std::iter::once(format!("above {}", short(*last)))).collect()
}

/// At most four digits after the point, and none that say nothing.
fn short(number: f64) -> String {
    if number.abs() >= 1e9 || (number != 0.0 && number.abs() < 1e-4) {
        return format!("{number:.3e}");
    }
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The most frequent texts of the reference, all others together, and what is missing.
fn categories(
    name: &str,
    before: &[Option<std::sync::Arc<str>>],
    now: &[Option<std::sync::Arc<str>>],
) -> Result<ColumnDrift, AppError> {
    let mut frequent: BTreeMap<&str, u64> = BTreeMap::new();
    for text in before.iter().flatten() {
        *frequent.entry(text).or_default() += 1;
    }
    let mut frequent: Vec<(&str, u64)> = frequent.into_iter().collect();
    frequent.sort_by_key(|(text, count)| (std::cmp::Reverse(*count), *text));
    frequent.truncate(CATEGORIES);
    let places: BTreeMap<&str, usize> =
        frequent.iter().enumerate().map(|(place, (text, _))| (*text, place)).collect();
    let counted = |values: &[Option<std::sync::Arc<str>>]| {
        let mut counts = vec![0_u64; places.len() + 2];
        for value in values {
            let place = match value {
                Some(text) => places.get(text.as_ref()).copied().unwrap_or(places.len()),
                None => places.len() + 1,
            };
            counts[place] += 1;
        }
        counts
    };
    let mut labels: Vec<String> = frequent.iter().map(|(text, _)| (*text).to_owned()).collect();
    labels.extend(["any other".to_owned(), "missing".to_owned()]);
    judged(name, labels, &counted(before), &counted(now))
}

fn judged(
    name: &str,
    labels: Vec<String>,
    reference: &[u64],
    current: &[u64],
) -> Result<ColumnDrift, AppError> {
    // A bin that is empty on both sides is no bin: it would only add to what chance may do.
    let bins: Vec<Bin> = labels
        .into_iter()
        .zip(reference)
        .zip(current)
        .filter(|((_, reference), current)| **reference + **current > 0)
        .map(|((label, reference), current)| Bin { label, reference: *reference, current: *current })
        .collect();
    let (before, now): (Vec<u64>, Vec<u64>) = bins.iter().map(|bin| (bin.reference, bin.current)).unzip();
    let (all_before, all_now) = (before.iter().sum(), now.iter().sum());
    let enough = all_before >= LEAST_ROWS && all_now >= LEAST_ROWS;
    let psi =
        if all_before == 0 || all_now == 0 { 0.0 } else { drift::population_stability_index(&before, &now)? };
    let by_chance = drift::by_chance(all_before, all_now, bins.len());
    let movement = match psi {
        _ if !enough => Movement::Unknown,
        psi if psi < STABLE || psi <= by_chance => Movement::Stable,
        psi if psi <= MOVED => Movement::Moving,
        _ => Movement::Moved,
    };
    Ok(ColumnDrift { name: name.to_owned(), psi, by_chance, movement, bins })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_same_distribution_is_stable_and_a_shifted_one_moved() {
        let before: Vec<f64> = (0..1_000).map(f64::from).collect();
        let same = numbers("x", &before, &before).unwrap();
        assert_eq!((same.movement, same.bins.len()), (Movement::Stable, 10));
        assert!(same.psi.abs() < 1e-12);
        let shifted: Vec<f64> = before.iter().map(|v| v + 500.0).collect();
        assert_eq!(numbers("x", &before, &shifted).unwrap().movement, Movement::Moved);
    }

    #[test]
    fn what_becomes_missing_is_drift() {
        let before = vec![1.0; 100];
        let mut now = before.clone();
        now[..50].fill(f64::NAN);
        let found = numbers("x", &before, &now).unwrap();
        assert_eq!(found.movement, Movement::Moved);
        assert_eq!(found.bins.last().unwrap(), &Bin { label: "missing".into(), reference: 0, current: 50 });
        // Shares after Laplace: (101/102, 1/102) and (51/102, 51/102); the index is (50/102) (ln(101/51) + ln 51).
        let expected = 50.0 / 102.0 * ((101.0_f64 / 51.0).ln() + 51.0_f64.ln());
        assert!((found.psi - expected).abs() < 1e-12, "{} {expected}", found.psi);
    }

    #[test]
    fn rare_texts_share_a_bin_and_few_rows_say_nothing() {
        let texts = |n: usize, all: usize| -> Vec<Option<Arc<str>>> {
            (0..all).map(|i| Some(format!("text {:02}", i % n).into())).collect()
        };
        let found = categories("job", &texts(30, 300), &texts(30, 300)).unwrap();
        assert_eq!(found.bins.len(), CATEGORIES + 1);
        assert_eq!(found.bins[CATEGORIES].label, "any other");
        assert_eq!(categories("job", &texts(2, 40), &texts(1, 40)).unwrap().movement, Movement::Unknown);
        assert_eq!(categories("job", &[], &[]).unwrap().movement, Movement::Unknown);
    }

    #[test]
    fn bins_are_labelled_with_short_numbers() {
        assert_eq!(labels(&[1.0, 2.5]), ["up to 1", "1 to 2.5", "above 2.5"]);
        assert_eq!(labels(&[0.0_f64.next_down(), 0.0, 3.0]), ["below 0", "0", "0 to 3", "above 3"]);
        assert_eq!(labels(&[]), ["all"]);
        assert_eq!(
            (short(0.333_333), short(250.0), short(1e12)),
            ("0.3333".into(), "250".into(), "1.000e12".into())
        );
    }
}
