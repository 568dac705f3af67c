//! Predictions joined to their newest outcome, for settling and for checking the ledger.
//!
//! Reads a slice of time after the other: the outcomes of a slice go into a map by prediction id, and its predictions
//! stream past it, on as many threads as a query has partitions. So memory is that of a slice, and a run that asks only
//! for what has new outcomes reads only the files in which their predictions can be. Refuses to know what a row is
//! worth.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use deltalake::datafusion::common::ScalarValue;
use foldhash::fast::RandomState;
use futures::TryStreamExt;
use greenlight_app::lake::{Asked, JoinedBatch, LakeError, Take};
use greenlight_domain::frame::Field;
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;
use tokio::task::JoinSet;

use super::{Reader, first_id, text};
use crate::session::Parameters;
use crate::{decode, error, schema};

/// Most predictions of a slice, unless a single hour has more.
const SLICE_ROWS: i64 = 4_000_000;
/// Most fresh outcomes of a slice, unless a single minute has more.
const SLICE_OUTCOMES: i64 = 1_000_000;
const HOUR_US: i64 = 3_600_000_000;

const ROW_COLUMNS: &str = "p.id, p.at_us, p.variant, p.champion_propensity, p.release, p.probability, \
     p.decision, p.champion_decision, p.error IS NOT NULL AS failed";

/// Predictions with event time in `[from, until)` and id in `[low, high)`.
#[derive(Debug, Clone, PartialEq)]
struct Slice {
    from: Micros,
    until: Micros,
    low: String,
    high: String,
}

/// An outcome, and where it was received: a later segment wins, and in one segment the later row.
#[derive(Debug, Clone, Copy)]
struct Newest {
    received: (i64, i64),
    value: f64,
}

type ById<T> = HashMap<u128, T, RandomState>;

/// The outcomes of a slice.
struct Outcomes {
    newest: ById<Newest>,
    /// As of the segment that was asked for; only predictions in `newest` are given when there is one.
    before: Option<ById<Newest>>,
}

/// What the threads of a slice share.
struct Gate {
    take: Take,
    features: Arc<[Field]>,
    outcomes: Outcomes,
    /// Ids that were given, when each is to be given once.
    seen: Option<Mutex<HashSet<u128, RandomState>>>,
}

impl Reader {
    /// See `Lake::joined`.
    pub(crate) async fn joined(&self, asked: &Asked, take: Take) -> Result<(), LakeError> {
        if asked.until <= asked.from {
            return Ok(());
        }
        for slice in self.slices(asked).await? {
            if !self.join(asked, &slice, &take).await? {
                break;
            }
        }
        Ok(())
    }

    /// Cuts what is asked for into slices of bounded size.
    async fn slices(&self, asked: &Asked) -> Result<Vec<Slice>, LakeError> {
        let (low, high) =
            (first_id(asked.from.unix_ms()), first_id(Micros(asked.until.0.saturating_add(999)).unix_ms()));
        if let Some(since) = asked.since {
            let counts = self.fresh_by_minute(asked, since, &low, &high).await?;
            return Ok(slices_of_outcomes(asked, &counts));
        }
        let sql = format!(
            "SELECT at_us / {HOUR_US} AS hour, count(*) AS rows FROM predictions \
             WHERE at_us >= $from AND at_us < $until GROUP BY 1 ORDER BY 1"
        );
        let values =
            vec![("from", ScalarValue::from(asked.from.0)), ("until", ScalarValue::from(asked.until.0))];
        let mut hours = Vec::new();
        for batch in self.collect(&sql, values).await? {
            hours.extend(decode::counted_ints(&batch, "hour", "rows")?);
        }
        Ok(slices_of_hours(asked, &hours))
    }

    /// Fresh outcomes by the first 32 bits of their prediction's time, about a minute.
    async fn fresh_by_minute(
        &self,
        asked: &Asked,
        since: i64,
        low: &str,
        high: &str,
    ) -> Result<Vec<(String, i64)>, LakeError> {
        let sql = "SELECT substr(prediction_id, 1, 8) AS minute, count(*) AS rows FROM outcomes \
             WHERE segment > $since AND segment <= $segment AND name = $outcome \
               AND prediction_id >= $low AND prediction_id < $high GROUP BY 1 ORDER BY 1";
        let values = vec![
            ("since", ScalarValue::from(since)),
            ("segment", ScalarValue::from(asked.segment)),
            ("outcome", text(&asked.outcome)),
            ("low", text(low)),
            ("high", text(high)),
        ];
        let mut counts = Vec::new();
        for batch in self.collect(sql, values).await? {
            counts.extend(decode::counted_texts(&batch, "minute", "rows")?);
        }
        Ok(counts)
    }

