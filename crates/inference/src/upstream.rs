//! Models on other servers: Open Inference Protocol over REST or gRPC, and MLflow's scoring server.
//!
//! Owns one call from the rows to one probability a row: parts of bounded size, a choice of address, attempts within
//! the deadline, and what each outcome says about its address. It refuses to wait in a queue: past its bound in flight,
//! or with every circuit open, it says so at once and the caller falls back.

mod balance;
mod breaker;
mod describe;
mod failed;
mod grpc;
mod http;
mod mlflow;
mod spec;
mod tensor;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use greenlight_app::runtime::{CallContext, Model, RuntimeError, Upstream, UpstreamHealth};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::model::Signature;
use greenlight_oip::ModelInferRequest;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout_at};

use crate::artifact::refused;
use crate::runtime::signature;
use balance::{Balance, Ended, Refusal};
use failed::CallError;
use grpc::GrpcServers;
use http::HttpServers;
use spec::Protocol;

pub(crate) use spec::Spec;

/// The flavor of these models.
const FLAVOR: &str = "upstream";
/// Longest time that a registration waits for a server's description.
const DESCRIBE: Duration = Duration::from_secs(10);
/// Before the first retry, up to this long; twice that before the second.
const PAUSE: Duration = Duration::from_millis(20);

/// A model on another server. Dropping it ends its health probes.
pub(crate) struct UpstreamModel {
    shared: Arc<Shared>,
    signature: Signature,
    runtime: Handle,
    probe: AbortHandle,
}

/// What calls and probes share.
struct Shared {
    spec: Spec,
    servers: Servers,
    balance: Mutex<Balance>,
    random: RandomState,
}

enum Servers {
    Http(HttpServers),
    Grpc(GrpcServers),
}

/// Rows, written once for all attempts.
enum Written {
    Http(Bytes),
    Grpc(ModelInferRequest),
}

impl Servers {
    fn new(spec: &Spec) -> Result<Self, RuntimeError> {
        Ok(match spec.protocol {
            Protocol::OipRest | Protocol::Mlflow => Self::Http(HttpServers::new(spec)?),
            Protocol::OipGrpc => Self::Grpc(GrpcServers::new(spec)?),
        })
    }

    async fn ready(&self, index: usize) -> Result<(), CallError> {
        match self {
            Self::Http(servers) => servers.ready(index).await,
            Self::Grpc(servers) => servers.ready(index).await,
        }
    }

    async fn describe(&self, index: usize) -> Result<describe::Described, CallError> {
        match self {
            Self::Http(servers) => servers.describe(index).await,
            Self::Grpc(servers) => servers.describe(index).await,
        }
    }
}

fn runtime() -> Result<Handle, RuntimeError> {
    Handle::try_current().map_err(|_| refused("an upstream can only be used within the server's runtime"))
}

/// Asks every address for its model and completes the wish to an artifact. Blocks.
pub(crate) fn connect(wanted: &serde_json::Value, columns: &[Field]) -> Result<Vec<u8>, RuntimeError> {
    let runtime = runtime()?;
    let spec = Spec::wanted(wanted)?;
    let servers = Servers::new(&spec)?;
    let addresses = spec.addresses.clone();
    let asked = async move {
        let mut first = None;
        for (index, address) in addresses.iter().enumerate() {
            let failed = |e: CallError| RuntimeError::Upstream(format!("{address} {e}"));
            servers.ready(index).await.map_err(failed)?;
            let described = servers.describe(index).await.map_err(failed)?;
            if first.get_or_insert_with(|| described.clone()) != &described {
                let problem = "describes the model otherwise than the first address; all must serve the same";
                return Err(RuntimeError::Upstream(format!("{address} {problem}")));
            }
        }
        Ok(first.unwrap_or_default())
    };
    let described = wait(&runtime, DESCRIBE, asked)?;
    let spec = describe::complete(spec, &described, columns)?;
    serde_json::to_vec_pretty(&spec).map_err(|e| refused(format!("it cannot be written: {e}")))
}

