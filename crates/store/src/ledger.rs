//! Daily sufficient statistics, which add up, and postings, which never change.

use greenlight_domain::ledger::{DayStatistics, Posting, PostingKind};
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::Variant;
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, StoreError};

/// The statistics of one release, variant, split and day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatisticRow {
    /// Release id, or empty when none was rolling out.
    pub release: String,
    /// Champion or holdout.
    pub variant: Variant,
    /// Percent of units that got the champion at the time; 0 when none was rolling out.
    pub champion_percent: u8,
    /// The numbers.
    pub statistics: DayStatistics,
}

/// Adds `row` to what is stored for its release, variant, split and day.
pub async fn add_statistics(
    connection: &mut Connection,
    endpoint: &str,
    row: &StatisticRow,
) -> Result<(), StoreError> {
    let numbers = &row.statistics;
    sqlx::query(
        "insert into day_statistic (endpoint, release_id, variant, champion_percent, day, units, positives, gross_minor, \
         randomised, earned_sum, earned_sum_squares, errors, earned_micros, value_sum_squares) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         on conflict (endpoint, release_id, variant, champion_percent, day) do update set \
         units = day_statistic.units + excluded.units, \
         positives = day_statistic.positives + excluded.positives, \
         gross_minor = day_statistic.gross_minor + excluded.gross_minor, \
         randomised = day_statistic.randomised + excluded.randomised, \
         earned_sum = day_statistic.earned_sum + excluded.earned_sum, \
         earned_sum_squares = day_statistic.earned_sum_squares + excluded.earned_sum_squares, \
         errors = day_statistic.errors + excluded.errors, \
         earned_micros = day_statistic.earned_micros + excluded.earned_micros, \
         value_sum_squares = day_statistic.value_sum_squares + excluded.value_sum_squares",
    )
    .bind(endpoint)
    .bind(&row.release)
    .bind(row.variant.as_str())
    .bind(i64::from(row.champion_percent))
    .bind(i64::from(numbers.day))
    .bind(numbers.units)
    .bind(numbers.positives)
    .bind(numbers.gross_minor)
    .bind(numbers.randomised)
    .bind(numbers.earned_sum)
    .bind(numbers.earned_sum_squares)
    .bind(numbers.errors)
    .bind(numbers.earned_micros)
    .bind(numbers.value_sum_squares)
    .execute(connection)
    .await?;
    Ok(())
}

/// All statistics of an endpoint in order of day; with `release`, only its own.
pub async fn statistics(
    connection: &mut Connection,
    endpoint: &str,
    release: Option<&str>,
) -> Result<Vec<StatisticRow>, StoreError> {
    type Row = (String, String, i64, i64, i64, i64, i64, i64, f64, f64, i64, i64, f64);
    let rows: Vec<Row> = sqlx::query_as(
        "select release_id, variant, champion_percent, day, units, positives, gross_minor, randomised, earned_sum, \
         earned_sum_squares, errors, earned_micros, value_sum_squares from day_statistic where endpoint = $1 and ($2 = '' or release_id = $2) \
         order by day, release_id, variant, champion_percent",
    )
    .bind(endpoint)
    .bind(release.unwrap_or(""))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StatisticRow {
                release: row.0,
                variant: row.1.parse()?,
                champion_percent: u8::try_from(row.2).unwrap_or(0),
                statistics: DayStatistics {
                    day: i32::try_from(row.3).unwrap_or(i32::MAX),
                    units: row.4,
                    positives: row.5,
                    gross_minor: row.6,
                    randomised: row.7,
                    earned_sum: row.8,
                    earned_sum_squares: row.9,
                    errors: row.10,
                    earned_micros: row.11,
                    value_sum_squares: row.12,
                },
            })
        })
        .collect()
}

/// Writes a posting.
pub async fn post(
    connection: &mut Connection,
    id: &str,
    posting: &Posting,
    currency: Currency,
    at: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into posting (id, endpoint, release_id, variant, day, kind, amount_minor, currency, grade, \
         settle_run, at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id)
    .bind(&posting.endpoint)
    .bind(posting.release.as_deref())
    .bind(posting.variant.map(Variant::as_str))
    .bind(i64::from(posting.day))
    .bind(posting.kind.as_str())
    .bind(posting.amount_minor)
    .bind(currency.code())
    .bind(posting.grade.to_string())
    .bind(posting.settle_run)
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// A posting as it stands in the ledger, with what it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct PostingRow {
    /// Its id.
    pub id: String,
    /// The posting.
    pub posting: Posting,
    /// Its money.
    pub currency: Currency,
    /// When it was written.
    pub at: Micros,
    /// Initiative of its endpoint.
    pub initiative: String,
    /// `name@version` of the model of its release.
    pub model: Option<String>,
}

