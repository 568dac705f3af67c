//! Reads segments: which frames are whole, and the rows in them.
//!
//! Refuses to repair: it says where the good part ends; `folder` cuts.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;

use super::{FRAME_HEAD, Kind, MAGIC, MAX_PAYLOAD, record};
use crate::{encode, error, schema};

/// Where the valid frames of a segment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Payloads of the valid frames; the first one is the schema.
    pub(crate) payloads: Vec<Range<usize>>,
    /// Bytes up to the end of the last valid frame; 0 when not even the magic is there.
    pub(crate) good: usize,
    /// Whether the bytes after `good` are more than the one frame that a crash can tear.
    pub(crate) damaged: bool,
}

impl Scan {
    /// Number of group commits, the schema not counted.
    pub(crate) fn batches(&self) -> usize {
        self.payloads.len().saturating_sub(1)
    }
}

/// Finds the valid frames of a segment.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    let mut found = Scan { payloads: Vec::new(), good: 0, damaged: false };
    if !bytes.starts_with(MAGIC) {
        found.damaged = bytes.len() > MAGIC.len() && !is_zero(bytes);
        return found;
    }
    found.good = MAGIC.len();
    while found.good < bytes.len() {
        let rest = &bytes[found.good..];
        let Some((length, checksum)) = head(rest) else { break };
        if length == 0 || length > MAX_PAYLOAD {
            found.damaged = !is_zero(rest);
            break;
        }
        let Some(payload) = rest.get(FRAME_HEAD..FRAME_HEAD + length) else { break };
        if crc32fast::hash(payload) != checksum {
            found.damaged = !is_zero(&rest[FRAME_HEAD + length..]);
            break;
        }
        let start = found.good + FRAME_HEAD;
        found.payloads.push(start..start + length);
        found.good = start + length;
    }
    found
}

/// Whether nothing was written here yet.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn head(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let checksum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    Some((length as usize, checksum))
}

/// The features of a segment's records, or `None` when it has no valid frame.
pub(crate) fn features(path: &Path, bytes: &[u8], scan: &Scan) -> Result<Option<Arc<[Field]>>, LakeError> {
    let Some(schema) = scan.payloads.first() else { return Ok(None) };
    let fields: Vec<Field> =
        serde_json::from_slice(&bytes[schema.clone()]).map_err(|e| error::corrupt(path, e))?;
    Ok(Some(fields.into()))
}

/// The rows of the first `good` bytes of the segment at `path`, one batch per group commit.
pub(crate) fn batches(path: &Path, kind: Kind, good: u64) -> Result<Vec<RecordBatch>, LakeError> {
    let mut bytes = std::fs::read(path).map_err(|e| error::io(path, &e))?;
    bytes.truncate(usize::try_from(good).unwrap_or(usize::MAX));
    let found = scan(&bytes);
    if found.good as u64 != good {
        let problem = format!("is damaged after byte {} of {good}; restore it from a backup", found.good);
        return Err(error::corrupt(path, problem));
    }
    decode(path, kind, &bytes, &found)
}

/// The rows of the valid frames.
pub(crate) fn decode(
    path: &Path,
    kind: Kind,
    bytes: &[u8],
    found: &Scan,
) -> Result<Vec<RecordBatch>, LakeError> {
    let Some(features) = features(path, bytes, found)? else { return Ok(Vec::new()) };
    let schema = match kind {
        Kind::Predictions => schema::predictions(&features),
        Kind::Outcomes => schema::outcomes(),
    };
    let batch = |payload: &Range<usize>| {
        let records = &bytes[payload.clone()];
        match kind {
            Kind::Predictions => {
                let rows =
                    record::read_predictions(records, &features).map_err(|e| error::corrupt(path, e))?;
                encode::predictions(&schema, &rows).map_err(error::arrow)
            }
            Kind::Outcomes => {
                let rows = record::read_outcomes(records).map_err(|e| error::corrupt(path, e))?;
                encode::outcomes(&schema, &rows).map_err(error::arrow)
            }
        }
    };
    found.payloads[1..].iter().map(batch).collect()
}
