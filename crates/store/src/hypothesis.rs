//! Hypotheses, what happened to them, and the words by which they are found.

use std::collections::BTreeMap;

use greenlight_domain::hypothesis::{Finding, HypothesisSpec, RUN_TAG};
use greenlight_domain::time::Micros;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::{Connection, Stamp, StoreError, counter, json, rows};

/// A hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hypothesis {
    /// Its number.
    pub number: i64,
    /// What is believed, why, and what would refute it.
    pub spec: HypothesisSpec,
    /// The verdict of its newest finding; empty while it is open.
    pub verdict: String,
    /// When it was opened.
    pub created_at: Micros,
    /// By whom.
    pub created_by: String,
    /// When something last happened to it.
    pub updated_at: Micros,
}

/// Something that happened: it was closed with a finding, or opened again for a reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What was found; absent when it was opened again.
    pub finding: Option<Finding>,
    /// Why it was opened again.
    pub reason: String,
    /// When.
    pub at: Micros,
    /// By whom.
    pub actor: String,
}

/// Which ones are asked for; what is empty leaves nothing out.
#[derive(Debug, Clone, Default)]
pub struct Which<'a> {
    /// Initiative.
    pub initiative: &'a str,
    /// Verdict; `open` for those without one.
    pub verdict: &'a str,
}

/// Opens a hypothesis; its number.
pub async fn open(
    connection: &mut Connection,
    spec: &HypothesisSpec,
    words: &BTreeMap<String, i64>,
    stamp: Stamp<'_>,
) -> Result<i64, StoreError> {
    let number = counter::next(connection, "hypothesis").await?;
    sqlx::query(
        "insert into hypothesis (number, spec, initiative, verdict, words, created_at, created_by, updated_at) \
         values ($1, $2, $3, '', 0, $4, $5, $4)",
    )
    .bind(number)
    .bind(json::write("hypothesis", spec)?)
    .bind(&spec.initiative)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(&mut *connection)
    .await?;
    add_words(connection, number, words).await?;
    Ok(number)
}

