//! The `traceparent` of W3C Trace Context (Recommendation, 23 November 2021, section 3.2): which trace a request
//! belongs to.
//!
//! Owns reading and writing that header, without allocating. It refuses everything that the recommendation calls
//! invalid, so that a bad header starts a new trace instead of joining a wrong one. `tracestate` is not read.

use std::fmt;

/// Where a request comes from in a distributed trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The whole trace; never zero.
    pub trace_id: u128,
    /// The caller's span; never zero.
    pub parent_id: u64,
    /// Whether the caller recorded its part.
    pub sampled: bool,
}

/// `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH: usize = 55;

impl TraceParent {
    /// Reads the value of a `traceparent` header.
    ///
    /// Version 00 has exactly 55 characters. A higher version may go on after them with `-` and more; its first four
    /// fields are read as those of version 00. Version ff is invalid.
    ///
    /// ```
    /// use greenlight_domain::trace::TraceParent;
    /// let parent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// assert_eq!(parent.trace_id, 0x4bf92f3577b34da6a3ce929d0e0e4736);
    /// assert_eq!(parent.parent_id, 0x00f067aa0ba902b7);
    /// assert!(parent.sampled);
    /// ```
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (fields, rest) = header.split_at_checked(LENGTH)?;
        let dashes = fields[2] == b'-' && fields[35] == b'-' && fields[52] == b'-';
        let version = hexadecimal(&fields[..2])?;
        let known = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !dashes || !known {
            return None;
        }
        let trace_id = hexadecimal(&fields[3..35]).filter(|id| *id != 0)?;
        let parent_id = hexadecimal(&fields[36..52]).filter(|id| *id != 0)? as u64;
        let flags = hexadecimal(&fields[53..])?;
        Some(Self { trace_id, parent_id, sampled: flags & 1 == 1 })
    }
}

/// At most 32 lower-case hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    let mut value = 0_u128;
    for digit in digits {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u128::from(digit);
    }
    Some(value)
}

/// As the header wants it, version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    /// Both examples of the recommendation, section 3.2.3.
    #[test]
    fn the_examples_of_the_recommendation_are_read_and_written() {
        for (header, sampled) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
        ] {
            let parent = TraceParent::parse(header.as_bytes()).unwrap();
            assert_eq!(parent, TraceParent { trace_id: TRACE, parent_id: 0x00f0_67aa_0ba9_02b7, sampled });
            assert_eq!(parent.to_string(), header);
        }
    }

    /// Section 3.2.4: a higher version is read as far as it is known; unknown flags are ignored.
    #[test]
    fn later_versions_and_flags_are_tolerated() {
        let read = |header: &str| TraceParent::parse(header.as_bytes()).map(|p| p.sampled);
        assert_eq!(read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some(true));
        assert_eq!(read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"), Some(true));
        assert_eq!(read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"), Some(true));
        assert_eq!(read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe"), Some(false));
    }

    /// Section 3.2.2: what must be ignored.
    #[test]
    fn what_the_recommendation_calls_invalid_is_refused() {
        for header in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-0f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(header.as_bytes()), None, "{header}");
        }
    }
}
