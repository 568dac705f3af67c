//! What an endpoint logs of a prediction, how durably, and for how long.
//!
//! Owns the rules; the lake writes. Refuses to drop what money is counted with: the features that the value model
//! reads are always logged as they are.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::DomainError;
use crate::frame::{Column, ColumnType, Field, Frame};
use crate::prediction::{IdKey, PredictionId};

/// When a client gets its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After its prediction is on disk.
    #[default]
    Ack,
    /// As soon as its prediction waits for the disk: quicker, but a power cut or a crash loses the last moments.
    Async,
}

/// The log as an endpoint's owner wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    /// When a client gets its answer.
    pub durability: Durability,
    /// Share of rows whose features are logged whole, above 0 up to 1. Of the others only those that the value model
    /// reads are logged; every row says how many it stands for.
    pub feature_share: f64,
    /// Features that are logged as missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<String>,
    /// Text features that are logged as a keyed hash: equal values stay equal, and nothing else can be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash: Vec<String>,
    /// Days after which predictions and their outcomes are deleted; kept when absent. Postings stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
}

impl Default for LogSpec {
    fn default() -> Self {
        Self {
            durability: Durability::Ack,
            feature_share: 1.0,
            redact: Vec::new(),
            hash: Vec::new(),
            keep_days: None,
        }
    }
}

/// What becomes of one feature in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// It is logged.
    Always,
    /// It is logged for the sampled rows.
    Sampled,
    /// It is logged as a hash, for the sampled rows.
    Hashed,
    /// It is never logged.
    Never,
}

/// A [`LogSpec`] compiled for the features of its endpoint.
#[derive(Debug, Clone)]
pub struct LogMask {
    share: f64,
    columns: Vec<Kept>,
    key: IdKey,
}

impl LogSpec {
    /// Compiles it for an endpoint with those features, whose value model reads those at `valued`. `None` when the log
    /// is to hold everything.
    pub fn mask(
        &self,
        features: &[Field],
        valued: &BTreeSet<usize>,
        key: IdKey,
    ) -> Result<Option<LogMask>, DomainError> {
        if !(self.feature_share > 0.0 && self.feature_share <= 1.0) {
            return Err(DomainError::invalid("log.feature_share", "must be above 0 and at most 1"));
        }
        if self.keep_days == Some(0) {
            return Err(DomainError::invalid("log.keep_days", "must be at least 1"));
        }
        let mut columns = vec![Kept::Sampled; features.len()];
        for (names, kept, field) in
            [(&self.redact, Kept::Never, "log.redact"), (&self.hash, Kept::Hashed, "log.hash")]
        {
            for name in names {
                let Some(at) = features.iter().position(|f| *f.name == **name) else {
                    return Err(DomainError::invalid(field, format!("'{name}' is not a feature")));
                };
                if valued.contains(&at) {
                    let problem = format!("the value model reads '{name}', so it has to be logged as it is");
                    return Err(DomainError::invalid(field, problem));
                }
                if kept == Kept::Hashed && features[at].column_type != ColumnType::Text {
                    let problem = format!("'{name}' holds numbers, which cannot be hashed; redact it");
                    return Err(DomainError::invalid(field, problem));
                }
                if columns[at] != Kept::Sampled {
                    return Err(DomainError::invalid(field, format!("'{name}' is named twice")));
                }
                columns[at] = kept;
            }
        }
        for at in valued {
            columns[*at] = Kept::Always;
        }
        let everything = self.feature_share >= 1.0 && self.redact.is_empty() && self.hash.is_empty();
        Ok((!everything).then_some(LogMask { share: self.feature_share, columns, key }))
    }
}

impl LogMask {
    /// How many rows the prediction of that id stands for; 0 when its features are not sampled. Decided by the id's own
    /// random bits, so that it needs no state and can be checked later.
    pub fn weight(&self, id: PredictionId) -> f64 {
        if self.share >= 1.0 {
            return 1.0;
        }
        let mut hasher = siphasher::sip::SipHasher13::new_with_key(&self.key.0);
        hasher.write(id.0.as_bytes());
        let place = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
        if place < self.share { 1.0 / self.share } else { 0.0 }
    }

