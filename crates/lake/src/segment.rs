//! Segment files: what was acknowledged and is not sealed yet.
//!
//! A file is the magic `GLSEG001` and then frames of `[u32 length | u32 CRC-32 | payload]`, little endian. The first
//! payload is an Arrow IPC schema message, each later one a record batch message of that stream: one frame per group
//! commit. A frame is valid when its length is not 0 and its checksum fits; the file ends before the first one that
//! is not. Refuses to know what the columns mean.

pub(crate) mod disk;
pub(crate) mod folder;
pub(crate) mod read;
pub(crate) mod writer;

/// First bytes of a segment: format and version.
pub(crate) const MAGIC: &[u8; 8] = b"GLSEG001";
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

/// `payload` as a frame.
pub(crate) fn push_frame(bytes: &mut Vec<u8>, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
