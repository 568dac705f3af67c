//! Background jobs of a server, again and again: settle every endpoint and look at its rollout; follow what other
//! servers change in the store; purge the online store; tell webhooks; remove for good what was deleted long ago.

use std::sync::Arc;
use std::time::Duration;

use greenlight_app::garbage::{self, Collect};
use greenlight_app::reload::Reloader;
use greenlight_app::{App, erase, kv, release, rollout, settle, webhook};
use greenlight_domain::release::Stage;

/// How often a server looks whether the store was changed.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// Doublings of that time while the store does not answer, or a change cannot be followed: up to 32 s.
const MOST_DOUBLINGS: u32 = 7;

/// Publishes what other servers change, until the server ends. A store that does not answer never stops serving: what
/// was published stays.
pub(crate) async fn follow(app: Arc<App>) {
    let mut reloader = Reloader::new(app);
    let mut failures = 0_u32;
    loop {
        let failed = match reloader.poll().await {
            Ok(done) => done.is_some_and(|reloaded| !reloaded.failed.is_empty()),
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "the store cannot be followed; serving goes on with what it said last");
                }
                true
            }
        };
        if !failed && failures > 0 {
            tracing::info!("the store is followed again");
        }
        failures = if failed { failures.saturating_add(1) } else { 0 };
        tokio::time::sleep(FOLLOW_EVERY * (1 << failures.min(MOST_DOUBLINGS))).await;
    }
}

/// Settles and looks every `every`, until the server ends.
pub(crate) async fn settle_and_look(app: Arc<App>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for endpoint in app.live.names() {
            if let Err(error) = once(&app, &endpoint).await {
                tracing::warn!(%endpoint, %error, "settling in the background failed; it is tried again");
            }
        }
    }
}

/// Seconds between purges: replaced tables keep their disk for about as long.
const PURGE_EVERY: Duration = Duration::from_secs(30);

/// Frees what expired or was replaced in the online store, until the server ends.
pub(crate) async fn purge(app: Arc<App>) {
    let mut ticks = tokio::time::interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match kv::purge(&app).await {
            Ok(0) => {}
            Ok(freed) => tracing::debug!(freed, "purged the online store"),
            Err(error) => tracing::warn!(%error, "the online store was not purged; it is tried again"),
        }
    }
}

/// How often a server looks for messages to webhooks that are due.
const DELIVER_EVERY: Duration = Duration::from_millis(500);

/// Sends what webhooks are to be told, until the server ends.
pub(crate) async fn deliver(app: Arc<App>) {
    let mut ticks = tokio::time::interval(DELIVER_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        loop {
            match webhook::deliver(&app).await {
                Ok(0) => {
                    failing = false;
                    break;
                }
                Ok(_) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "webhooks are not told; it is tried again");
                    }
                    failing = true;
                    break;
                }
            }
        }
    }
}

/// How often the log is searched for what was kept long enough.
const RETAIN_EVERY: Duration = Duration::from_hours(1);

/// Deletes what endpoints have kept for as long as they are to, until the server ends.
pub(crate) async fn retain(app: Arc<App>) {
    let mut ticks = tokio::time::interval(RETAIN_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for endpoint in app.live.names() {
            match erase::retain(&app, &App::system_actor(), &endpoint).await {
                Ok(erased) if erased.predictions > 0 => {
                    tracing::info!(%endpoint, predictions = erased.predictions, "deleted what was kept long enough");
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%endpoint, %error, "old rows were not deleted; it is tried again");
                }
            }
        }
    }
}

/// How often it is looked for what was deleted long enough ago.
const COLLECT_EVERY: Duration = Duration::from_hours(24);

/// Removes for good what was deleted so many hours ago, until the server ends.
pub(crate) async fn collect(app: Arc<App>, older_than_hours: u32) {
    let mut ticks = tokio::time::interval(COLLECT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let asked = Collect { older_than_hours, dry_run: false };
    loop {
        ticks.tick().await;
        loop {
            match garbage::collect(&app, &App::system_actor(), asked).await {
                Ok(done) => {
                    let (runs, models) = (done.runs, done.logged_models);
                    tracing::info!(runs, models, kept = done.kept_count, "removed what was deleted long ago");
                    if !done.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what was deleted was not removed; it is tried again in a day");
                    break;
                }
            }
        }
    }
}

async fn once(app: &App, endpoint: &str) -> Result<(), greenlight_app::AppError> {
    let actor = App::system_actor();
    match settle::settle(app, &actor, endpoint).await {
        Ok(settled) if settled.matured + settled.corrected > 0 => {
            tracing::info!(endpoint, run = settled.run, matured = settled.matured, "settled");
        }
        Ok(_) => {}
        // The guardrails are looked at all the same.
        Err(error) => tracing::error!(endpoint, %error, "settling failed; it is tried again"),
    }
    for open in release::list(app, &actor, Some(endpoint))
        .await?
        .iter()
        .filter(|r| r.stage.serves() || r.stage == Stage::Challenger)
    {
        let looked = rollout::look(app, &actor, &open.id).await?;
        tracing::info!(release = %looked.release, verdict = ?looked.verdict, percent = looked.percent, "looked");
    }
    Ok(())
}
