//! A list that refuses to grow past a limit while it is being read.
//!
//! Owns the promise that a short hostile file cannot become a large allocation. It refuses to trust a declared
//! length: it counts what it reads.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// At most `LIMIT` entries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounded<T, const LIMIT: usize>(pub(crate) Vec<T>);

impl<T: Serialize, const LIMIT: usize> Serialize for Bounded<T, LIMIT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for Bounded<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries::<T, LIMIT>(PhantomData)).map(Self)
    }
}

struct Entries<T, const LIMIT: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for Entries<T, LIMIT> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {LIMIT} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if read.len() == LIMIT {
                return Err(A::Error::custom(format!("a list has more than {LIMIT} entries")));
            }
            read.push(entry);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_at_the_limit_is_read_and_one_past_it_is_refused() {
        assert_eq!(serde_json::from_str::<Bounded<u8, 3>>("[1,2,3]").unwrap().0, [1, 2, 3]);
        let error = serde_json::from_str::<Bounded<u8, 3>>("[1,2,3,4]").unwrap_err();
        assert!(error.to_string().starts_with("a list has more than 3 entries"), "{error}");
    }
}
