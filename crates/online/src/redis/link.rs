//! The connection to the server: bounded in time, retried once, and quick to say no while the server is away.
//!
//! Reads and writes have a connection each, so that a read does not wait behind the bytes of a batch. Every call that
//! this crate makes can be repeated: scripts compare before they set.

use crate::{OnlineError, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const CONNECT_WITHIN: Duration = Duration::from_millis(500);
const READ_WITHIN: Duration = Duration::from_secs(1);
/// A batch may have 64 MiB.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// After a failure, so long every call fails at once; then one call tries while the others still fail at once.
const OPEN_FOR: Duration = Duration::from_millis(500);

pub(super) struct Link {
    place: String,
    reads: ConnectionManager,
    writes: ConnectionManager,
    circuit: Circuit,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the client: it knows the password.
        f.debug_struct("Link").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn open(url: &str) -> Result<Self> {
        if url.starts_with("rediss:") && rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error says that somebody else was faster, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let client = redis::Client::open(url).map_err(|error| {
            OnlineError::Invalid(format!(
                "the Redis URL does not read: {error}; use redis://USER:PASSWORD@HOST:PORT/DB"
            ))
        })?;
        let place = format!("Redis at {}", client.get_connection_info().addr());
        let connect = |within| {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(CONNECT_WITHIN))
                .set_response_timeout(Some(within))
                .set_number_of_retries(0);
            ConnectionManager::new_lazy_with_config(client.clone(), config)
                .map_err(|error| OnlineError::Invalid(format!("{place} cannot be used: {error}")))
        };
        Ok(Self {
            reads: connect(READ_WITHIN)?,
            writes: connect(WRITE_WITHIN)?,
            place,
            circuit: Circuit::default(),
        })
    }

    /// The server, without user and password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) async fn read<T: FromRedisValue>(&self, call: &Cmd) -> Result<T> {
        self.ask(&self.reads, Question::One(call)).await
    }

    pub(super) async fn read_all<T: FromRedisValue>(&self, calls: &Pipeline) -> Result<T> {
        self.ask(&self.reads, Question::All(calls)).await
    }

    pub(super) async fn write<T: FromRedisValue>(&self, call: &Cmd) -> Result<T> {
        self.ask(&self.writes, Question::One(call)).await
    }

    pub(super) async fn write_all<T: FromRedisValue>(&self, calls: &Pipeline) -> Result<T> {
        self.ask(&self.writes, Question::All(calls)).await
    }

    /// A connection that was idle may have been cut off by the server: the second attempt gets a new one.
    async fn ask<T: FromRedisValue>(
        &self,
        connection: &ConnectionManager,
        question: Question<'_>,
    ) -> Result<T> {
        self.circuit.enter(&self.place, Instant::now())?;
        let mut answer = question.ask(connection.clone()).await;
        if answer.as_ref().is_err_and(RedisError::is_connection_dropped) {
            answer = question.ask(connection.clone()).await;
        }
        match answer {
            Ok(answer) => {
                self.circuit.close();
                Ok(answer)
            }
            Err(error) if is_unavailable(&error) => {
                self.circuit.open(Instant::now());
                let reason = format!("{error}; see that the server runs and can be reached, then try again");
                Err(OnlineError::Unavailable { place: self.place.clone(), reason })
            }
            Err(error) => {
                // It answered, be it with a refusal.
                self.circuit.close();
                Err(OnlineError::storage(&self.place, error))
            }
        }
    }
}

/// One call, or several in one transaction.
enum Question<'a> {
    One(&'a Cmd),
    All(&'a Pipeline),
}

impl Question<'_> {
    async fn ask<T: FromRedisValue>(&self, mut connection: ConnectionManager) -> RedisResult<T> {
        match self {
            Self::One(call) => call.query_async(&mut connection).await,
            Self::All(calls) => calls.query_async(&mut connection).await,
        }
    }
}

fn is_unavailable(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    let loads =
        matches!(error.kind(), ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown));
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || loads
}

/// Fails fast while the server is away. It measures waiting, not the time of day.
#[derive(Debug, Default)]
struct Circuit {
    open_until: Mutex<Option<Instant>>,
}

impl Circuit {
    fn enter(&self, place: &str, now: Instant) -> Result<()> {
        let mut open_until = self.open_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = *open_until else { return Ok(()) };
        if now < until {
            let wait_ms = (until - now).as_millis();
            let reason = format!("it did not answer a moment ago; it is asked again in {wait_ms} ms");
            return Err(OnlineError::Unavailable { place: place.to_owned(), reason });
        }
        *open_until = Some(now + OPEN_FOR);
        Ok(())
    }

    fn open(&self, now: Instant) {
        *self.open_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + OPEN_FOR);
    }

    fn close(&self) {
        *self.open_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{Circuit, OPEN_FOR};
    use std::time::Instant;

    #[test]
    fn one_call_in_an_interval_tries() {
        let (circuit, start) = (Circuit::default(), Instant::now());
        assert!(circuit.enter("r", start).is_ok());
        circuit.open(start);
        assert!(circuit.enter("r", start).is_err());
        let later = start + OPEN_FOR;
        assert!(circuit.enter("r", later).is_ok(), "the probe");
        assert!(circuit.enter("r", later).is_err(), "the others");
        circuit.close();
        assert!(circuit.enter("r", later).is_ok());
    }
}