async fn add_words(
    connection: &mut Connection,
    number: i64,
    words: &BTreeMap<String, i64>,
) -> Result<(), StoreError> {
    let all: Vec<(&String, &i64)> = words.iter().collect();
    for some in all.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into hypothesis_word (word, hypothesis, count) values {} \
             on conflict (word, hypothesis) do update set count = hypothesis_word.count + excluded.count",
            rows::placeholders(some.len(), 3)
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (word, count) in some {
            query = query.bind(word.as_str()).bind(number).bind(**count);
        }
        query.execute(&mut *connection).await?;
    }
    sqlx::query("update hypothesis set words = words + $2 where number = $1")
        .bind(number)
        .bind(words.values().sum::<i64>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds an event and writes the verdict that holds from now on.
pub async fn add_event(
    connection: &mut Connection,
    number: i64,
    (finding, reason): (Option<&Finding>, &str),
    words: &BTreeMap<String, i64>,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    let finding_text = finding.map(|finding| json::write("finding", finding)).transpose()?;
    sqlx::query(
        "insert into hypothesis_event (hypothesis, number, finding, reason, at, actor) \
         select $1, cast(coalesce(max(number), 0) as bigint) + 1, $2, $3, $4, $5 from hypothesis_event where hypothesis = $1",
    )
    .bind(number)
    .bind(finding_text)
    .bind(reason)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(&mut *connection)
    .await?;
    sqlx::query("update hypothesis set verdict = $2, updated_at = $3 where number = $1")
        .bind(number)
        .bind(finding.map_or("", |finding| finding.verdict.as_str()))
        .bind(stamp.at.0)
        .execute(&mut *connection)
        .await?;
    add_words(connection, number, words).await
}

type Row = (i64, String, String, i64, String, i64);

const OWN: &str =
    "select h.number, h.spec, h.verdict, h.created_at, h.created_by, h.updated_at from hypothesis as h";

fn read((number, spec, verdict, created_at, created_by, updated_at): Row) -> Result<Hypothesis, StoreError> {
    Ok(Hypothesis {
        number,
        spec: json::read("hypothesis", &spec)?,
        verdict,
        created_at: Micros(created_at),
        created_by,
        updated_at: Micros(updated_at),
    })
}

/// These hypotheses, in no order.
pub async fn get(connection: &mut Connection, numbers: &[i64]) -> Result<Vec<Hypothesis>, StoreError> {
    let text = format!("{OWN} where h.number in ({})", rows::list(numbers.iter().copied()));
    let found: Vec<Row> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(connection).await?;
    found.into_iter().map(read).collect()
}

/// The hypotheses that something last happened to, newest first.
pub async fn newest(
    connection: &mut Connection,
    which: &Which<'_>,
    limit: i64,
) -> Result<Vec<Hypothesis>, StoreError> {
    let text = format!(
        "{OWN} where ($1 = '' or h.initiative = $1) and ($2 = '' or h.verdict = case when $2 = 'open' then '' else $2 end) \
         order by h.updated_at desc, h.number desc limit $3"
    );
    let found: Vec<Row> = sqlx::query_as(AssertSqlSafe(text))
        .bind(which.initiative)
        .bind(which.verdict)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    found.into_iter().map(read).collect()
}

/// What happened to a hypothesis, oldest first.
pub async fn events(connection: &mut Connection, number: i64) -> Result<Vec<Event>, StoreError> {
    let found: Vec<(Option<String>, String, i64, String)> = sqlx::query_as(
        "select finding, reason, at, actor from hypothesis_event where hypothesis = $1 order by number limit 200",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    found
        .into_iter()
        .map(|(finding, reason, at, actor)| {
            let finding = finding.map(|finding| json::read("finding", &finding)).transpose()?;
            Ok(Event { finding, reason, at: Micros(at), actor })
        })
        .collect()
}

/// How many hypotheses an initiative has, by verdict; the open ones have an empty one.
pub async fn counts(connection: &mut Connection, initiative: &str) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(sqlx::query_as(
        "select verdict, cast(count(*) as bigint) from hypothesis where initiative = $1 group by verdict order by verdict",
    )
    .bind(initiative)
    .fetch_all(connection)
    .await?)
}

/// How many there are, and how many words they have on average.
pub async fn extent(connection: &mut Connection) -> Result<(i64, f64), StoreError> {
    let (texts, words): (i64, i64) = sqlx::query_as(
        "select cast(count(*) as bigint), cast(coalesce(sum(words), 0) as bigint) from hypothesis",
    )
    .fetch_one(connection)
    .await?;
    Ok((texts, words as f64 / texts.max(1) as f64))
}

/// Which hypotheses hold a word, or one that begins so: number, how often, and how many words it has in all.
pub async fn holding(
    connection: &mut Connection,
    word: &str,
    is_beginning: bool,
    limit: i64,
) -> Result<Vec<(i64, i64, i64)>, StoreError> {
    let pattern = if is_beginning { format!("{word}%") } else { word.to_owned() };
    Ok(sqlx::query_as(
        "select w.hypothesis, cast(sum(w.count) as bigint), h.words from hypothesis_word as w \
         join hypothesis as h on h.number = w.hypothesis \
         where (w.word = $1 or w.word like $2) group by w.hypothesis, h.words order by w.hypothesis desc limit $3",
    )
    .bind(word)
    .bind(pattern)
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

/// Ids of the runs that joined a hypothesis, newest first.
pub async fn runs(connection: &mut Connection, id: &str, limit: i64) -> Result<Vec<String>, StoreError> {
    let found: Vec<(String,)> = sqlx::query_as(
        "select r.id from run_tag as t join run as r on r.number = t.run \
         where t.key = 'greenlight.hypothesis' and length(t.value) <= 24 and t.value = $1 \
         and r.deleted_at is null order by r.number desc limit $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    debug_assert_eq!(RUN_TAG, "greenlight.hypothesis");
    Ok(found.into_iter().map(|row| row.0).collect())
}
