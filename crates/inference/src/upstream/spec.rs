//! The artifact of an upstream: where a model of another server is, what goes in and what comes out.
//!
//! Owns the document `greenlight-upstream/1` and its bounds. It never holds a secret, only the name of the environment
//! variable that does; and only names that begin with [`BEARER_PREFIX`], so that whoever may register a model cannot
//! have any other variable of the server sent to an address of his choice.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{ColumnType, Field};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::balance::EjectionSettings;
use super::breaker::BreakerSettings;
use crate::artifact::{MAX_FEATURES, refused, shortened};

/// Name and version of the document.
pub(crate) const FORMAT: &str = "greenlight-upstream/1";
/// How the names of the variables with bearer tokens begin.
pub(crate) const BEARER_PREFIX: &str = "GREENLIGHT_UPSTREAM_";
/// Most bytes of the document.
const MAX_BYTES: usize = 1 << 20;
const MAX_ADDRESSES: usize = 32;

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    /// Open Inference Protocol over HTTP and JSON.
    #[serde(rename = "oip-rest")]
    OipRest,
    /// Open Inference Protocol over gRPC, raw tensors.
    #[serde(rename = "oip-grpc")]
    OipGrpc,
    /// `/invocations` of MLflow's scoring server.
    #[serde(rename = "mlflow")]
    Mlflow,
}

impl Protocol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OipRest => "oip-rest",
            Self::OipGrpc => "oip-grpc",
            Self::Mlflow => "mlflow",
        }
    }
}

/// The element of a tensor, as the protocol writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Datatype {
    Fp32,
    Fp64,
    Int32,
    Int64,
    Bytes,
}

impl Datatype {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Bytes => "BYTES",
        }
    }

    /// Whether a column of this type can become such elements.
    pub(crate) fn holds(self, column: ColumnType) -> bool {
        (self == Self::Bytes) == (column == ColumnType::Text)
    }
}

/// How the rows become tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Input {
    /// One tensor `[rows, columns]` of numbers.
    Matrix { name: String, datatype: Datatype },
    /// One tensor a column, named like it. `rank` 1 is `[rows]`, 2 is `[rows, 1]`.
    Columns { datatypes: Vec<Datatype>, rank: u8 },
    /// MLflow's `dataframe_split`.
    Frame {},
}

/// Which of the answer's numbers is the probability.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Output {
    /// Tensor, or column of MLflow's answer; needed when there are several.
    pub(crate) name: Option<String>,
    /// Position within a row; of two numbers the second when absent.
    pub(crate) index: Option<usize>,
}

/// The document. Of a wish, that [`super::connect`] completes, `columns` and `input` may be absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    #[serde(default = "format")]
    pub(crate) format: String,
    pub(crate) protocol: Protocol,
    pub(crate) addresses: Vec<String>,
    /// Name of the model on the server; MLflow's server has one model and no name for it.
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// What goes in, in order.
    #[serde(default)]
    pub(crate) columns: Vec<Field>,
    #[serde(default)]
    pub(crate) input: Option<Input>,
    #[serde(default)]
    pub(crate) output: Output,
    /// Environment variable of the server that holds a bearer token.
    #[serde(default)]
    pub(crate) bearer_env: Option<String>,
    /// One attempt.
    #[serde(default = "timeout_ms")]
    pub(crate) timeout_ms: u64,
    #[serde(default = "connect_timeout_ms")]
    pub(crate) connect_timeout_ms: u64,
    /// Attempts after the first.
    #[serde(default = "retries")]
    pub(crate) retries: u32,
    /// Calls that wait at once; more are turned away.
    #[serde(default = "max_in_flight")]
    pub(crate) max_in_flight: usize,
    /// Rows of one call; longer frames are sent in parts.
    #[serde(default = "max_rows")]
    pub(crate) max_rows: usize,
    /// Time between health probes of an address.
    #[serde(default = "probe_ms")]
    pub(crate) probe_ms: u64,
    #[serde(default)]
    pub(crate) breaker: BreakerSettings,
    #[serde(default)]
    pub(crate) ejection: EjectionSettings,
}

fn format() -> String {
    FORMAT.to_owned()
}
const fn timeout_ms() -> u64 {
    1_000
}
const fn connect_timeout_ms() -> u64 {
    500
}
const fn retries() -> u32 {
    1
}
const fn max_in_flight() -> usize {
    256
}
const fn max_rows() -> usize {
    1_000
}
const fn probe_ms() -> u64 {
    5_000
}

