//! Segment files: what was acknowledged and is not sealed yet.
//!
//! A file is the magic `GLSEG002` and then frames of `[u32 length | u32 CRC-32 | payload]`, little endian. The first
//! payload is the schema, a JSON list of features; each later one holds the records of one group commit (see
//! [`record`]). A frame is valid when its length is not 0 and its checksum fits; the file ends before the first one
//! that is not. Zeros follow the last frame of an open file: blocks that are there already make a sync cheaper.

pub(crate) mod disk;
pub(crate) mod folder;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod writer;

/// First bytes of a segment: format and version.
pub(crate) const MAGIC: &[u8; 8] = b"GLSEG002";
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEAD: usize = 8;
/// Most bytes of a payload; a longer length can only be damage.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// Which events a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Predictions,
    Outcomes,
}

impl Kind {
    /// The word in file names and messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Predictions => "predictions",
            Self::Outcomes => "outcomes",
        }
    }
}

/// The parts of a payload, one after the other, as a frame.
pub(crate) fn push_frame<'a>(bytes: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    let start = bytes.len() + FRAME_HEAD;
    bytes.resize(start, 0);
    parts.for_each(|part| bytes.extend_from_slice(part));
    let payload = &bytes[start..];
    let (length, checksum) = (payload.len() as u32, crc32fast::hash(payload));
    bytes[start - FRAME_HEAD..start - 4].copy_from_slice(&length.to_le_bytes());
    bytes[start - 4..start].copy_from_slice(&checksum.to_le_bytes());
}

#[cfg(test)]
mod tests;
