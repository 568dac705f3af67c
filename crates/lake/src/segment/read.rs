//! Reads segments: which frames are whole, and the rows in them.
//!
//! Refuses to repair: it says where the good part ends; `folder` cuts.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;

use super::record::{self, Predictions};
use super::{FRAME_HEAD, Kind, MAGIC, MAX_PAYLOAD};
use crate::{encode, error, schema};

/// Rows after which a batch takes no further frame.
const BATCH_ROWS: usize = 8_192;

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
    scan.payloads.first().map(|schema| parse_features(path, &bytes[schema.clone()])).transpose()
}

fn parse_features(path: &Path, payload: &[u8]) -> Result<Arc<[Field]>, LakeError> {
    let fields: Vec<Field> = serde_json::from_slice(payload).map_err(|e| error::corrupt(path, e))?;
    Ok(fields.into())
}

/// The rows of a segment's first `good` bytes, in batches of some thousand rows: what is in memory is one batch and
/// the frame that is read.
pub(crate) struct Batches {
    path: PathBuf,
    kind: Kind,
    file: BufReader<File>,
    features: Arc<[Field]>,
    schema: SchemaRef,
    good: u64,
    /// Bytes read.
    at: u64,
    frame: Vec<u8>,
}

impl Batches {
    /// Opens the segment at `path`.
    pub(crate) fn open(path: &Path, kind: Kind, good: u64) -> Result<Self, LakeError> {
        let file = File::open(path).map_err(|e| error::io(path, &e))?;
        let mut batches = Self {
            path: path.to_owned(),
            kind,
            file: BufReader::new(file),
            features: Arc::default(),
            schema: schema::outcomes(),
            good,
            at: 0,
            frame: Vec::new(),
        };
        let mut magic = [0; MAGIC.len()];
        batches.fill(&mut magic)?;
        if magic != *MAGIC {
            return Err(batches.damaged(0));
        }
        if batches.next_frame()? {
            batches.features = parse_features(path, &batches.frame)?;
        }
        if kind == Kind::Predictions {
            batches.schema = schema::predictions(&batches.features);
        }
        Ok(batches)
    }

    fn damaged(&self, at: u64) -> LakeError {
        let problem = format!("is damaged after byte {at} of {}; restore it from a backup", self.good);
        error::corrupt(&self.path, problem)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LakeError> {
        let at = self.at;
        if self.good - at < bytes.len() as u64 {
            return Err(self.damaged(at));
        }
        self.at += bytes.len() as u64;
        match self.file.read_exact(bytes) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.damaged(at)),
            read => read.map_err(|e| error::io(&self.path, &e)),
        }
    }

    /// Reads the next frame into `frame`; false after the last one.
    fn next_frame(&mut self) -> Result<bool, LakeError> {
        let start = self.at;
        if start == self.good {
            return Ok(false);
        }
        let mut bytes = [0; FRAME_HEAD];
        self.fill(&mut bytes)?;
        let Some((length, checksum)) = head(&bytes).filter(|(length, _)| (1..=MAX_PAYLOAD).contains(length))
        else {
            return Err(self.damaged(start));
        };
        if self.good - self.at < length as u64 {
            return Err(self.damaged(start));
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.resize(length, 0);
        self.fill(&mut frame)?;
        self.frame = frame;
        if crc32fast::hash(&self.frame) == checksum { Ok(true) } else { Err(self.damaged(start)) }
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let batch = match self.kind {
            Kind::Predictions => {
                let mut records = Predictions::new(&self.features);
                while records.rows() < BATCH_ROWS && self.next_frame()? {
                    records.read(&self.frame).map_err(|e| error::corrupt(&self.path, e))?;
                }
                let rows = records.finish().map_err(|e| error::corrupt(&self.path, e))?;
                encode::predictions(&self.schema, &rows)
            }
            Kind::Outcomes => {
                let mut rows = Vec::new();
                while rows.len() < BATCH_ROWS && self.next_frame()? {
                    record::read_outcomes(&self.frame, &mut rows)
                        .map_err(|e| error::corrupt(&self.path, e))?;
                }
                encode::outcomes(&self.schema, &rows)
            }
        };
        let batch = batch.map_err(error::arrow)?;
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