/// Runs `work` on the runtime and holds this thread until it is done, whatever kind of thread it is. At most `longest`.
fn wait<T: Send + 'static>(
    runtime: &Handle,
    longest: Duration,
    work: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
) -> Result<T, RuntimeError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let task = runtime.spawn(async move {
        let _ = sender.send(work.await);
    });
    // The work has the same time, and says better than this wait what went wrong.
    let receive = || receiver.recv_timeout(longest + Duration::from_millis(250));
    let here = Handle::try_current().map(|handle| handle.runtime_flavor());
    let received = match here {
        // On a thread that drives tasks, the others must go on meanwhile.
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(receive),
        _ => receive(),
    };
    received.unwrap_or_else(|_| {
        task.abort();
        Err(RuntimeError::Upstream(format!("no answer within {} ms", longest.as_millis())))
    })
}

impl UpstreamModel {
    /// Reads the artifact. Calls nobody yet, but for the health probes that begin in the background.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, RuntimeError> {
        let runtime = runtime()?;
        let spec = Spec::from_bytes(bytes)?;
        let shared = Arc::new(Shared {
            servers: Servers::new(&spec)?,
            balance: Mutex::new(Balance::new(
                &spec.addresses,
                spec.breaker,
                spec.ejection,
                spec.max_in_flight,
            )),
            random: RandomState::new(),
            spec,
        });
        let signature = signature(&shared.spec.columns);
        let probe = runtime.spawn(probe(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, signature, runtime, probe })
    }
}

impl Drop for UpstreamModel {
    fn drop(&mut self) {
        self.probe.abort();
    }
}

/// Asks each address after its health, for ever; the model ends it.
async fn probe(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.spec.probe_ms);
    let longest = shared.spec.timeout().min(every);
    loop {
        let probes = shared.spec.addresses.iter().enumerate().map(async |(index, address)| {
            let until = tokio::time::Instant::now() + longest;
            let found = match timeout_at(until, shared.servers.ready(index)).await {
                Ok(found) => found,
                Err(_) => Err(CallError::Timeout(longest.as_millis())),
            };
            if let Err(error) = &found {
                tracing::debug!(%address, %error, "the health probe of an upstream failed");
            }
            let problem = found.err().map(|error| format!("probe: it {error}"));
            shared.balance().probed(index, problem.as_deref());
        });
        futures::future::join_all(probes).await;
        sleep(every).await;
    }
}

/// A call in flight. Whoever drops it without an end has given it up.
struct Ticket<'a> {
    shared: &'a Shared,
    index: usize,
    ended: bool,
}

impl Ticket<'_> {
    fn end(mut self, ended: Ended<'_>) {
        self.ended = true;
        self.shared.balance().end(self.index, ended, Instant::now(), self.shared.jitter());
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.balance().end(self.index, Ended::GivenUp, Instant::now(), 0.0);
        }
    }
}

impl Shared {
    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Between 0 and 1. Nothing follows from it but a delay, so that it is not recorded.
    fn jitter(&self) -> f64 {
        self.random.hash_one(Instant::now()) as f64 / u64::MAX as f64
    }

    fn write(&self, rows: &Frame) -> Result<Written, RuntimeError> {
        let input = self.spec.input.as_ref().ok_or_else(|| refused("it does not say how rows go in"))?;
        let tensors = tensor::tensors(input, &self.spec.columns, rows)?;
        Ok(match self.servers {
            Servers::Http(_) => Written::Http(http::body(&self.spec, &tensors, rows)?.into()),
            Servers::Grpc(_) => Written::Grpc(grpc::request(&self.spec, &tensors)),
        })
    }

    /// Scores any number of rows, part by part.
    async fn score(
        &self,
        rows: &Frame,
        deadline: Instant,
        trace: Option<&str>,
    ) -> Result<Vec<f64>, RuntimeError> {
        let mut scores = Vec::with_capacity(rows.rows());
        if rows.rows() <= self.spec.max_rows {
            if rows.rows() > 0 {
                self.part(rows, deadline, trace, &mut scores).await?;
            }
            return Ok(scores);
        }
        let positions: Vec<usize> = (0..rows.rows()).collect();
        for part in positions.chunks(self.spec.max_rows) {
            self.part(&rows.take(part), deadline, trace, &mut scores).await?;
        }
        Ok(scores)
    }

