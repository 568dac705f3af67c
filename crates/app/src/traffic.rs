//! Traffic of an endpoint over time, and where its shadow and its champion say different things.

use greenlight_domain::role::{Action, Actor};
use serde::Serialize;

use crate::lake::log::{Disagreements, LogExtent, MAX_BUCKETS, TrafficBucket, Window};
use crate::prediction::{live_endpoint, newest_days};
use crate::{App, AppError, allow};

/// Stretches that traffic is counted in when nobody says otherwise.
pub const DEFAULT_BUCKETS: usize = 56;
const TOP: usize = 20;
const SECOND_US: i64 = 1_000_000;

/// Traffic over time.
#[derive(Debug, Clone, Serialize)]
pub struct TrafficView {
    /// Endpoint.
    pub endpoint: String,
    /// The window; absent while the log is empty.
    pub window: Option<Window>,
    /// Where the sealed log begins and ends.
    pub extent: Option<LogExtent>,
    /// Length of a stretch, seconds.
    pub bucket_seconds: i64,
    /// Counts and scoring times by stretch and variant; a stretch without traffic is left out.
    pub buckets: Vec<TrafficBucket>,
}

/// Disagreements of shadow and champion.
#[derive(Debug, Clone, Serialize)]
pub struct DisagreementView {
    /// Endpoint.
    pub endpoint: String,
    /// The window; absent while the log is empty.
    pub window: Option<Window>,
    /// The models in shadow now.
    pub shadows: Vec<String>,
    /// What was found; absent while the log is empty.
    #[serde(flatten)]
    pub found: Option<Disagreements>,
}

/// Traffic of the last `days` in about `buckets` stretches.
pub async fn over_time(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    days: i64,
    buckets: usize,
) -> Result<TrafficView, AppError> {
    allow(actor, Action::Read)?;
    live_endpoint(app, endpoint)?;
    if !(1..=MAX_BUCKETS).contains(&buckets) {
        return Err(AppError::Invalid(format!("buckets: {buckets} is not between 1 and {MAX_BUCKETS}")));
    }
    let mut view = TrafficView {
        endpoint: endpoint.to_owned(),
        window: None,
        extent: None,
        bucket_seconds: 0,
        buckets: Vec::new(),
    };
    let Some((extent, window)) = newest_days(app, endpoint, days).await? else { return Ok(view) };
    let bucket_us = bucket_us(window, buckets);
    view.buckets = app.lake.traffic_over_time(endpoint, window, bucket_us).await?;
    view.bucket_seconds = bucket_us / SECOND_US;
    view.extent = Some(extent);
    view.window = Some(window);
    Ok(view)
}

/// Lengths that people think in, seconds.
const LENGTHS: [i64; 17] = [
    1, 5, 15, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
    2_419_200, 7_862_400,
];

/// The shortest such length of which `buckets` cover the window; whole days beyond the longest.
fn bucket_us(window: Window, buckets: usize) -> i64 {
    let extent = window.until.0.saturating_sub(window.from.0).max(1).unsigned_abs();
    let seconds = extent.div_ceil(buckets as u64).div_ceil(SECOND_US as u64);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / SECOND_US);
    let longer = || seconds.unsigned_abs().div_ceil(86_400).cast_signed() * 86_400;
    LENGTHS.into_iter().find(|length| *length >= seconds).unwrap_or_else(longer) * SECOND_US
}

/// Where shadow and champion differ most in the last `days`.
pub async fn disagreements(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    days: i64,
) -> Result<DisagreementView, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    let shadows = live.routes.shadows.iter().map(greenlight_domain::route::RoutedModel::reference).collect();
    let mut view = DisagreementView { endpoint: endpoint.to_owned(), window: None, shadows, found: None };
    if let Some((_, window)) = newest_days(app, endpoint, days).await? {
        view.found = Some(app.lake.disagreements(endpoint, window, TOP).await?);
        view.window = Some(window);
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenlight_domain::time::{DAY_US, Micros};

    #[test]
    fn stretches_are_lengths_that_people_think_in_and_never_too_many() {
        let week = Window { from: Micros(1), until: Micros(1 + 7 * DAY_US) };
        assert_eq!(bucket_us(week, 56), 3 * 3_600 * SECOND_US);
        let year = Window { from: Micros(0), until: Micros(365 * DAY_US) };
        assert_eq!((bucket_us(year, 56), bucket_us(year, 1)), (7 * DAY_US, 365 * DAY_US));
        for (extent, buckets) in [(1, 200), (7 * DAY_US, 199), (366 * DAY_US, 1), (366 * DAY_US, 200)] {
            let width = bucket_us(Window { from: Micros(0), until: Micros(extent) }, buckets);
            assert!(width % SECOND_US == 0 && width * buckets as i64 >= extent, "{extent} {buckets}");
            assert!(
                extent / width < MAX_BUCKETS as i64 + i64::from(extent % width == 0),
                "{extent} {buckets}"
            );
        }
    }
}
