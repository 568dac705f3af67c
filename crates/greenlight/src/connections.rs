//! Accepting connections and ending them: how many are open, how long one may be quiet, how they end.
//!
//! Above the bound nothing is accepted: the next connections wait in the listen backlog until one ends. A connection
//! through which no request comes is closed, however busily its bytes drip: a request counts once its head is
//! complete. It refuses to look into requests: what they may do is decided behind it.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Version, header};
use greenlight_app::App;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};

/// The first request's head must be complete by then.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// A connection is closed when no request came for so long; load balancers keep theirs for a minute.
const IDLE: Duration = Duration::from_secs(75);
/// A peer that answers no ping for so long is gone (HTTP/2).
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWERED: Duration = Duration::from_secs(20);
/// Requests at a time in one connection (HTTP/2).
const STREAMS: u32 = 256;
/// Headers of one request (HTTP/2); over HTTP/1, line and headers must fit into twice as much. More is answered with
/// 431.
const HEAD_BYTES: u32 = 64 * 1024;
/// How long a connection may take to see that it is to end now.
const END: Duration = Duration::from_secs(2);
/// Wait before the next try when the system has no room for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What every connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serve,
    /// Answer what was begun, then close.
    Finish,
    /// Close now.
    End,
}

/// The open connections of a server.
pub(crate) struct Connections {
    phase: watch::Sender<Phase>,
    room: Arc<Semaphore>,
    most: u32,
}

/// What the tasks of connections share.
struct Shared {
    builder: Builder<TokioExecutor>,
    routes: Router,
    app: Arc<App>,
}

impl Connections {
    /// Begins to accept, at most `most` at a time.
    pub(crate) fn accept(listener: TcpListener, routes: Router, app: Arc<App>, most: u32) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // Quiet connections are closed below, all protocols alike and without a timer for every request.
        builder.http1().header_read_timeout(None).writev(false).max_buf_size(2 * HEAD_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWERED)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES);
        let shared = Arc::new(Shared { builder, routes: routes.with_state(()), app });
        let (phase, watched) = watch::channel(Phase::Serve);
        let room = Arc::new(Semaphore::new(most as usize));
        tokio::spawn(accept_all(listener, shared, Arc::clone(&room), watched));
        Self { phase, room, most }
    }

    /// Stops accepting and waits until what was begun is answered, at most `limit`. False when some was not.
    pub(crate) async fn finish(&self, limit: Duration) -> bool {
        self.phase.send_replace(Phase::Finish);
        tokio::time::timeout(limit, self.room.acquire_many(self.most)).await.is_ok()
    }

    /// Closes every connection now, whatever goes on in it.
    pub(crate) async fn end(&self) {
        self.phase.send_replace(Phase::End);
        // Each task sees it at its next turn; one that computes for long is not waited for.
        if tokio::time::timeout(END, self.room.acquire_many(self.most)).await.is_err() {
            tracing::warn!("a connection did not end in time");
        }
    }
}

async fn accept_all(
    listener: TcpListener,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
) {
    let watched = phase.clone();
    let mut refused = false;
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            _ = phase.changed() => return,
        };
        let (Ok(permit), accepted) = (permit, accepted) else { return };
        match accepted {
            Ok((stream, _)) => {
                refused = false;
                tokio::spawn(serve(stream, Arc::clone(&shared), permit, watched.clone()));
            }
            Err(error) if gone(error.kind()) => {}
            Err(error) => {
                if !refused {
                    tracing::error!(%error, "no connection can be accepted; it is tried again");
                }
                refused = true;
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// The client left before it was accepted; that says nothing about the next one.
fn gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Requests of one connection.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    open: AtomicUsize,
}

/// A request that is being answered.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// Whether no request is open and none was begun since `seen`, which is brought up to date.
    fn quiet(&self, seen: &mut u64) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        let quiet = self.open.load(Ordering::Relaxed) == 0 && begun == *seen;
        *seen = begun;
        quiet
    }
}

struct Counted<'a>(&'a App);

impl<'a> Counted<'a> {
    fn new(app: &'a App) -> Self {
        app.metrics.connections.inc();
        Self(app)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// Serves one connection until it ends, is quiet for too long, or all of them are to end.
async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
    mut phase: watch::Receiver<Phase>,
) {
    // Small answers leave at once: without TCP_NODELAY a keep-alive client may wait 40 ms for them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let _counted = Counted::new(&shared.app);
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| answer(&shared, &activity, request));
    let connection = shared.builder.serve_connection(TokioIo::new(stream), service);
    let quiet = sleep(FIRST_REQUEST);
    tokio::pin!(connection, quiet);
    let (mut seen, mut closing) = (0, false);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                }
                return;
            }
            () = quiet.as_mut() => {
                let nothing_came = activity.quiet(&mut seen);
                if nothing_came && closing {
                    return;
                }
                if nothing_came {
                    shared.app.metrics.idle_closed.inc();
                    connection.as_mut().graceful_shutdown();
                }
                closing = nothing_came;
                // A head that drips, or an answer that nobody reads, gets this much longer.
                quiet.as_mut().reset(Instant::now() + if closing { FIRST_REQUEST } else { IDLE });
            }
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() == Phase::End {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers a request; while the server is about to stop, HTTP/1 clients are told to come back on a new connection.
fn answer(
    shared: &Shared,
    activity: &Arc<Activity>,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<axum::response::Response, Infallible>> + use<> {
    let busy = Busy::begin(activity);
    let leave = shared.app.is_draining() && request.version() < Version::HTTP_2;
    let answering = TowerToHyperService::new(shared.routes.clone()).call(request);
    async move {
        let _busy = busy;
        let mut response = answering.await?;
        if leave {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_quiet_when_nothing_was_begun_and_nothing_is_open() {
        let activity = Arc::new(Activity::default());
        let mut seen = 0;
        assert!(activity.quiet(&mut seen), "nothing came yet");
        let busy = Busy::begin(&activity);
        assert!(!activity.quiet(&mut seen), "a request was begun");
        assert!(!activity.quiet(&mut seen), "it is still open");
        drop(busy);
        assert!(activity.quiet(&mut seen), "it ended, and none came after it");
    }
}
