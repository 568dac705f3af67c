//! Background jobs of a server: settle every endpoint and look at its rollout, again and again.

use std::sync::Arc;
use std::time::Duration;

use greenlight_app::{App, release, rollout, settle};
use greenlight_domain::release::Stage;

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
