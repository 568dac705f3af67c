//! Following the changes that other servers make to a shared store: routes, endpoints, value models, tokens.
//!
//! Every change writes an audit line in its own transaction, so a count of recent lines that stands still says that
//! nothing was changed: one small query a poll. When it moved, what endpoints publish is read in one query and only
//! those that differ are published again. It refuses to keep time: whoever owns the timer calls [`Reloader::poll`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greenlight_domain::time::Micros;
use greenlight_store::endpoint::Published;

use crate::{App, AppError, live};

/// Lines that are counted reach this far back. Clocks of servers may differ, and a transaction may take time, by less.
const LOOK_BACK_MS: u64 = 10 * 60 * 1_000;
/// After this time the count begins anew, so that it stays small.
const WINDOW: Duration = Duration::from_mins(20);

/// What one server knows about the store.
pub struct Reloader {
    app: Arc<App>,
    window: Option<Window>,
    /// What was published of each endpoint, as the store had it.
    published: HashMap<String, Published>,
}

struct Window {
    floor: String,
    since: Instant,
    count: i64,
}

/// What a poll did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Endpoints that were published again.
    pub endpoints: Vec<String>,
    /// Endpoints that could not be; they are tried at the next poll.
    pub failed: Vec<String>,
}

impl Reloader {
    /// Knows nothing: the first poll looks at everything.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, window: None, published: HashMap::new() }
    }

    /// Looks whether the store was changed, and publishes what was. `None` when nothing was.
    pub async fn poll(&mut self) -> Result<Option<Reloaded>, AppError> {
        let mut connection = self.app.store.read().await?;
        let known = self.window.as_ref().filter(|window| window.since.elapsed() < WINDOW);
        let floor = known.map_or_else(floor, |window| window.floor.clone());
        let since = known.map_or_else(Instant::now, |window| window.since);
        // The count is read before what it stands for: a change in between is seen twice rather than never.
        let (count, newest) = greenlight_store::audit::count_above(&mut connection, &floor).await?;
        if known.is_some_and(|window| window.count == count) {
            return Ok(None);
        }
        let following = known.is_some();
        let stored = greenlight_store::endpoint::published(&mut connection).await?;
        drop(connection);
        self.app.refresh_tokens().await?;
        let mut reloaded = Reloaded::default();
        for endpoint in stored {
            self.follow(endpoint, &mut reloaded).await;
        }
        if reloaded.failed.is_empty() {
            self.window = Some(Window { floor, since, count });
        }
        if following && !reloaded.endpoints.is_empty() {
            let delay = self.app.clock.now().0.saturating_sub(newest.0);
            self.app.metrics.reload_delay.observe(delay.max(0) as f64 / 1e6);
        }
        Ok(Some(reloaded))
    }

    async fn follow(&mut self, stored: Published, reloaded: &mut Reloaded) {
        if let Some(before) = self.published.get_mut(&stored.name)
            && same(before, &stored)
        {
            // Settled by another server: rows before this time would never be booked here either.
            if let Some(live) = self.app.live.get(&stored.name) {
                live.settled_until.fetch_max(stored.settled_until.0, Ordering::SeqCst);
            }
            *before = stored;
            return;
        }
        match live::publish(&self.app, &stored.name).await {
            Ok(_) => {
                self.app.metrics.reloads.inc();
                reloaded.endpoints.push(stored.name.clone());
                self.published.insert(stored.name.clone(), stored);
            }
            Err(error) => {
                self.app.metrics.reload_failures.inc();
                tracing::error!(endpoint = %stored.name, %error, "a change cannot be followed; it is tried again");
                reloaded.failed.push(stored.name);
            }
        }
    }
}

/// Whether both publish the same endpoint; how far it is settled is followed without publishing.
fn same(before: &Published, now: &Published) -> bool {
    let settled_until = Micros(0);
    before.route_version == now.route_version
        && Published { settled_until, ..before.clone() } == Published { settled_until, ..now.clone() }
}

/// The smallest id that an audit line of [`LOOK_BACK_MS`] ago can have. Ids are made from the system's clock, not
/// from the application's.
fn floor() -> String {
    let (seconds, nanos) = uuid::Uuid::now_v7().get_timestamp().map_or((0, 0), |at| at.to_unix());
    let now_ms = seconds * 1_000 + u64::from(nanos) / 1_000_000;
    let hex = format!("{:012x}", now_ms.saturating_sub(LOOK_BACK_MS));
    let (head, tail) = hex.split_at(8);
    format!("{head}-{tail}-7000-8000-000000000000")
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::new_id;

    #[test]
    fn new_ids_lie_above_the_floor_and_those_of_yesterday_below() {
        let floor = floor();
        assert!(new_id() > floor);
        assert_eq!(floor.len(), new_id().len());
        // 2024-02-04, as in the examples of RFC 9562, appendix A.6.
        assert!("017f22e2-79b0-7cc3-98c4-dc0c0c07398f" < floor.as_str());
    }
}