/// The next `limit` postings of an endpoint in the order in which runs wrote them, after the one with that run and id.
pub async fn postings(
    connection: &mut Connection,
    endpoint: &str,
    (run, id): (i64, &str),
    limit: i64,
) -> Result<Vec<PostingRow>, StoreError> {
    type Row = (
        String,
        Option<String>,
        Option<String>,
        i64,
        String,
        i64,
        String,
        String,
        i64,
        i64,
        String,
        Option<String>,
        Option<i64>,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "select p.id, p.release_id, p.variant, p.day, p.kind, p.amount_minor, p.currency, p.grade, p.settle_run, p.at, \
         e.initiative, r.model, r.model_version from posting p join endpoint e on e.name = p.endpoint \
         left join release r on r.id = p.release_id \
         where p.endpoint = $1 and (p.settle_run > $2 or (p.settle_run = $2 and p.id > $3)) \
         order by p.settle_run, p.id limit $4",
    )
    .bind(endpoint)
    .bind(run)
    .bind(id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PostingRow {
                id: row.0,
                posting: Posting {
                    endpoint: endpoint.to_owned(),
                    release: row.1,
                    variant: row.2.map(|word| word.parse()).transpose()?,
                    day: i32::try_from(row.3).unwrap_or(i32::MAX),
                    kind: PostingKind::parse(&row.4)?,
                    amount_minor: row.5,
                    grade: row.7.parse()?,
                    settle_run: row.8,
                },
                currency: row.6.parse()?,
                at: Micros(row.9),
                initiative: row.10,
                model: row.11.zip(row.12).map(|(name, version)| format!("{name}@{version}")),
            })
        })
        .collect()
}

/// What is booked of a day: by kind, release (empty for none) and variant (empty for none), in minor units.
pub async fn booked(
    connection: &mut Connection,
    endpoint: &str,
    day: i32,
) -> Result<Vec<(PostingKind, String, String, i64)>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "select kind, coalesce(release_id, ''), coalesce(variant, ''), cast(sum(amount_minor) as bigint) \
         from posting where endpoint = $1 and day = $2 group by kind, coalesce(release_id, ''), coalesce(variant, '') \
         order by kind, coalesce(release_id, ''), coalesce(variant, '')",
    )
    .bind(endpoint)
    .bind(i64::from(day))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(kind, release, variant, sum)| Ok((PostingKind::parse(&kind)?, release, variant, sum)))
        .collect()
}

/// Notes that predictions of these days, first and last included, are about to be erased.
pub async fn mark_erased(
    connection: &mut Connection,
    endpoint: &str,
    (first, last): (i32, i32),
) -> Result<(), StoreError> {
    // A longer stretch takes the place of those within it.
    sqlx::query("delete from erased_day where endpoint = $1 and first_day >= $2 and last_day <= $3")
        .bind(endpoint)
        .bind(i64::from(first))
        .bind(i64::from(last))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into erased_day (endpoint, first_day, last_day) values ($1, $2, $3) \
         on conflict (endpoint, first_day, last_day) do nothing",
    )
    .bind(endpoint)
    .bind(i64::from(first))
    .bind(i64::from(last))
    .execute(connection)
    .await?;
    Ok(())
}

/// Days of which something was erased: first and last of each stretch.
pub async fn erased(connection: &mut Connection, endpoint: &str) -> Result<Vec<(i32, i32)>, StoreError> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "select first_day, last_day from erased_day where endpoint = $1 order by first_day, last_day",
    )
    .bind(endpoint)
    .fetch_all(connection)
    .await?;
    let day = |day: i64| i32::try_from(day).unwrap_or(i32::MAX);
    Ok(rows.into_iter().map(|(first, last)| (day(first), day(last))).collect())
}

/// What a release earned on a day, and how much of it is booked: millionths of a minor unit, and minor units.
pub async fn earned(
    connection: &mut Connection,
    endpoint: &str,
    release: &str,
    day: i32,
) -> Result<(i64, i64), StoreError> {
    let found: (i64, i64) = sqlx::query_as(
        "select (select cast(coalesce(sum(earned_micros), 0) as bigint) from day_statistic \
         where endpoint = $1 and release_id = $2 and day = $3), \
         (select cast(coalesce(sum(amount_minor), 0) as bigint) from posting \
         where endpoint = $1 and release_id = $2 and day = $3 and kind = 'incremental')",
    )
    .bind(endpoint)
    .bind(release)
    .bind(i64::from(day))
    .fetch_one(connection)
    .await?;
    Ok(found)
}

/// The sum of an endpoint's postings by kind and variant (empty for none), in minor units.
pub async fn totals(
    connection: &mut Connection,
    endpoint: &str,
) -> Result<Vec<(PostingKind, Option<Variant>, i64)>, StoreError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select kind, coalesce(variant, ''), cast(sum(amount_minor) as bigint) from posting where endpoint = $1 \
         group by kind, coalesce(variant, '') order by kind, coalesce(variant, '')",
    )
    .bind(endpoint)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(kind, variant, sum)| {
            let variant = if variant.is_empty() { None } else { Some(variant.parse()?) };
            Ok((PostingKind::parse(&kind)?, variant, sum))
        })
        .collect()
}
