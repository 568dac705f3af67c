//! The key-value store behind batch predictions and online features.
//!
//! Owns tables of opaque keys and values. A table has one active generation: a job loads the next one in numbered
//! batches while the old one serves, and publishing swaps the whole table at once. Single keys can be upserted into
//! the active generation, with an expiry. Two backends do the same: files of an embedded database in a folder (the
//! default, one process), and Redis or Valkey (many processes). It is the only crate that names `redb` and `redis`.
//!
//! Refuses to know what a key or a value means, who may read it, and what time it is: the time is an argument, in
//! microseconds since 1970. It starts no task of its own: somebody calls [`Store::purge`] now and then.

mod embedded;
mod entry;
mod error;
mod generation;
mod limits;
mod load;
mod redis;
mod store;

pub use error::OnlineError;
pub use generation::{Generation, Purged, Table, Values};
pub use limits::{
    MAX_BATCH_BYTES, MAX_BATCH_PAIRS, MAX_KEY_BYTES, MAX_KEYS_READ, MAX_NAME_BYTES, MAX_TABLES,
    MAX_VALUE_BYTES, Pair,
};
pub use load::{Load, Put};
pub use store::Store;

type Result<T, E = OnlineError> = std::result::Result<T, E>;
