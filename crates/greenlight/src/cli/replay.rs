//! `greenlight replay`.

use std::path::PathBuf;

use clap::Args;
use greenlight_domain::time::Micros;
use serde_json::{Value, json};

use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::replay::{Replay as Player, Script, reader};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Parquet file with the history.
    #[arg(long)]
    file: PathBuf,
    /// Endpoint to call.
    #[arg(long)]
    endpoint: String,
    /// First day.
    #[arg(long)]
    from: String,
    /// Day after the last one.
    #[arg(long)]
    until: String,
    /// Column with the day of the event.
    #[arg(long, default_value = "date")]
    time: String,
    /// Column with what happened.
    #[arg(long, default_value = "y")]
    truth: String,
    /// Its text that counts as 1.
    #[arg(long, default_value = "yes")]
    positive: String,
    /// Name of the outcome in the value model.
    #[arg(long, default_value = "subscribed")]
    outcome: String,
    /// The decision after which something can happen.
    #[arg(long, default_value = "call")]
    acts_on: String,
    /// Seed of delays, order and repetition.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[command(flatten)]
    server: Server,
}

impl Replay {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let view = client.get(&format!("/v1/endpoints/{}", self.endpoint)).await?;
        let Some(event_time) = view["spec"]["event_time"].as_str() else {
            return Err(Failure::Input(
                "the endpoint takes no event_time, so history cannot be replayed into it".into(),
            ));
        };
        let request = view["request"].as_array().cloned().unwrap_or_default();
        let script = Script {
            endpoint: self.endpoint.clone(),
            unit: text(&view["spec"], "unit"),
            event_time: event_time.to_owned(),
            outcome: self.outcome,
            features: request.iter().map(|f| text(f, "name")).collect(),
            time: self.time,
            truth: (self.truth, self.positive),
            acts_on: self.acts_on,
            seed: self.seed,
        };
        let day = |date: &str| date.parse::<Micros>().map_err(|e| Failure::Input(e.to_string()));
        let scratch = tempfile::tempdir()?;
        let lake = reader(scratch.path())?;
        let window = (day(&self.from)?, day(&self.until)?);
        let mut player = Player::read(lake.as_ref(), &self.file, script, client, window).await?;
        while let Some(today) = player.day().await? {
            if !json {
                eprintln!(
                    "{}  {} of {} sent, {} outcomes posted",
                    today.date(),
                    player.sent,
                    player.total(),
                    player.posted
                );
            }
        }
        player.finish().await?;
        let done: Value = json!({ "predictions": player.sent, "outcomes": player.posted });
        show(json, &done, |d| {
            format!("Replayed {} predictions and {} outcomes.", d["predictions"], d["outcomes"])
        });
        Ok(())
    }
}
