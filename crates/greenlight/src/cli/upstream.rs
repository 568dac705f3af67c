//! The arguments of `greenlight model register` that describe a model of another server.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Upstream {
    /// Address of a server that has the model, such as http://10.0.0.5:8080; several share the calls. The Greenlight
    /// server calls them, not this machine.
    #[arg(long = "upstream", value_name = "URL", requires = "protocol")]
    pub(crate) addresses: Vec<String>,
    /// How the server is spoken to.
    #[arg(long, requires = "addresses", value_parser = ["oip-rest", "oip-grpc", "mlflow"])]
    protocol: Option<String>,
    /// Name of the model on that server; MLflow's has none.
    #[arg(long = "upstream-model", requires = "addresses", value_name = "NAME")]
    served_name: Option<String>,
    /// Version of the model on that server [default: the server chooses].
    #[arg(long = "upstream-version", requires = "addresses", value_name = "VERSION")]
    served_version: Option<String>,
    /// Columns of the data set that go in, in order: a,b,c [default: those that the server names, or all].
    #[arg(long, requires = "addresses", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Output that is the probability [default: the only one].
    #[arg(long, requires = "addresses", value_name = "NAME")]
    output: Option<String>,
    /// Position of the probability within a row of that output [default: the second of two].
    #[arg(long, requires = "addresses", value_name = "N")]
    output_index: Option<usize>,
    /// Variable of the Greenlight server that holds a bearer token: GREENLIGHT_UPSTREAM_…
    #[arg(long, requires = "addresses", value_name = "VARIABLE")]
    bearer_env: Option<String>,
    /// Longest time of one attempt, milliseconds [default: 1000].
    #[arg(long, requires = "addresses", value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Attempts after the first, where the server was not available [default: 1].
    #[arg(long, requires = "addresses", value_name = "N")]
    retries: Option<u32>,
    /// Most rows of one call; Triton's models say theirs as max_batch_size [default: 1000].
    #[arg(long, requires = "addresses", value_name = "N")]
    max_rows: Option<usize>,
    /// JSON file with further settings: input, breaker, ejection, probe_ms, max_in_flight, connect_timeout_ms.
    #[arg(long, requires = "addresses", value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl Upstream {
    /// The description, as the server completes it.
    pub(crate) fn wanted(&self) -> Result<Value, Failure> {
        let mut wanted = match &self.settings {
            None => Map::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Failure::Input(format!("{}: {e}", path.display())))?;
                serde_json::from_str(&text)
                    .map_err(|e| Failure::Input(format!("{} is no JSON object: {e}", path.display())))?
            }
        };
        let given = [
            ("addresses", Some(json!(self.addresses))),
            ("protocol", self.protocol.as_ref().map(|value| json!(value))),
            ("model", self.served_name.as_ref().map(|value| json!(value))),
            ("version", self.served_version.as_ref().map(|value| json!(value))),
            ("bearer_env", self.bearer_env.as_ref().map(|value| json!(value))),
            ("timeout_ms", self.timeout_ms.map(|value| json!(value))),
            ("retries", self.retries.map(|value| json!(value))),
            ("max_rows", self.max_rows.map(|value| json!(value))),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                wanted.insert(key.to_owned(), value);
            }
        }
        if self.output.is_some() || self.output_index.is_some() {
            wanted.insert("output".to_owned(), json!({ "name": self.output, "index": self.output_index }));
        }
        Ok(Value::Object(wanted))
    }
}
