//! Prediction ids and the events that flow through the lake.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher24;
use uuid::Uuid;

use crate::DomainError;
use crate::frame::Frame;
use crate::time::Micros;

/// The id of a prediction: a UUIDv7 whose last 32 bits authenticate the rest.
///
/// The first 48 bits are the event time in milliseconds, so an outcome's id says which day to look in. The tag is a
/// truncated SipHash-2-4 (a keyed PRF; Aumasson and Bernstein 2012) over endpoint and id, so an outcome for an id
/// that we never issued is refused at the door without a look-up. 42 random bits keep ids of one millisecond apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PredictionId(pub Uuid);

/// The secret that tags prediction ids. Its `Debug` shows nothing.
#[derive(Clone, Copy)]
pub struct IdKey(pub [u8; 16]);

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

const TAG_MASK: u128 = 0xFFFF_FFFF;

impl PredictionId {
    /// Issues an id for `endpoint` at `at`; `random` must be fresh for each call.
    pub fn issue(key: &IdKey, endpoint: &str, at: Micros, random: u64) -> Self {
        let time = u128::from(at.unix_ms() & 0xFFFF_FFFF_FFFF) << 80;
        let version = 0x7_u128 << 76;
        let rand_a = u128::from(random & 0xFFF) << 64;
        let variant = 0b10_u128 << 62;
        let rand_b = u128::from((random >> 12) & 0x3FFF_FFFF) << 32;
        let untagged = time | version | rand_a | variant | rand_b;
        Self(Uuid::from_u128(untagged | tag(key, endpoint, untagged)))
    }

    /// True when this id was issued for `endpoint` under `key`.
    pub fn is_genuine(&self, key: &IdKey, endpoint: &str) -> bool {
        let bits = self.0.as_u128();
        tag(key, endpoint, bits & !TAG_MASK) == bits & TAG_MASK
    }

    /// The event time, to the millisecond.
    pub fn time(&self) -> Micros {
        Micros(((self.0.as_u128() >> 80) as i64) * 1_000)
    }

    /// The smallest id that any event at or after `at` can have.
    pub fn floor(at: Micros) -> u128 {
        u128::from(at.unix_ms()) << 80
    }
}

fn tag(key: &IdKey, endpoint: &str, untagged: u128) -> u128 {
    let mut hasher = SipHasher24::new_with_key(&key.0);
    hasher.write(endpoint.as_bytes());
    hasher.write(&untagged.to_be_bytes());
    u128::from(hasher.finish()) & TAG_MASK
}

impl fmt::Display for PredictionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for PredictionId {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::try_parse(text) {
            Ok(id) if id.get_version_num() == 7 => Ok(Self(id)),
            _ => {
                let shown: String = text.chars().take(64).collect();
                Err(DomainError::invalid("prediction_id", format!("'{shown}' is not a UUIDv7")))
            }
        }
    }
}

impl Serialize for PredictionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PredictionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which side of a comparison a prediction was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The released model, deciding.
    Champion,
    /// Another released model that is compared with the champion, deciding.
    Challenger,
    /// The business without the model, deciding.
    Holdout,
    /// A model that scores beside the live answer and decides nothing.
    Shadow,
}

impl Variant {
    /// The word in logs, columns and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
            Self::Holdout => "holdout",
            Self::Shadow => "shadow",
        }
    }
}

impl FromStr for Variant {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "champion" => Ok(Self::Champion),
            "challenger" => Ok(Self::Challenger),
            "holdout" => Ok(Self::Holdout),
            "shadow" => Ok(Self::Shadow),
            other => Err(DomainError::invalid("variant", format!("'{other}' is not a variant"))),
        }
    }
}

/// What was said about one row, beside its features.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Its id; a shadow's row has an id of its own.
    pub id: PredictionId,
    /// Event time.
    pub at: Micros,
    /// Who or what was assigned.
    pub unit: Arc<str>,
    /// Which side answered.
    pub variant: Variant,
    /// Probability with which this unit got this variant under the routes of the moment; 1 for a shadow.
    pub propensity: f64,
    /// Probability with which it would have got the champion rather than the holdout, given that it was to get one
    /// of the two; 0 when no release is rolling out. Without challengers and rules this is the champion's share.
    pub champion_propensity: f64,
    /// The variants that came into question with their probabilities, such as `champion=0.8 calls.4=0.1 holdout=0.1`,
    /// after the name of a targeting rule if one held. `None` for a shadow and in logs of earlier versions.
    pub candidates: Option<Arc<str>>,
    /// The release that was live or in shadow, if any.
    pub release: Option<Arc<str>>,
    /// `name@version` of the model that scored, if any.
    pub model: Option<Arc<str>>,
    /// Version of the routes that assigned.
    pub route_version: i64,
    /// The model's probability; NaN when no model was asked.
    pub probability: f64,
    /// What was decided (or would have been, for a shadow).
    pub decision: Arc<str>,
    /// Probability with which its variant takes that decision for this row; 1 unless a bandit explores.
    pub decision_propensity: f64,
    /// What the champion would decide for this unit, logged for holdout units too while one is rolling out, so that
    /// units on which both agree can be told apart. `None` without a champion or when it failed.
    pub champion_decision: Option<Arc<str>>,
    /// For a shadow: the live prediction that it mirrors.
    pub mirrors: Option<PredictionId>,
    /// Microseconds spent scoring.
    pub latency_us: i64,
    /// Why scoring failed, when it did and something else answered instead.
    pub error: Option<Arc<str>>,
    /// What answered instead: `name@version` of the model before, or `holdout` for the holdout's rule.
    pub fallback: Option<Arc<str>>,
    /// How many rows this one's features stand for: 1 when all are logged; 0 when only those are that the value
    /// model reads; 1 / share where a share of them is logged whole.
    pub feature_weight: f64,
    /// The W3C trace that the request belonged to: 32 hexadecimal digits.
    pub trace: Option<Arc<str>>,
}

/// Predictions of one request with their features.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionBatch {
    /// One row of features per prediction, with the endpoint's schema.
    pub features: Frame,
    /// What was said about each row.
    pub predictions: Vec<Prediction>,
}

/// Something that happened to a predicted unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which prediction.
    pub prediction_id: PredictionId,
    /// Name of the outcome in the value model.
    pub name: Arc<str>,
    /// 0 or 1, or an amount.
    pub value: f64,
    /// When it happened.
    pub at: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: IdKey = IdKey([7; 16]);

    #[test]
    fn an_id_is_a_uuid_of_version_7_that_knows_its_time() {
        let at: Micros = "2009-05-04T10:00:00Z".parse().unwrap();
        let id = PredictionId::issue(&KEY, "calls", at, u64::MAX);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.time(), at);
        assert_eq!(id.to_string().parse::<PredictionId>(), Ok(id));
        assert!(id.0.as_u128() >= PredictionId::floor(at));
    }

    #[test]
    fn an_id_of_another_endpoint_key_or_time_is_not_genuine() {
        let at = Micros(1_241_431_200_000_000);
        let id = PredictionId::issue(&KEY, "calls", at, 42);
        assert!(id.is_genuine(&KEY, "calls"));
        assert!(!id.is_genuine(&KEY, "mails"));
        assert!(!id.is_genuine(&IdKey([8; 16]), "calls"));
        assert!(!PredictionId(Uuid::from_u128(id.0.as_u128() ^ (1 << 90))).is_genuine(&KEY, "calls"));
        assert!(!PredictionId(Uuid::from_u128(id.0.as_u128() ^ 1)).is_genuine(&KEY, "calls"));
    }
}
