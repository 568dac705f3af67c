//! Batch scoring: rows come in from Parquet, CSV or Delta in bounded chunks, results go out exactly once.
//!
//! Owns how a place is read from a given row on and how chunks become durable. Refuses to know models, decisions and
//! journals: whoever scores says which chunk is next.

mod delta;
mod read;
mod remote;
mod source;
mod write;

pub use delta::DeltaOutput;
pub use read::{Piece, Reader};
pub use source::Source;
pub use write::{DECISION, PROBABILITY, assemble, json_rows, parquet_bytes, result_rows, write_part};

/// Whether a folder holds a Delta table.
pub fn is_delta(folder: &std::path::Path) -> bool {
    folder.join("_delta_log").is_dir()
}