    /// Joins one slice; false when the taker wants no more.
    async fn join(&self, asked: &Asked, slice: &Slice, take: &Take) -> Result<bool, LakeError> {
        let outcomes = match asked.since {
            None => {
                let newest = self.outcomes(asked, slice, (i64::MIN, asked.segment), None).await?;
                Outcomes { newest, before: None }
            }
            Some(since) => {
                let fresh = Arc::new(self.outcomes(asked, slice, (since, asked.segment), None).await?);
                let wanted = Some(Arc::clone(&fresh));
                let before = self.outcomes(asked, slice, (i64::MIN, since), wanted).await?;
                // The other holder was a task of the query, which has ended.
                Outcomes { newest: Arc::unwrap_or_clone(fresh), before: Some(before) }
            }
        };
        if asked.since.is_some() && outcomes.newest.is_empty() {
            return Ok(true);
        }
        let (projection, features) = self.projection(asked);
        let sql = format!(
            "SELECT {ROW_COLUMNS}{projection} FROM predictions p \
             WHERE p.at_us >= $from AND p.at_us < $until AND p.id >= $low AND p.id < $high \
               AND p.variant <> 'shadow'"
        );
        let values = vec![
            ("from", ScalarValue::from(slice.from.0)),
            ("until", ScalarValue::from(slice.until.0)),
            ("low", text(&slice.low)),
            ("high", text(&slice.high)),
        ];
        let gate = Arc::new(Gate {
            take: Arc::clone(take),
            features,
            outcomes,
            seen: asked.distinct.then(Mutex::default),
        });
        let mut tasks = JoinSet::new();
        for mut stream in self.session.streams(&sql, values).await? {
            let gate = Arc::clone(&gate);
            tasks.spawn(async move {
                let mut ids = Vec::new();
                while let Some(batch) = stream.try_next().await.map_err(error::query)? {
                    if !gate.pass(&batch, &mut ids)? {
                        return Ok(None);
                    }
                }
                Ok(Some(ids))
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            match ended.map_err(error::task)?? {
                Some(ids) if all.is_empty() => all = ids,
                Some(ids) => all.extend(ids),
                None => return Ok(false),
            }
        }
        if asked.distinct { Ok(true) } else { each_once(all).map(|()| true) }
    }

    /// What to select for the features that are read: a struct of those which the table has.
    fn projection(&self, asked: &Asked) -> (String, Arc<[Field]>) {
        let columns: Vec<String> = self
            .features
            .iter()
            .enumerate()
            .filter(|(at, _)| asked.reads.contains(at))
            .map(|(_, field)| schema::column_name(&field.name))
            .filter(|name| self.stored_features.contains(name))
            .map(|name| name.replace('\'', "''"))
            .map(|name| format!("'{name}', p.features['{name}']"))
            .collect();
        let features = Arc::clone(&self.features);
        if columns.is_empty() {
            return (String::new(), features);
        }
        (format!(", named_struct({}) AS features", columns.join(", ")), features)
    }

    /// The newest outcome of each prediction in a slice, out of segments in `(after, until]`; with `wanted`, only of
    /// predictions in there.
    async fn outcomes(
        &self,
        asked: &Asked,
        slice: &Slice,
        (after, until): (i64, i64),
        wanted: Option<Arc<ById<Newest>>>,
    ) -> Result<ById<Newest>, LakeError> {
        let sql = "SELECT prediction_id, value, segment, \"position\" FROM outcomes \
             WHERE segment > $after AND segment <= $until AND name = $outcome \
               AND prediction_id >= $low AND prediction_id < $high";
        let values: Parameters = vec![
            ("after", ScalarValue::from(after)),
            ("until", ScalarValue::from(until)),
            ("outcome", text(&asked.outcome)),
            ("low", text(&slice.low)),
            ("high", text(&slice.high)),
        ];
        let mut tasks = JoinSet::new();
        for mut stream in self.session.streams(sql, values).await? {
            let wanted = wanted.clone();
            tasks.spawn(async move {
                let mut newest: ById<Newest> = HashMap::default();
                while let Some(batch) = stream.try_next().await.map_err(error::query)? {
                    for decode::Received { id, value, place: received } in decode::received_outcomes(&batch)?
                    {
                        if wanted.as_ref().is_none_or(|wanted| wanted.contains_key(&id)) {
                            keep_newest(&mut newest, id, Newest { received, value });
                        }
                    }
                }
                Ok::<_, LakeError>(newest)
            });
        }
        let mut all: ById<Newest> = HashMap::default();
        while let Some(ended) = tasks.join_next().await {
            let mut some = ended.map_err(error::task)??;
            if some.len() > all.len() {
                std::mem::swap(&mut some, &mut all);
            }
            for (id, one) in some {
                keep_newest(&mut all, id, one);
            }
        }
        Ok(all)
    }
}

impl Gate {
    /// Joins a batch and gives it away; false when the taker wants no more.
    fn pass(&self, batch: &RecordBatch, ids: &mut Vec<u128>) -> Result<bool, LakeError> {
        let mut rows = decode::joined(batch)?;
        let mut features = decode::features(batch, &self.features)?;
        let kept: Vec<usize> =
            (0..rows.len()).filter(|&row| self.is_wanted(rows[row].id.0.as_u128())).collect();
        if kept.is_empty() {
            return Ok(true);
        }
        if kept.len() < rows.len() {
            rows = kept.iter().map(|&row| rows[row].clone()).collect();
            features = features.take(&kept);
        }
        for row in &mut rows {
            let id = row.id.0.as_u128();
            row.outcome = self.outcomes.newest.get(&id).map(|newest| newest.value);
            let before = self.outcomes.before.as_ref();
            row.outcome_before = before.and_then(|before| before.get(&id)).map(|newest| newest.value);
            if self.seen.is_none() {
                ids.push(id);
            }
        }
        Ok((self.take)(JoinedBatch { features, rows }).is_continue())
    }

    fn is_wanted(&self, id: u128) -> bool {
        let wanted = self.outcomes.before.is_none() || self.outcomes.newest.contains_key(&id);
        let first = |seen: &Mutex<HashSet<u128, RandomState>>| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
        };
        wanted && self.seen.as_ref().is_none_or(first)
    }
}

fn keep_newest(all: &mut ById<Newest>, id: u128, one: Newest) {
    let kept = all.entry(id).or_insert(one);
    if one.received > kept.received {
        *kept = one;
    }
}

/// Refuses ids that occur twice. They come nearly in order, which makes sorting them cheap.
fn each_once(mut ids: Vec<u128>) -> Result<(), LakeError> {
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(LakeError::Repeated(PredictionId(uuid::Uuid::from_u128(pair[0])))),
        None => Ok(()),
    }
}

