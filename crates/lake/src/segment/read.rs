//! Reads segments: which frames are whole, and the rows in them.
//!
//! Refuses to repair: it says where the good part ends; `folder` cuts.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_schema::SchemaRef;
use greenlight_app::lake::LakeError;

use super::{FRAME_HEAD, MAGIC, MAX_PAYLOAD};
use crate::error;

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
        found.damaged = bytes.len() > MAGIC.len();
        return found;
    }
    found.good = MAGIC.len();
    while found.good < bytes.len() {
        let rest = &bytes[found.good..];
        let Some((length, checksum)) = head(rest) else { break };
        if length == 0 || length > MAX_PAYLOAD {
            break;
        }
        let Some(payload) = rest.get(FRAME_HEAD..FRAME_HEAD + length) else { break };
        if crc32fast::hash(payload) != checksum {
            found.damaged = rest.len() > FRAME_HEAD + length;
            break;
        }
        let start = found.good + FRAME_HEAD;
        found.payloads.push(start..start + length);
        found.good = start + length;
    }
    found
}

fn head(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let checksum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    Some((length as usize, checksum))
}

/// The schema of a segment, or `None` when it has no valid frame.
pub(crate) fn schema(path: &Path, bytes: &[u8], scan: &Scan) -> Result<Option<SchemaRef>, LakeError> {
    if scan.payloads.is_empty() {
        return Ok(None);
    }
    let reader = StreamReader::try_new(Payloads::of(bytes, &scan.payloads[..1]), None)
        .map_err(|e| error::corrupt(path, e))?;
    Ok(Some(reader.schema()))
}

/// The rows of the first `good` bytes of the segment at `path`, one batch per group commit.
pub(crate) fn batches(path: &Path, good: u64) -> Result<Vec<RecordBatch>, LakeError> {
    let mut bytes = std::fs::read(path).map_err(|e| error::io(path, &e))?;
    bytes.truncate(usize::try_from(good).unwrap_or(usize::MAX));
    let found = scan(&bytes);
    if found.good as u64 != good {
        let problem = format!("is damaged after byte {} of {good}; restore it from a backup", found.good);
        return Err(error::corrupt(path, problem));
    }
    decode(path, &bytes, &found)
}

/// The rows of the valid frames.
pub(crate) fn decode(path: &Path, bytes: &[u8], found: &Scan) -> Result<Vec<RecordBatch>, LakeError> {
    if found.batches() == 0 {
        return Ok(Vec::new());
    }
    let reader = StreamReader::try_new(Payloads::of(bytes, &found.payloads), None)
        .map_err(|e| error::corrupt(path, e))?;
    reader.collect::<Result<_, _>>().map_err(|e| error::corrupt(path, e))
}

/// The payloads of a segment, one after the other: an Arrow IPC stream.
struct Payloads<'a> {
    bytes: &'a [u8],
    next: &'a [Range<usize>],
    current: &'a [u8],
}

impl<'a> Payloads<'a> {
    fn of(bytes: &'a [u8], payloads: &'a [Range<usize>]) -> Self {
        Self { bytes, next: payloads, current: &[] }
    }
}

impl Read for Payloads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some((first, rest)) = self.next.split_first() else { return Ok(0) };
            self.current = &self.bytes[first.clone()];
            self.next = rest;
        }
        self.current.read(buffer)
    }
}
