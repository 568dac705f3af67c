//! Which inference requests are answered when more come than can be.
//!
//! Owns the bounds. A request that finds no room is refused, so that what was taken stays quick. A refusal is held
//! back, because a client that asks again as soon as it is refused would spend, refusal by refusal, the processor time
//! that the others need. Refuses to let requests wait for room: measured (bench/overload), that cost goodput and time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use greenlight_app::live::LiveEndpoint;
use greenlight_app::metrics::Rejected;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use super::OipError;
use crate::ApiState;

/// Requests that are answered at a time by models in process: enough to fill group commits, few enough to be quick.
const NEAR: usize = 96;
/// Requests that are answered at a time where models on other servers are waited for, which takes no processor time.
const FAR: usize = 1_024;
/// How long a refusal is held back.
const REFUSAL_HELD: Duration = Duration::from_millis(250);
/// Most refusals that are held back; the next ones are sent at once.
const MOST_HELD: usize = 10_000;

static ROOM_NEAR: Semaphore = Semaphore::const_new(NEAR);
static ROOM_FAR: Semaphore = Semaphore::const_new(FAR);
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A request that is being answered.
pub(crate) struct Admitted<'a> {
    state: &'a ApiState,
    _room: SemaphorePermit<'static>,
}

impl<'a> Admitted<'a> {
    fn new(state: &'a ApiState, room: SemaphorePermit<'static>) -> Self {
        state.app.metrics.in_flight.inc();
        Self { state, _room: room }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.state.app.metrics.in_flight.dec();
    }
}

/// One more of something, until it is dropped: a client that goes away is counted out too.
struct Counted(&'static AtomicUsize);

impl Counted {
    /// With how many there were before.
    fn one_more(of: &'static AtomicUsize) -> (usize, Self) {
        (of.fetch_add(1, Ordering::Relaxed), Self(of))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Admits a request, or refuses it a little later. Call it while nothing of the request is held but its head.
pub(crate) async fn admit<'a>(
    state: &'a ApiState,
    endpoint: &LiveEndpoint,
) -> Result<Admitted<'a>, OipError> {
    let far = endpoint.champion.iter().chain(&endpoint.challengers).any(|m| m.model.upstream().is_some());
    let (room, most) = if far { (&ROOM_FAR, FAR) } else { (&ROOM_NEAR, NEAR) };
    if let Ok(permit) = room.try_acquire() {
        return Ok(Admitted::new(state, permit));
    }
    state.app.metrics.reject(Rejected::Overload);
    let (others, _held) = Counted::one_more(&HELD);
    if others < MOST_HELD {
        sleep(REFUSAL_HELD).await;
    }
    let message = format!("{most} requests are being answered; try again in a moment");
    Err(OipError { status: StatusCode::SERVICE_UNAVAILABLE, message })
}