/// Cuts between hours, so that no slice has more than [`SLICE_ROWS`] rows when it has more than one hour.
fn slices_of_hours(asked: &Asked, hours: &[(i64, i64)]) -> Vec<Slice> {
    let mut cuts = Vec::new();
    let mut rows = 0;
    for &(hour, count) in hours {
        if rows > 0 && rows + count > SLICE_ROWS && hour > 0 {
            cuts.push(Micros(hour.saturating_mul(HOUR_US)));
            rows = 0;
        }
        rows += count;
    }
    if hours.is_empty() {
        return Vec::new();
    }
    let starts = std::iter::once(asked.from).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([asked.until]);
    starts
        .zip(ends)
        .map(|(from, until)| Slice {
            from,
            until,
            low: first_id(from.unix_ms()),
            high: first_id(Micros(until.0.saturating_add(999)).unix_ms()),
        })
        .collect()
}

/// Runs of minutes with at most [`SLICE_OUTCOMES`] outcomes when there is more than one.
fn slices_of_outcomes(asked: &Asked, minutes: &[(String, i64)]) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    let mut rows = 0;
    for (minute, count) in minutes {
        // The smallest text after every id of this minute.
        let high = format!("{minute}g");
        match slices.last_mut() {
            Some(last) if rows + count <= SLICE_OUTCOMES => last.high = high,
            _ => {
                rows = 0;
                slices.push(Slice { from: asked.from, until: asked.until, low: minute.clone(), high });
            }
        }
        rows += count;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            outcome: "bought".into(),
            from: Micros(0),
            until: Micros(100 * HOUR_US + 5),
            segment: 9,
            since: None,
            reads: std::collections::BTreeSet::new(),
            distinct: false,
        }
    }

    #[test]
    fn slices_meet_and_hold_no_more_than_they_may() {
        let hours = [(1, 3_000_000), (2, 900_000), (3, 200_000), (40, 9_000_000), (41, 1)];
        let slices = slices_of_hours(&asked(), &hours);
        let ends: Vec<i64> = slices.iter().map(|slice| slice.until.0).collect();
        assert_eq!(ends, [3 * HOUR_US, 40 * HOUR_US, 41 * HOUR_US, 100 * HOUR_US + 5]);
        assert!(slices.windows(2).all(|pair| pair[0].until == pair[1].from && pair[0].high >= pair[1].low));
        assert_eq!(slices[0].from, Micros(0));
        assert!(slices_of_hours(&asked(), &[]).is_empty());
    }

    #[test]
    fn slices_of_fresh_outcomes_leave_out_what_lies_between() {
        let minutes = [("01940000".to_owned(), 600_000), ("01940001".to_owned(), 400_000)];
        let later = [("0194ffff".to_owned(), 1)];
        let all: Vec<_> = minutes.into_iter().chain(later).collect();
        let slices = slices_of_outcomes(&asked(), &all);
        assert_eq!(slices.len(), 2);
        assert_eq!((slices[0].low.as_str(), slices[0].high.as_str()), ("01940000", "01940001g"));
        assert_eq!(slices[1].low, "0194ffff");
        assert!(slices[1].low.as_str() < "0194ffff-0000-7000-8000-000000000000");
    }

    #[test]
    fn an_id_that_occurs_twice_is_named() {
        assert!(each_once(vec![3, 1, 2]).is_ok());
        let LakeError::Repeated(id) = each_once(vec![5, 1, 5]).unwrap_err() else { unreachable!() };
        assert_eq!(id.0.as_u128(), 5);
    }
}
