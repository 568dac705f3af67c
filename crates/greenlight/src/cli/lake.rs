//! `greenlight lake …`: the event log of a data folder whose server is not running.

use std::path::PathBuf;

use clap::Subcommand;
use greenlight_app::AppError;
use serde_json::json;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Lake {
    /// Every durable prediction id of an endpoint, sealed or not, for reconciling a client's own records.
    Ids {
        /// Endpoint.
        endpoint: String,
        /// Folder of the data.
        #[arg(long, env = "GREENLIGHT_DATA", default_value = "greenlight-data")]
        data: PathBuf,
    },
}

impl Lake {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let Self::Ids { endpoint, data } = self;
        let app = crate::server::open(&data, None, None).await?;
        let ids = app.lake.prediction_ids(&endpoint).await.map_err(AppError::from)?;
        if json {
            println!("{}", json!(ids));
        } else {
            for id in ids {
                println!("{id}");
            }
        }
        Ok(())
    }
}