impl Spec {
    /// Whether a file is such a document.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        let head = &bytes[..bytes.len().min(256)];
        head.windows(20).any(|window| window == b"\"greenlight-upstream")
    }

    /// Reads a complete document.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RuntimeError> {
        if bytes.len() > MAX_BYTES {
            return Err(refused(format!("an upstream has at most {MAX_BYTES} bytes")));
        }
        let spec: Self = serde_json::from_slice(bytes)
            .map_err(|e| refused(format!("it is not a description of an upstream: {e}")))?;
        spec.check()?;
        spec.check_input()?;
        Ok(spec)
    }

    /// Reads a wish.
    pub(crate) fn wanted(value: &serde_json::Value) -> Result<Self, RuntimeError> {
        let spec = Self::deserialize(value)
            .map_err(|e| refused(format!("it is not a description of an upstream: {e}")))?;
        spec.check()?;
        Ok(spec)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The addresses, parsed.
    pub(crate) fn urls(&self) -> Result<Vec<Url>, RuntimeError> {
        self.addresses.iter().map(|address| url(self.protocol, address)).collect()
    }

    fn check(&self) -> Result<(), RuntimeError> {
        if self.format != FORMAT {
            let format = shortened(&self.format);
            return Err(refused(format!("its format is '{format}' and this version reads {FORMAT}")));
        }
        if self.addresses.is_empty() || self.addresses.len() > MAX_ADDRESSES {
            let count = self.addresses.len();
            return Err(refused(format!("an upstream has 1 to {MAX_ADDRESSES} addresses, not {count}")));
        }
        let urls = self.urls()?;
        if urls.iter().collect::<HashSet<_>>().len() < urls.len() {
            return Err(refused("two of the upstream's addresses are the same; name each once"));
        }
        if self.model.is_empty() == (self.protocol != Protocol::Mlflow) {
            return Err(refused(match self.protocol {
                Protocol::Mlflow => "MLflow's server has one model and no name for it; leave the name out",
                _ => "the Open Inference Protocol needs the model's name on the server",
            }));
        }
        let texts = [Some(&self.model), self.version.as_ref(), self.output.name.as_ref()];
        for text in texts.into_iter().flatten() {
            if text.len() > 256 || text.chars().any(char::is_control) || text == "." || text == ".." {
                let problem = "is no name that a server could know; 256 printable characters at most";
                return Err(refused(format!("'{}' {problem}", shortened(text))));
            }
        }
        self.check_bearer()?;
        self.check_bounds()
    }

    fn check_bearer(&self) -> Result<(), RuntimeError> {
        let Some(name) = &self.bearer_env else { return Ok(()) };
        let tail = name.strip_prefix(BEARER_PREFIX).unwrap_or_default();
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if tail.is_empty() || name.len() > 128 || !tail.chars().all(plain) {
            return Err(refused(format!(
                "bearer_env is '{}'; name a variable such as {BEARER_PREFIX}FRAUD, for no other variable of the \
                 server may leave it",
                shortened(name)
            )));
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), RuntimeError> {
        let bounds = [
            ("timeout_ms", self.timeout_ms, 1, 60_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 60_000),
            ("retries", u64::from(self.retries), 0, 5),
            ("max_in_flight", self.max_in_flight as u64, 1, 10_000),
            ("max_rows", self.max_rows as u64, 1, 10_000),
            ("probe_ms", self.probe_ms, 100, 3_600_000),
            ("breaker.failures", u64::from(self.breaker.failures), 1, 1_000),
            ("breaker.open_ms", self.breaker.open_ms, 1, self.breaker.max_open_ms),
            ("breaker.max_open_ms", self.breaker.max_open_ms, 1, 3_600_000),
            ("ejection.window_ms", self.ejection.window_ms, 100, 3_600_000),
            ("ejection.min_requests", u64::from(self.ejection.min_requests), 1, 1_000_000),
            ("ejection.rest_ms", self.ejection.rest_ms, 1, 3_600_000),
        ];
        for (name, value, least, most) in bounds {
            if value < least || value > most {
                return Err(refused(format!("{name} is {value}; {least} to {most} are possible")));
            }
        }
        for (name, share) in [
            ("ejection.failure_share", self.ejection.failure_share),
            ("ejection.max_share", self.ejection.max_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(refused(format!("{name} is {share}; it is a share between 0 and 1")));
            }
        }
        Ok(())
    }

    /// Checks that the columns fit the input.
    pub(crate) fn check_input(&self) -> Result<(), RuntimeError> {
        if self.columns.is_empty() || self.columns.len() > MAX_FEATURES {
            let count = self.columns.len();
            return Err(refused(format!("it has {count} columns; 1 to {MAX_FEATURES} can be served")));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.columns.iter().find(|column| !seen.insert(&column.name)) {
            return Err(refused(format!("two columns are named '{}'", shortened(&twice.name))));
        }
        let fits = match (&self.input, self.protocol) {
            (None, _) => return Err(refused("it does not say how rows go in; register it again")),
            (Some(Input::Frame {}), protocol) => protocol == Protocol::Mlflow,
            (_, Protocol::Mlflow) => false,
            (Some(Input::Matrix { datatype, .. }), _) => {
                if let Some(text) = self.columns.iter().find(|column| !datatype.holds(column.column_type)) {
                    return Err(refused(format!(
                        "the model takes a matrix of {} and column '{}' is {:?}; name the columns that go in, in order",
                        datatype.as_str(),
                        text.name,
                        text.column_type
                    )));
                }
                true
            }
            (Some(Input::Columns { datatypes, rank }), _) => {
                if datatypes.len() != self.columns.len() || !(1..=2).contains(rank) {
                    return Err(refused("it has not one datatype a column, or a rank other than 1 and 2"));
                }
                let mut pairs = self.columns.iter().zip(datatypes);
                if let Some((column, datatype)) = pairs.find(|(c, d)| !d.holds(c.column_type)) {
                    return Err(refused(format!(
                        "the model takes {} for '{}' and the column is {:?}",
                        datatype.as_str(),
                        column.name,
                        column.column_type
                    )));
                }
                true
            }
        };
        if fits { Ok(()) } else { Err(refused("its input is of the other protocol")) }
    }
}

/// An address that may be called: HTTP or HTTPS, a host, nothing secret in it.
fn url(protocol: Protocol, address: &str) -> Result<Url, RuntimeError> {
    let wrong = |problem: &str| refused(format!("the address '{}' {problem}", shortened(address)));
    let url = Url::parse(address)
        .map_err(|e| wrong(&format!("is not a URL ({e}), such as http://10.0.0.5:8080")))?;
    if address.len() > 2_048 || !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(format!(
            "an address holds a user name or password, which every reader of the model would see; put a token into a \
             variable {BEARER_PREFIX}… of the server and name it as bearer_env"
        )));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment; leave it out"));
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let forbidden = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()
        }
        Ok(IpAddr::V6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local() || ip.is_unspecified());
            mapped || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast()
        }
        Err(_) => false,
    };
    if forbidden {
        return Err(wrong(
            "is link-local, multicast or no host's address, where metadata services of clouds live",
        ));
    }
    if protocol == Protocol::OipGrpc && (url.scheme() != "http" || url.path() != "/") {
        return Err(wrong(
            "must be http://HOST:PORT for gRPC: it is spoken without TLS here; use oip-rest over https",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn complete() -> Value {
        json!({
            "format": FORMAT, "protocol": "oip-rest", "addresses": ["http://127.0.0.1:8080"], "model": "m",
            "columns": [{"name": "a", "type": "number"}],
            "input": {"kind": "matrix", "name": "input", "datatype": "FP32"},
        })
    }

    fn with(key: &str, value: Value) -> String {
        let mut changed = complete();
        changed[key] = value;
        let result = Spec::from_bytes(changed.to_string().as_bytes());
        result.map_or_else(|e| e.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn a_document_survives_a_round_trip() {
        let bytes = complete().to_string().into_bytes();
        assert!(Spec::is(&bytes));
        let spec = Spec::from_bytes(&bytes).unwrap();
        let again = Spec::from_bytes(&serde_json::to_vec(&spec).unwrap()).unwrap();
        assert_eq!(spec, again);
    }

    #[test]
    fn addresses_that_must_not_be_called_are_refused() {
        for (address, part) in [
            ("ftp://host", "http://"),
            ("http://user:secret@host", "user name"),
            ("http://169.254.169.254/latest", "link-local"),
            ("http://[::ffff:169.254.169.254]", "link-local"),
            // Other spellings of the same address, which a URL parser knows.
            ("http://2852039166", "link-local"),
            ("http://0.0.0.0:80", "link-local"),
            ("http://host/?key=1", "query"),
            ("host:80", "http://"),
            ("http://", "not a URL"),
        ] {
            let error = with("addresses", json!([address]));
            assert!(error.contains(part), "{address}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(with("addresses", json!(["https://models.example/prefix"])), "accepted");
        assert!(with("addresses", json!([])).contains("1 to 32"));
        assert!(with("addresses", json!(["http://a", "http://a/"])).contains("the same"));
    }

    #[test]
    fn only_variables_made_for_upstreams_leave_the_server() {
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "GREENLIGHT_DATABASE",
            "GREENLIGHT_UPSTREAM_",
            "GREENLIGHT_UPSTREAM_a b",
        ] {
            assert!(with("bearer_env", json!(name)).contains("bearer_env"), "{name}");
        }
        assert_eq!(with("bearer_env", json!("GREENLIGHT_UPSTREAM_FRAUD")), "accepted");
    }

    #[test]
    fn settings_have_bounds_and_unknown_ones_are_refused() {
        for (key, value, part) in [
            ("retries", json!(50), "retries"),
            ("max_rows", json!(0), "max_rows"),
            ("timeout_ms", json!(u64::MAX), "timeout_ms"),
            ("breaker", json!({"failures": 0}), "breaker.failures"),
            ("ejection", json!({"max_share": 7.0}), "ejection.max_share"),
            ("retry", json!(1), "unknown field"),
            ("model", json!(""), "needs the model's name"),
            ("model", json!(".."), "no name"),
            ("columns", json!([]), "0 columns"),
            ("columns", json!([{"name": "a", "type": "text"}]), "'a' is Text"),
            ("input", json!({"kind": "frame"}), "other protocol"),
            ("input", Value::Null, "how rows go in"),
            ("format", json!("greenlight-upstream/2"), "greenlight-upstream/1"),
        ] {
            assert!(with(key, value).contains(part), "{key}");
        }
    }
}