    async fn part(
        &self,
        rows: &Frame,
        deadline: Instant,
        trace: Option<&str>,
        scores: &mut Vec<f64>,
    ) -> Result<(), RuntimeError> {
        let written = self.write(rows)?;
        let mut tried = None;
        let mut attempt = 0;
        loop {
            let picked = self.balance().pick(Instant::now(), tried);
            let index = picked.map_err(refusal)?;
            let ticket = Ticket { shared: self, index, ended: false };
            let error = match self.attempt(index, &written, deadline, trace, rows.rows()).await {
                Ok(mut part) => {
                    ticket.end(Ended::Answered);
                    scores.append(&mut part);
                    return Ok(());
                }
                Err(error) => error,
            };
            let words = error.to_string();
            ticket.end(if error.blames_address() { Ended::Failed(&words) } else { Ended::Answered });
            let pause = (PAUSE * (1 << attempt.min(4))).mul_f64(self.jitter());
            let may = error.may_be_sent_again()
                && attempt < self.spec.retries
                && Instant::now() + pause < deadline
                && self.balance().may_retry();
            if !may {
                return Err(RuntimeError::Upstream(format!("{} {words}", self.spec.addresses[index])));
            }
            sleep(pause).await;
            attempt += 1;
            tried = Some(index);
        }
    }

    /// One call, until its own time or the deadline is over.
    async fn attempt(
        &self,
        index: usize,
        written: &Written,
        deadline: Instant,
        trace: Option<&str>,
        rows: usize,
    ) -> Result<Vec<f64>, CallError> {
        let begun = Instant::now();
        let until = deadline.min(begun + self.spec.timeout());
        let output = &self.spec.output;
        let call = async {
            match (&self.servers, written) {
                (Servers::Http(servers), Written::Http(body)) => {
                    servers.score(index, body.clone(), trace, rows, output).await
                }
                (Servers::Grpc(servers), Written::Grpc(request)) => {
                    servers.score(index, request.clone(), trace, rows, output).await
                }
                _ => Err(CallError::Failed("the rows were written for another protocol".to_owned())),
            }
        };
        let late = |_| Err(CallError::Timeout(until.saturating_duration_since(begun).as_millis()));
        timeout_at(until.into(), call).await.unwrap_or_else(late)
    }
}

fn refusal(refusal: Refusal) -> RuntimeError {
    RuntimeError::Upstream(match refusal {
        Refusal::Full => "as many calls as max_in_flight allows wait for it already".to_owned(),
        Refusal::Open(wait) => {
            format!("the circuit of every address is open; the next call may try in {} ms", wait.as_millis())
        }
    })
}

impl Model for UpstreamModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn flavor(&self) -> &'static str {
        FLAVOR
    }

    fn memory_bytes(&self) -> usize {
        let columns = self.shared.spec.columns.iter().map(|column| size_of::<Field>() + column.name.len());
        size_of::<Shared>() + columns.sum::<usize>()
    }

    /// Blocks; each part of `max_rows` rows has the time of all its attempts.
    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let parts = rows.rows().div_ceil(self.shared.spec.max_rows).max(1);
        let a_part = self.shared.spec.timeout() * (self.shared.spec.retries + 1) + PAUSE * 32;
        let longest = a_part * u32::try_from(parts).unwrap_or(u32::MAX);
        let (shared, rows) = (Arc::clone(&self.shared), rows.clone());
        let work = async move { shared.score(&rows, Instant::now() + longest, None).await };
        wait(&self.runtime, longest, work)
    }

    fn upstream(&self) -> Option<&dyn Upstream> {
        Some(self)
    }
}

#[async_trait]
impl Upstream for UpstreamModel {
    async fn score(&self, rows: &Frame, context: &CallContext) -> Result<Vec<f64>, RuntimeError> {
        self.shared.score(rows, context.deadline, context.traceparent.as_deref()).await
    }

    fn health(&self) -> UpstreamHealth {
        let balance = self.shared.balance();
        let (in_flight, refused, retries) = balance.counts();
        UpstreamHealth {
            protocol: self.shared.spec.protocol.as_str(),
            model: self.shared.spec.model.clone(),
            in_flight,
            refused,
            retries,
            addresses: balance.health(Instant::now()),
        }
    }
}
