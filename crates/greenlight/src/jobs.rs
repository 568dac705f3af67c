//! Background jobs of a server: settle every endpoint and look at its rollout, and purge the online store, again and
//! again.

use std::sync::Arc;
use std::time::Duration;

use greenlight_app::{App, kv, release, rollout, settle};

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
    for open in release::list(app, &actor, Some(endpoint)).await?.iter().filter(|r| r.stage.serves()) {
        let looked = rollout::look(app, &actor, &open.id).await?;
        tracing::info!(release = %looked.release, verdict = ?looked.verdict, percent = looked.percent, "looked");
    }
    Ok(())
}
