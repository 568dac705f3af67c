//! How a call to another server can fail, and what follows from it.

use thiserror::Error;

/// Bytes of a server's own words that an error repeats. They come from a stranger, and an address could be chosen to
/// make the server read something out: only a field that is meant as an error message is repeated, and shortened.
const QUOTED: usize = 200;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CallError {
    /// The connection was refused or broke.
    #[error("cannot be reached: {0}")]
    Transport(String),
    /// It says that it cannot now: 502, 503, 504, UNAVAILABLE.
    #[error("is not available: {0}")]
    Unavailable(String),
    /// No answer in time.
    #[error("did not answer within {0} ms")]
    Timeout(u128),
    /// It says that the request is wrong: 4xx and its gRPC relatives.
    #[error("refuses the request: {0}")]
    Refused(String),
    /// It failed: 500, INTERNAL.
    #[error("failed: {0}")]
    Failed(String),
    /// Its answer is not one.
    #[error("gave an answer that cannot be used: {0}")]
    Answer(String),
}

impl CallError {
    /// Scoring twice does no harm. A timeout is not sent again, because it would double the load of a slow server.
    pub(crate) fn may_be_sent_again(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Unavailable(_))
    }

    /// Whether it speaks against the address. A refused request does not.
    pub(crate) fn blames_address(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// By HTTP status; `body` is what came with it.
    pub(crate) fn of_status(status: u16, body: &[u8]) -> Self {
        let text = match quoted(body) {
            Some(words) => format!("status {status}, '{words}'"),
            None => format!("status {status}"),
        };
        match status {
            502..=504 => Self::Unavailable(text),
            400..=499 => Self::Refused(text),
            // A redirect is not followed: the address was what somebody was allowed to choose.
            300..=399 => Self::Failed(format!("{text}; redirects are not followed, name the final address")),
            _ => Self::Failed(text),
        }
    }
}

/// The error message of a JSON object, as the protocols write it.
fn quoted(body: &[u8]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let words = ["error", "message", "detail"].iter().find_map(|key| object.get(*key)?.as_str())?;
    Some(clean(words))
}

/// Shortened, on one line.
pub(crate) fn clean(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_meant_as_errors_are_repeated() {
        let error = CallError::of_status(400, br#"{"error": "no\nsuch model", "secret": "x"}"#);
        assert_eq!(error, CallError::Refused("status 400, 'no such model'".to_owned()));
        assert_eq!(CallError::of_status(500, b"AKIA-secret"), CallError::Failed("status 500".to_owned()));
    }

    #[test]
    fn what_is_sent_again_and_what_counts_against_an_address() {
        for (status, again, blames) in [
            (400, false, false),
            (429, false, false),
            (500, false, true),
            (503, true, true),
            (301, false, true),
        ] {
            let error = CallError::of_status(status, b"");
            assert_eq!((error.may_be_sent_again(), error.blames_address()), (again, blames), "{status}");
        }
        assert!(!CallError::Timeout(1).may_be_sent_again());
        assert!(CallError::Transport(String::new()).may_be_sent_again());
    }
}
