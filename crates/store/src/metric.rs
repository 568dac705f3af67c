//! Points of metrics, and the newest point of each.
//!
//! NaN is stored as zero with a flag, because SQLite has no NaN. The newest point is that of the greatest step, then
//! time, then value, as MLflow has it.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use crate::packed::{Packed, Runs};
use crate::{Connection, Store, StoreError, rows};

/// A point to log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// Name of the metric.
    pub key: &'a str,
    /// Any number, also NaN and the infinities.
    pub value: f64,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// At which step.
    pub step: i64,
}

/// A point that was logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// Name of the metric.
    pub key: String,
    /// Any number, also NaN and the infinities.
    pub value: f64,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// At which step.
    pub step: i64,
}

/// Where a page of a history begins: after this many points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Most points of the page.
    pub limit: i64,
    /// Points before it.
    pub offset: i64,
}

/// What is stored for a value.
pub(crate) fn stored(value: f64) -> (f64, i64) {
    if value.is_nan() { (0.0, 1) } else { (value, 0) }
}

pub(crate) fn value_of((value, is_nan): (f64, i64)) -> f64 {
    if is_nan == 0 { value } else { f64::NAN }
}

/// Adds points to a run, given with its experiment. A point that was logged before is not logged twice.
pub async fn log(
    connection: &mut Connection,
    (run, experiment_id): (i64, i64),
    points: &[Point<'_>],
) -> Result<(), StoreError> {
    let mut newest: BTreeMap<&str, &Point<'_>> = BTreeMap::new();
    for point in points {
        let known = newest.entry(point.key).or_insert(point);
        if is_newer(point, known) {
            *known = point;
        }
    }
    for some in points.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into metric (run, key, step, at_ms, value, is_nan) values {} on conflict do nothing",
            rows::placeholders_with(some.len(), 1, 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(run);
        for point in some {
            let (value, is_nan) = stored(point.value);
            query = query.bind(point.key).bind(point.step).bind(point.at_ms).bind(value).bind(is_nan);
        }
        query.execute(&mut *connection).await?;
    }
    // In the order of the keys, so that two writers of one run never wait for each other.
    let newest: Vec<&Point<'_>> = newest.into_values().collect();
    for some in newest.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into latest_metric (run, experiment_id, key, step, at_ms, value, is_nan) values {} \
             on conflict (run, key) do update set step = excluded.step, at_ms = excluded.at_ms, \
             value = excluded.value, is_nan = excluded.is_nan \
             where (excluded.step, excluded.at_ms, excluded.value) \
             > (latest_metric.step, latest_metric.at_ms, latest_metric.value)",
            rows::placeholders_with(some.len(), 2, 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(run).bind(experiment_id);
        for point in some {
            let (value, is_nan) = stored(point.value);
            query = query.bind(point.key).bind(point.step).bind(point.at_ms).bind(value).bind(is_nan);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Adds one point to a run by its id, in one statement. False when there is no such run, or it is deleted.
pub async fn log_one(store: &Store, run_id: &str, point: &Point<'_>) -> Result<bool, StoreError> {
    const SQLITE: &str = "insert into logged_point (run_id, key, step, at_ms, value, is_nan) \
                          values ($1, $2, $3, $4, $5, $6)";
    const POSTGRES: &str = "with found as (select number, experiment_id from run where id = $1 and deleted_at is null), \
         added as (insert into metric (run, key, step, at_ms, value, is_nan) \
         select number, $2, $3, $4, $5, $6 from found on conflict do nothing), \
         newest as (insert into latest_metric (run, experiment_id, key, step, at_ms, value, is_nan) \
         select number, experiment_id, $2, $3, $4, $5, $6 from found \
         on conflict (run, key) do update set step = excluded.step, at_ms = excluded.at_ms, \
         value = excluded.value, is_nan = excluded.is_nan \
         where (excluded.step, excluded.at_ms, excluded.value) \
         > (latest_metric.step, latest_metric.at_ms, latest_metric.value)) \
         select number from found";
    let (pool, is_sqlite) = store.alone();
    let (value, is_nan) = stored(point.value);
    let query = sqlx::query(if is_sqlite { SQLITE } else { POSTGRES })
        .bind(run_id)
        .bind(point.key)
        .bind(point.step)
        .bind(point.at_ms)
        .bind(value)
        .bind(is_nan);
    if !is_sqlite {
        return Ok(query.fetch_optional(pool).await?.is_some());
    }
    match query.execute(pool).await {
        Ok(_) => Ok(true),
        // What the trigger says (migration 13).
        Err(error) if error.as_database_error().is_some_and(|e| e.message() == "no active run") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_newer(point: &Point<'_>, than: &Point<'_>) -> bool {
    let order = (point.step, point.at_ms).cmp(&(than.step, than.at_ms));
    order.then(stored(point.value).0.total_cmp(&stored(than.value).0)).is_gt()
}

type Place = Option<f64>;
type LatestRow = (i64, String, Place, Place, Place, Place, Place, Place, Place, Place);

/// The newest point of each metric of some runs; those of one run by key. Eight points come as one row: what names
/// them as a text, their values as numbers, because no text of a number is exact on every database.
pub(crate) async fn latest(
    connection: &mut Connection,
    runs: &Runs,
) -> Result<Vec<(i64, Latest)>, StoreError> {
    let values: Vec<String> =
        (0..8).map(|place| format!("max(case when n % 8 = {place} then value end)")).collect();
    let text = format!(
        "select run, string_agg((n % 8) || ' ' || is_nan || ' ' || at_ms || ' ' || step || ' ' || \
         octet_length(key) || ':' || key, ''), {} \
         from (select run, key, value, is_nan, at_ms, step, \
         row_number() over (partition by run order by key) - 1 as n \
         from latest_metric where run in ({runs})) as numbered group by run, n / 8",
        values.join(", ")
    );
    let found: Vec<LatestRow> = runs.ask(text).fetch_all(connection).await?;
    let mut latest = Vec::new();
    for (run, text, a, b, c, d, e, f, g, h) in found {
        let values = [a, b, c, d, e, f, g, h];
        let mut packed = Packed(&text);
        while !packed.is_empty() {
            let place = usize::try_from(packed.number(' ')?).ok().and_then(|place| values.get(place));
            let is_nan = packed.number(' ')?;
            let (at_ms, step) = (packed.number(' ')?, packed.number(' ')?);
            let value = value_of((place.copied().flatten().unwrap_or_default(), is_nan));
            latest.push((run, Latest { key: packed.text()?.to_owned(), value, at_ms, step }));
        }
    }
    latest.sort_unstable_by(|(run, one), (other, two)| (run, &one.key).cmp(&(other, &two.key)));
    Ok(latest)
}

/// A page of the points of one metric, by time, then step, then value.
pub async fn history(
    connection: &mut Connection,
    run: i64,
    key: &str,
    page: Page,
) -> Result<Vec<Latest>, StoreError> {
    let found: Vec<(f64, i64, i64, i64)> = sqlx::query_as(
        "select value, is_nan, at_ms, step from metric where run = $1 and key = $2 \
         order by at_ms, step, value limit $3 offset $4",
    )
    .bind(run)
    .bind(key)
    .bind(page.limit)
    .bind(page.offset)
    .fetch_all(connection)
    .await?;
    let points = found.into_iter().map(|(value, is_nan, at_ms, step)| Latest {
        key: key.to_owned(),
        value: value_of((value, is_nan)),
        at_ms,
        step,
    });
    Ok(points.collect())
}

/// Points of one metric of one run between two steps (both included), by step; at most so many, spread evenly with the
/// last one always among them.
pub async fn sample(
    connection: &mut Connection,
    run: i64,
    key: &str,
    (first, last): (i64, i64),
    most: i64,
) -> Result<Vec<Latest>, StoreError> {
    const BETWEEN: &str = "from metric where run = $1 and key = $2 and step >= $3 and step <= $4";
    let text = format!(
        "select value, is_nan, at_ms, step from (select value, is_nan, at_ms, step, n, \
         row_number() over (partition by bucket order by n) as in_bucket, count(*) over () as total from ( \
         select value, is_nan, at_ms, step, row_number() over (order by step, at_ms, value, is_nan) as n, \
         ntile(cast($5 as integer)) over (order by step, at_ms, value, is_nan) as bucket {BETWEEN}) as numbered) as picked \
         where in_bucket = 1 or n = total order by n"
    );
    let found: Vec<(f64, i64, i64, i64)> = sqlx::query_as(AssertSqlSafe(text))
        .bind(run)
        .bind(key)
        .bind(first)
        .bind(last)
        .bind(most)
        .fetch_all(connection)
        .await?;
    let mut points: Vec<Latest> = found
        .into_iter()
        .map(|(value, is_nan, at_ms, step)| Latest {
            key: key.to_owned(),
            value: value_of((value, is_nan)),
            at_ms,
            step,
        })
        .collect();
    // The last point takes the place of the last sample when there is no room for both.
    let most = usize::try_from(most).unwrap_or(0);
    if points.len() > most && most > 0 {
        points.remove(most - 1);
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_point_is_that_of_the_greatest_step_then_time_then_value() {
        let point = |step, at_ms, value| Point { key: "auc", value, at_ms, step };
        assert!(is_newer(&point(2, 0, 0.0), &point(1, 9, 9.0)));
        assert!(is_newer(&point(1, 5, 0.0), &point(1, 4, 9.0)));
        assert!(is_newer(&point(1, 4, 9.0), &point(1, 4, 8.0)));
        assert!(!is_newer(&point(1, 4, 8.0), &point(1, 4, 8.0)));
        assert!(is_newer(&point(1, 4, 1.0), &point(1, 4, f64::NAN)), "NaN counts as zero");
    }
}