    /// The features as they are logged, given each row's weight.
    pub fn apply(&self, features: &Frame, weights: &[f64]) -> Result<Frame, DomainError> {
        let columns =
            features.columns().iter().zip(&self.columns).map(|(column, kept)| match (column, kept) {
                (column, Kept::Always) => column.clone(),
                (Column::Number(values), Kept::Sampled) => {
                    let rows = values.iter().zip(weights);
                    Column::Number(rows.map(|(v, w)| if *w > 0.0 { *v } else { f64::NAN }).collect())
                }
                (Column::Number(values), _) => Column::Number(vec![f64::NAN; values.len()]),
                (Column::Text(values), Kept::Never) => Column::Text(vec![None; values.len()]),
                (Column::Text(values), kept) => {
                    let rows = values.iter().zip(weights);
                    let logged = |text: &Arc<str>| {
                        if *kept == Kept::Hashed { self.hashed(text) } else { Arc::clone(text) }
                    };
                    Column::Text(rows.map(|(v, w)| v.as_ref().filter(|_| *w > 0.0).map(logged)).collect())
                }
            });
        Frame::new(Arc::clone(features.fields()), columns.collect())
    }

    /// SipHash-2-4 with 128 bits under the installation's key: a keyed PRF, so nobody without the key can try values.
    fn hashed(&self, text: &str) -> Arc<str> {
        let mut hasher = SipHasher24::new_with_key(&self.key.0);
        hasher.write(b"feature\0");
        hasher.write(text.as_bytes());
        format!("{:032x}", hasher.finish128().as_u128()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Micros;

    const KEY: IdKey = IdKey([9; 16]);

    fn fields() -> Arc<[Field]> {
        vec![Field::number("balance"), Field::number("age"), Field::text("name"), Field::text("job")].into()
    }

    fn rows() -> Frame {
        let text = |a: &str, b: &str| Column::Text(vec![Some(a.into()), Some(b.into())]);
        let columns = vec![
            Column::Number(vec![1.0, 2.0]),
            Column::Number(vec![30.0, 40.0]),
            text("Anna", "Anna"),
            text("nurse", "pilot"),
        ];
        Frame::new(fields(), columns).unwrap()
    }

    fn spec() -> LogSpec {
        LogSpec { redact: vec!["age".to_owned()], hash: vec!["name".to_owned()], ..LogSpec::default() }
    }

    #[test]
    fn redacted_is_missing_and_hashed_is_equal_only_to_itself() {
        let valued = BTreeSet::from([0]);
        let mask = spec().mask(&fields(), &valued, KEY).unwrap().unwrap();
        let logged = mask.apply(&rows(), &[1.0, 1.0]).unwrap();
        assert!(logged.numbers("age").unwrap().iter().all(|v| v.is_nan()));
        assert_eq!(logged.numbers("balance").unwrap(), [1.0, 2.0]);
        let names = logged.texts("name").unwrap();
        assert_eq!(names[0], names[1]);
        let name = names[0].as_deref().unwrap();
        assert!(name.len() == 32 && !name.contains("Anna"));
        assert_eq!(logged.texts("job").unwrap()[1].as_deref(), Some("pilot"));
    }

    #[test]
    fn what_money_is_counted_with_is_never_lost() {
        let valued = BTreeSet::from([0]);
        let of = |spec: LogSpec| spec.mask(&fields(), &valued, KEY);
        assert!(of(LogSpec { redact: vec!["balance".to_owned()], ..LogSpec::default() }).is_err());
        assert!(of(LogSpec { hash: vec!["age".to_owned()], ..LogSpec::default() }).is_err());
        assert!(of(LogSpec { redact: vec!["size".to_owned()], ..LogSpec::default() }).is_err());
        assert!(of(LogSpec { feature_share: 0.0, ..LogSpec::default() }).is_err());
        assert!(of(LogSpec::default()).unwrap().is_none());
        let mask = of(LogSpec { feature_share: 0.5, ..LogSpec::default() }).unwrap().unwrap();
        let logged = mask.apply(&rows(), &[0.0, 2.0]).unwrap();
        assert_eq!(logged.numbers("balance").unwrap(), [1.0, 2.0]);
        assert!(logged.numbers("age").unwrap()[0].is_nan() && logged.texts("job").unwrap()[0].is_none());
        assert_eq!(logged.texts("job").unwrap()[1].as_deref(), Some("pilot"));
    }

    #[test]
    fn the_weights_add_up_to_all_rows() {
        let mask = LogSpec { feature_share: 0.2, ..LogSpec::default() };
        let mask = mask.mask(&fields(), &BTreeSet::new(), KEY).unwrap().unwrap();
        let ids = (0..20_000).map(|i| PredictionId::issue(&KEY, "calls", Micros(i), i as u64));
        let total: f64 = ids.map(|id| mask.weight(id)).sum();
        // Four standard errors of 20,000 draws, each 5 with probability 0.2: the deviation of one is 2.
        assert!((total - 20_000.0).abs() < 4.0 * 2.0 * 20_000_f64.sqrt(), "{total}");
    }
}
