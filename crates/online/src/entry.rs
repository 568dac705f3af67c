//! The stored form of a value: eight bytes of expiry (microseconds since 1970, little endian), then the value.
//!
//! The expiry is part of the value, so that a reader decides with its own clock and never sees a value that has
//! expired but is not purged yet.

use bytes::Bytes;

const HEAD: usize = size_of::<i64>();
const NEVER: i64 = i64::MAX;

/// The stored form.
pub(crate) fn encode(value: &[u8], expires_at: Option<i64>) -> Vec<u8> {
    let mut stored = Vec::with_capacity(HEAD + value.len());
    stored.extend_from_slice(&expires_at.unwrap_or(NEVER).to_le_bytes());
    stored.extend_from_slice(value);
    stored
}

/// When a stored value expires; none when it is none of ours.
pub(crate) fn expires_at(stored: &[u8]) -> Option<i64> {
    stored.first_chunk::<HEAD>().map(|head| i64::from_le_bytes(*head))
}

/// The value, unless it has expired; an error when it is none of ours.
pub(crate) fn read(stored: &[u8], now: i64) -> Result<Option<Bytes>, &'static str> {
    let at = expires_at(stored).ok_or("a value is shorter than its expiry")?;
    let gone = at != NEVER && at <= now;
    Ok((!gone).then(|| Bytes::copy_from_slice(&stored[HEAD..])))
}

#[cfg(test)]
mod tests {
    use super::{encode, read};
    use bytes::Bytes;

    #[test]
    fn a_value_is_gone_at_its_expiry() {
        let stored = encode(b"x", Some(10));
        assert_eq!(read(&stored, 9), Ok(Some(Bytes::from_static(b"x"))));
        assert_eq!(read(&stored, 10), Ok(None));
        assert_eq!(read(&encode(b"", None), i64::MAX - 1), Ok(Some(Bytes::new())));
        assert!(read(b"short", 0).is_err());
    }
}
