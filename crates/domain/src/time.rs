//! Points in time as microseconds since 1970-01-01T00:00:00Z, and calendar days in UTC.
//!
//! Databases, Arrow columns and JSON all carry the same integer, so nothing is lost on the way.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::DomainError;

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

/// A point in time, in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// Midnight UTC at the start of `date`.
    pub fn start_of(date: Date) -> Self {
        // Every civil date has a UTC midnight, so the fallback is never taken.
        Self(date.to_zoned(TimeZone::UTC).map_or(0, |z| z.timestamp().as_microsecond()))
    }

    /// The UTC calendar day that contains this moment.
    pub fn date(self) -> Date {
        self.timestamp().to_zoned(TimeZone::UTC).date()
    }

    /// Days since the Unix epoch, rounded down.
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY_US)).unwrap_or(i32::MAX)
    }

    /// Midnight UTC at the start of the `day`-th day since the epoch.
    pub fn from_day(day: i32) -> Self {
        Self(i64::from(day) * DAY_US)
    }

    /// This moment plus whole days (negative goes back).
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(DAY_US)))
    }

    /// Milliseconds since the epoch, never negative, as a UUIDv7 carries them.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or_default()
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl FromStr for Micros {
    type Err = DomainError;

    /// RFC 3339 (`2009-05-04T10:00:00Z`) or a bare date (`2009-05-04`, midnight UTC).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(date) = text.parse::<Date>()
            && text.len() == 10
        {
            return Ok(Self::start_of(date));
        }
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond())).map_err(|_| {
            DomainError::invalid("time", format!("'{text}' is neither a date (2009-05-04) nor RFC 3339"))
        })
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_its_midnight_are_the_same_moment() {
        let date: Micros = "2009-05-04".parse().unwrap();
        let moment: Micros = "2009-05-04T00:00:00Z".parse().unwrap();
        assert_eq!(date, moment);
        // 14,368 days lie between 1970-01-01 and 2009-05-04 (39 years with 10 leap days, then 123 days).
        assert_eq!(date.day(), 39 * 365 + 10 + 123);
        assert_eq!(Micros::from_day(date.day()), date);
    }

    #[test]
    fn nonsense_is_refused_with_the_right_form() {
        let error = "yesterday".parse::<Micros>().unwrap_err();
        assert!(error.to_string().contains("2009-05-04"));
    }
}
