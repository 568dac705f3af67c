//! The bounds of every name, key, value and batch, and the checks that both backends share.

use crate::{OnlineError, Result};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Longest key; the shortest has one byte.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Most pairs of one batch or upsert.
pub const MAX_BATCH_PAIRS: usize = 10_000;
/// Most bytes of keys and values of one batch or upsert: what a load holds in memory.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// Most keys of one read.
pub const MAX_KEYS_READ: usize = 10_000;
/// Longest name of a table or a generation.
pub const MAX_NAME_BYTES: usize = 100;
/// Most tables of a store: each embedded one keeps a file open and a cache.
pub const MAX_TABLES: usize = 256;

pub(crate) fn check_table(name: &str) -> Result<()> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    check_name("table", name, "a-z, 0-9, _ and -", allowed)
}

pub(crate) fn check_generation(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'+');
    check_name("generation", name, "letters, digits and _ - . : +", allowed)
}

fn check_name(what: &str, name: &str, letters: &str, allowed: fn(u8) -> bool) -> Result<()> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
    let problem = format!("'{shown}' is no name of a {what}; use 1 to {MAX_NAME_BYTES} of {letters}");
    Err(OnlineError::Invalid(problem))
}

pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let found = key.len();
    Err(OnlineError::Invalid(format!("a key has {found} bytes; it must have 1 to {MAX_KEY_BYTES}")))
}

pub(crate) fn check_keys(keys: &[&[u8]]) -> Result<()> {
    if keys.len() > MAX_KEYS_READ {
        let found = keys.len();
        let problem =
            format!("{found} keys are read at once; ask for {MAX_KEYS_READ} at most, in several reads");
        return Err(OnlineError::Invalid(problem));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

pub(crate) fn check_batch(pairs: &[Pair]) -> Result<()> {
    if pairs.len() > MAX_BATCH_PAIRS {
        let found = pairs.len();
        let problem = format!("a batch has {found} pairs; put {MAX_BATCH_PAIRS} at most, in several batches");
        return Err(OnlineError::Invalid(problem));
    }
    let mut bytes = 0;
    for (position, (key, value)) in pairs.iter().enumerate() {
        check_key(key)?;
        if value.len() > MAX_VALUE_BYTES {
            let found = value.len();
            return Err(OnlineError::Invalid(format!(
                "value {position} of the batch has {found} bytes; a value may have {MAX_VALUE_BYTES}"
            )));
        }
        bytes += key.len() + value.len();
    }
    if bytes > MAX_BATCH_BYTES {
        let problem = format!("a batch has {bytes} bytes; put {MAX_BATCH_BYTES} at most, in several batches");
        return Err(OnlineError::Invalid(problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MAX_BATCH_PAIRS, MAX_NAME_BYTES, MAX_VALUE_BYTES, Pair};

    #[test]
    fn names() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for (name, good) in
            [("churn_2-a", true), ("", false), ("Churn", false), ("a b", false), (&long, false)]
        {
            assert_eq!(super::check_table(name).is_ok(), good, "{name}");
        }
        assert!(super::check_generation("2026-11-22T06:00:00+01:00").is_ok());
        assert!(super::check_generation("a/b").is_err());
    }

    #[test]
    fn batches() {
        let check = |pairs: Vec<Pair>, good: bool| assert_eq!(super::check_batch(&pairs).is_ok(), good);
        check(vec![(vec![1; 512], vec![0; MAX_VALUE_BYTES])], true);
        check(vec![(vec![1; 513], vec![])], false);
        check(vec![(vec![], vec![])], false);
        check(vec![(vec![1], vec![0; MAX_VALUE_BYTES + 1])], false);
        check(vec![(vec![1], vec![]); MAX_BATCH_PAIRS], true);
        check(vec![(vec![1], vec![]); MAX_BATCH_PAIRS + 1], false);
        check(vec![(vec![1], vec![0; MAX_VALUE_BYTES]); 65], false);
    }
}
