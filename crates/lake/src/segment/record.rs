//! Events as records of a segment: written by the request that brings them, read when they are sealed.
//!
//! Owns the layout. A record has no names and no alignment, so that writing one is a few copies; columns are built
//! once, when a segment is sealed. Little endian throughout:
//!
//! | part | bytes |
//! | --- | --- |
//! | prediction | id 16, at 8, route version 8, latency 8, propensity 8, champion's propensity 8, probability 8, variant 1, flags 1, [more flags 1], [mirrored id 16], unit, decision, [release], [model], [champion's decision], [error], [candidates], [fallback], [trace], [decision's propensity 8], [feature weight 8], then its features in the order of the segment's schema |
//! | outcome | id 16, at 8, value 8, name |
//! | number | IEEE double; NaN is missing |
//! | text | LEB128 of its length plus one (0 is missing), then UTF-8 |
//!
//! Refuses to guess: a record that does not end where the next begins makes the whole frame corrupt.

use std::sync::Arc;

use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::prediction::{Outcome, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use uuid::Uuid;

use crate::decode::Texts;

const HAS_MIRRORS: u8 = 1;
const HAS_RELEASE: u8 = 2;
const HAS_MODEL: u8 = 4;
const HAS_CHAMPION_DECISION: u8 = 8;
const HAS_ERROR: u8 = 16;
/// A second byte of flags follows.
const HAS_MORE: u8 = 128;
const HAS_CANDIDATES: u8 = 1;
const HAS_FALLBACK: u8 = 2;
const HAS_TRACE: u8 = 4;
/// Its decision's propensity is not 1.
const HAS_DECISION_PROPENSITY: u8 = 8;
/// Its feature weight is not 1.
const HAS_FEATURE_WEIGHT: u8 = 16;
/// Bytes of a prediction before its texts, without the mirrored id.
const FIXED: usize = 16 + 6 * 8 + 2;

/// Predictions with features in the order of their frame.
pub(crate) fn predictions(batch: &PredictionBatch) -> Vec<u8> {
    let columns = batch.features.columns();
    let rows = batch.predictions.len();
    let mut bytes = Vec::with_capacity(rows * (FIXED + 120 + 9 * columns.len()));
    for (row, prediction) in batch.predictions.iter().enumerate() {
        push_prediction(&mut bytes, prediction);
        for column in columns {
            match column {
                Column::Number(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
                Column::Text(values) => push_text(&mut bytes, values[row].as_deref()),
            }
        }
    }
    bytes
}

fn push_prediction(bytes: &mut Vec<u8>, p: &Prediction) {
    bytes.extend_from_slice(p.id.0.as_bytes());
    for int in [p.at.0, p.route_version, p.latency_us] {
        bytes.extend_from_slice(&int.to_le_bytes());
    }
    for number in [p.propensity, p.champion_propensity, p.probability] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let flag = |present: bool, bit: u8| if present { bit } else { 0 };
    bytes.push(variant_code(p.variant));
    let more = flag(p.candidates.is_some(), HAS_CANDIDATES)
        | flag(p.fallback.is_some(), HAS_FALLBACK)
        | flag(p.trace.is_some(), HAS_TRACE)
        | flag(p.decision_propensity != 1.0, HAS_DECISION_PROPENSITY)
        | flag(p.feature_weight != 1.0, HAS_FEATURE_WEIGHT);
    bytes.push(
        flag(more != 0, HAS_MORE)
            | flag(p.mirrors.is_some(), HAS_MIRRORS)
            | flag(p.release.is_some(), HAS_RELEASE)
            | flag(p.model.is_some(), HAS_MODEL)
            | flag(p.champion_decision.is_some(), HAS_CHAMPION_DECISION)
            | flag(p.error.is_some(), HAS_ERROR),
    );
    if more != 0 {
        bytes.push(more);
    }
    if let Some(mirrored) = p.mirrors {
        bytes.extend_from_slice(mirrored.0.as_bytes());
    }
    push_text(bytes, Some(&p.unit));
    push_text(bytes, Some(&p.decision));
    let texts = [&p.release, &p.model, &p.champion_decision, &p.error, &p.candidates, &p.fallback, &p.trace];
    for text in texts.into_iter().flatten() {
        push_text(bytes, Some(text));
    }
    for number in [p.decision_propensity, p.feature_weight] {
        if number != 1.0 {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// Outcomes.
pub(crate) fn outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(outcomes.len() * 64);
    for outcome in outcomes {
        bytes.extend_from_slice(outcome.prediction_id.0.as_bytes());
        bytes.extend_from_slice(&outcome.at.0.to_le_bytes());
        bytes.extend_from_slice(&outcome.value.to_le_bytes());
        push_text(&mut bytes, Some(&outcome.name));
    }
    bytes
}

fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    let mut length = text.map_or(0, |t| t.len() + 1);
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn variant_code(variant: Variant) -> u8 {
    match variant {
        Variant::Champion => 0,
        Variant::Holdout => 1,
        Variant::Shadow => 2,
        Variant::Challenger => 3,
    }
}

fn variant_of(code: u8) -> Result<Variant, String> {
    [Variant::Champion, Variant::Holdout, Variant::Shadow, Variant::Challenger]
        .into_iter()
        .find(|variant| variant_code(*variant) == code)
        .ok_or_else(|| format!("has a variant of code {code}"))
}

/// Predictions as they are read, frame after frame of one segment.
pub(crate) struct Predictions {
    features: Arc<[Field]>,
    columns: Vec<Column>,
    rows: Vec<Prediction>,
    texts: Texts,
}

impl Predictions {
    /// None yet; their features are `features`.
    pub(crate) fn new(features: &Arc<[Field]>) -> Self {
        let columns = features.iter().map(|field| Column::empty(field.column_type)).collect();
        Self { features: Arc::clone(features), columns, rows: Vec::new(), texts: Texts::default() }
    }

    /// Predictions read so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds the predictions in `bytes`.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader { bytes, texts: &mut self.texts };
        while !reader.bytes.is_empty() {
            self.rows.push(reader.prediction()?);
            for column in &mut self.columns {
                match column {
                    Column::Number(values) => values.push(reader.number()?),
                    Column::Text(values) => values.push(reader.text()?),
                }
            }
        }
        Ok(())
    }

    /// All of them.
    pub(crate) fn finish(self) -> Result<PredictionBatch, String> {
        let features = Frame::new(self.features, self.columns).map_err(|e| e.to_string())?;
        Ok(PredictionBatch { features, predictions: self.rows })
    }
}

/// Adds the outcomes in `bytes` to `outcomes`.
pub(crate) fn read_outcomes(bytes: &[u8], outcomes: &mut Vec<Outcome>) -> Result<(), String> {
    let mut reader = Reader { bytes, texts: &mut Texts::default() };
    while !reader.bytes.is_empty() {
        let prediction_id = reader.id()?;
        let (at, value) = (Micros(reader.int()?), reader.number()?);
        outcomes.push(Outcome { prediction_id, name: reader.needed_text()?, value, at });
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    texts: &'a mut Texts,
}

impl Reader<'_> {
    fn prediction(&mut self) -> Result<Prediction, String> {
        let id = self.id()?;
        let (at, route_version, latency_us) = (Micros(self.int()?), self.int()?, self.int()?);
        let (propensity, champion_propensity, probability) = (self.number()?, self.number()?, self.number()?);
        let [variant, flags] = self.take()?;
        let has = |bit: u8| flags & bit != 0;
        let [more] = if has(HAS_MORE) { self.take()? } else { [0] };
        let also = |bit: u8| more & bit != 0;
        Ok(Prediction {
            id,
            at,
            mirrors: if has(HAS_MIRRORS) { Some(self.id()?) } else { None },
            unit: self.needed_text()?,
            decision: self.needed_text()?,
            release: if has(HAS_RELEASE) { self.text()? } else { None },
            model: if has(HAS_MODEL) { self.text()? } else { None },
            champion_decision: if has(HAS_CHAMPION_DECISION) { self.text()? } else { None },
            error: if has(HAS_ERROR) { self.text()? } else { None },
            candidates: if also(HAS_CANDIDATES) { self.text()? } else { None },
            fallback: if also(HAS_FALLBACK) { self.text()? } else { None },
            trace: if also(HAS_TRACE) { self.text()? } else { None },
            decision_propensity: if also(HAS_DECISION_PROPENSITY) { self.number()? } else { 1.0 },
            feature_weight: if also(HAS_FEATURE_WEIGHT) { self.number()? } else { 1.0 },
            variant: variant_of(variant)?,
            propensity,
            champion_propensity,
            route_version,
            probability,
            latency_us,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(ends_early)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn id(&mut self) -> Result<PredictionId, String> {
        self.take().map(|bytes| PredictionId(Uuid::from_bytes(bytes)))
    }

    fn int(&mut self) -> Result<i64, String> {
        self.take().map(i64::from_le_bytes)
    }

    fn number(&mut self) -> Result<f64, String> {
        self.take().map(f64::from_le_bytes)
    }

    fn needed_text(&mut self) -> Result<Arc<str>, String> {
        self.text()?.ok_or_else(|| "lacks a text that every record has".to_owned())
    }

    fn text(&mut self) -> Result<Option<Arc<str>>, String> {
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.text_of(length);
            }
        }
        Err("has a text of impossible length".to_owned())
    }

    fn text_of(&mut self, length_plus_one: usize) -> Result<Option<Arc<str>>, String> {
        let Some(length) = length_plus_one.checked_sub(1) else { return Ok(None) };
        let (text, rest) = self.bytes.split_at_checked(length).ok_or_else(ends_early)?;
        self.bytes = rest;
        let text = str::from_utf8(text).map_err(|_| "has a text that is not UTF-8".to_owned())?;
        Ok(Some(self.texts.share(text)))
    }
}

fn ends_early() -> String {
    "ends within a record".to_owned()
}

#[cfg(test)]
mod tests {
    use greenlight_domain::prediction::IdKey;
    use proptest::prelude::*;

    use super::*;

    fn batch(unit: String, number: f64, text: Option<String>, optional: Option<String>) -> PredictionBatch {
        let at = Micros(1_700_000_000_000_000);
        let optional: Option<Arc<str>> = optional.map(Into::into);
        let id = PredictionId::issue(&IdKey([3; 16]), "calls", at, 7);
        let prediction = Prediction {
            id,
            at,
            unit: unit.into(),
            variant: Variant::Shadow,
            propensity: 0.25,
            champion_propensity: 0.75,
            release: optional.clone(),
            model: optional.clone(),
            route_version: -3,
            probability: number,
            decision: "call".into(),
            champion_decision: optional.clone(),
            mirrors: optional.is_some().then_some(id),
            latency_us: 12,
            error: optional.clone(),
            decision_propensity: if optional.is_some() { 0.95 } else { 1.0 },
            feature_weight: if optional.is_some() { 0.0 } else { 1.0 },
            candidates: optional.clone(),
            fallback: optional.clone(),
            trace: optional,
        };
        let fields: Arc<[Field]> = vec![Field::number("a"), Field::text("b")].into();
        let columns = vec![Column::Number(vec![number; 2]), Column::Text(vec![None, text.map(Into::into)])];
        let features = Frame::new(fields, columns).unwrap();
        PredictionBatch { features, predictions: vec![prediction.clone(), prediction] }
    }

    fn read_predictions(bytes: &[u8], features: &Arc<[Field]>) -> Result<PredictionBatch, String> {
        let mut predictions = Predictions::new(features);
        predictions.read(bytes)?;
        predictions.finish()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            unit in ".{1,40}", number: i32, text in proptest::option::of(".{0,300}"), optional in proptest::option::of(".{0,9}"),
        ) {
            let batch = batch(unit, f64::from(number), text, optional);
            prop_assert_eq!(read_predictions(&predictions(&batch), batch.features.fields()), Ok(batch));
        }

        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let fields: Arc<[Field]> = vec![Field::number("a"), Field::text("b")].into();
            let _ = read_predictions(&bytes, &fields);
            let _ = read_outcomes(&bytes, &mut Vec::new());
        }

        #[test]
        fn a_record_that_is_cut_is_refused(cut in 1..150_usize) {
            let batch = batch("unit".to_owned(), 1.0, Some("text".to_owned()), Some("o".to_owned()));
            let bytes = predictions(&batch);
            prop_assume!(cut < bytes.len());
            let read = read_predictions(&bytes[..bytes.len() - cut], batch.features.fields());
            // A cut between the two records leaves the first one whole.
            prop_assert!(read.is_err() || read.is_ok_and(|read| read.predictions == batch.predictions[..1]));
        }
    }
}
