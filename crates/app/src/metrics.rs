//! Metrics for operators, as Prometheus reads them (OpenMetrics text).
//!
//! Owns the names. Handles of an endpoint are made once, when it is published, so that counting on the hot path is an
//! addition. Refuses labels that clients choose: a label is an endpoint, a variant or a fixed word.

mod upstream;

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::live::Live;

/// From 50 µs to 10 s, about three steps a decade.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VariantLabels {
    endpoint: String,
    variant: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    endpoint: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of the server.
pub struct Metrics {
    registry: Registry,
    predictions: Family<VariantLabels, Counter>,
    failures: Family<VariantLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    rejected: Family<ReasonLabels, Counter>,
    dropped: Family<EndpointLabels, Counter>,
    requests: Histograms<EndpointLabels>,
    models: Histograms<VariantLabels>,
    appends: Histograms<EndpointLabels>,
    /// Inference requests that are being answered.
    pub in_flight: Gauge,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were closed because nothing came through them.
    pub idle_closed: Counter,
    /// Loaded models.
    pub models_loaded: Gauge,
    /// Memory of loaded models, as they say themselves.
    pub model_memory: Gauge,
    /// Endpoints published again because the store had changed.
    pub reloads: Counter,
    /// Endpoints that could not be published again.
    pub reload_failures: Counter,
    /// From a change to its publication here, seconds; between machines it is as good as their clocks.
    pub reload_delay: Histogram,
}

/// The handles of one endpoint.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Rows that the champion decided.
    pub champion: Counter,
    /// Rows that a challenger decided.
    pub challenger: Counter,
    /// Rows that the holdout rule decided.
    pub holdout: Counter,
    /// Rows that a shadow scored.
    pub shadow: Counter,
    /// Rows whose model failed, so that the holdout rule decided.
    pub failures: Counter,
    /// Requests that could not be right.
    pub invalid: Counter,
    /// Requests that the event log could not take.
    pub unavailable: Counter,
    /// Rows that a shadow did not get because its queue was full.
    pub dropped: Counter,
    /// From the parsed request to its durable answer, seconds.
    pub request: Histogram,
    /// In the champion, seconds a request.
    pub champion_model: Histogram,
    /// In the shadow, seconds a request.
    pub shadow_model: Histogram,
    /// In the event log: waiting for the group commit, seconds a request.
    pub append: Histogram,
}

/// Why a request was turned away before it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Too many were being answered.
    Overload,
    /// The token's rate was used up.
    Rate,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("greenlight"),
            predictions: Family::default(),
            failures: Family::default(),
            refusals: Family::default(),
            rejected: Family::default(),
            dropped: Family::default(),
            requests: Family::new_with_constructor(seconds),
            models: Family::new_with_constructor(seconds),
            appends: Family::new_with_constructor(seconds),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            idle_closed: Counter::default(),
            models_loaded: Gauge::default(),
            model_memory: Gauge::default(),
            reloads: Counter::default(),
            reload_failures: Counter::default(),
            reload_delay: seconds(),
        };
        metrics.register();
        metrics.register_operations();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("predictions", "Rows decided or mirrored", self.predictions.clone());
        registry.register("model_failures", "Rows whose model failed", self.failures.clone());
        registry.register("refused_requests", "Inference requests that got an error", self.refusals.clone());
        registry.register("rejected_requests", "Requests turned away before parsing", self.rejected.clone());
        registry.register("shadow_dropped_rows", "Rows that no shadow got", self.dropped.clone());
        registry.register("inference_in_flight", "Inference requests being answered", self.in_flight.clone());
        let unit = || Unit::Seconds;
        registry.register_with_unit(
            "request_duration",
            "Inference, parsed to durable",
            unit(),
            self.requests.clone(),
        );
        registry.register_with_unit("model_duration", "Scoring, a request", unit(), self.models.clone());
        registry.register_with_unit(
            "append_duration",
            "Waiting for the event log's commit",
            unit(),
            self.appends.clone(),
        );
        registry.register_collector(Box::new(Process));
    }

    fn register_operations(&mut self) {
        let registry = &mut self.registry;
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("idle_connections_closed", "Closed as nothing came", self.idle_closed.clone());
        registry.register("models_loaded", "Models in memory", self.models_loaded.clone());
        registry.register_with_unit(
            "model_memory",
            "Memory of loaded models, as they say",
            Unit::Bytes,
            self.model_memory.clone(),
        );
        registry.register("reloads", "Endpoints published again after a change", self.reloads.clone());
        registry.register(
            "reload_failures",
            "Changes that could not be followed",
            self.reload_failures.clone(),
        );
        registry.register_with_unit(
            "reload_delay",
            "From a change to its publication here",
            Unit::Seconds,
            self.reload_delay.clone(),
        );
    }

    /// Tells of the upstreams of these endpoints as well.
    #[must_use]
    pub fn watch(mut self, live: &Arc<Live>) -> Self {
        self.registry.register_collector(Box::new(upstream::Upstreams(Arc::clone(live))));
        self
    }

    /// The handles of an endpoint.
    pub fn meters(&self, endpoint: &str) -> Meters {
        let variant = |variant| VariantLabels { endpoint: endpoint.to_owned(), variant };
        let refusal = |reason| RefusalLabels { endpoint: endpoint.to_owned(), reason };
        let own = EndpointLabels { endpoint: endpoint.to_owned() };
        Meters {
            champion: self.predictions.get_or_create_owned(&variant("champion")),
            challenger: self.predictions.get_or_create_owned(&variant("challenger")),
            holdout: self.predictions.get_or_create_owned(&variant("holdout")),
            shadow: self.predictions.get_or_create_owned(&variant("shadow")),
            failures: self.failures.get_or_create_owned(&variant("champion")),
            invalid: self.refusals.get_or_create_owned(&refusal("invalid")),
            unavailable: self.refusals.get_or_create_owned(&refusal("unavailable")),
            dropped: self.dropped.get_or_create_owned(&own),
            request: self.requests.get_or_create_owned(&own),
            champion_model: self.models.get_or_create_owned(&variant("champion")),
            shadow_model: self.models.get_or_create_owned(&variant("shadow")),
            append: self.appends.get_or_create_owned(&own),
        }
    }

    /// Counts a request that was turned away.
    pub fn reject(&self, why: Rejected) {
        let reason = match why {
            Rejected::Overload => "overload",
            Rejected::Rate => "rate",
        };
        self.rejected.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Memory and processor time of this process, read when somebody asks.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(usage) = usage() else { return Ok(()) };
        let memory = ConstGauge::new(usage.resident_bytes);
        let described = encoder.encode_descriptor(
            "process_resident_memory",
            "Memory in use",
            Some(&Unit::Bytes),
            memory.metric_type(),
        )?;
        memory.encode(described)?;
        let processor = ConstCounter::new(usage.processor_seconds);
        let described = encoder.encode_descriptor(
            "process_cpu",
            "Processor time",
            Some(&Unit::Seconds),
            processor.metric_type(),
        )?;
        processor.encode(described)
    }
}

struct Usage {
    resident_bytes: i64,
    processor_seconds: f64,
}

/// From `/proc`; nothing elsewhere. Linux counts processor time in ticks of 10 ms and memory in pages of 4 KiB on the
/// machines that we build for.
fn usage() -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = status.split_whitespace().nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; fields are counted from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Usage { resident_bytes: pages * 4_096, processor_seconds: (user + system) / 100.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_what_was_counted() {
        let metrics = Metrics::default();
        let meters = metrics.meters("calls");
        meters.champion.inc_by(3);
        meters.request.observe(0.001);
        metrics.reject(Rejected::Overload);
        let text = metrics.text();
        for line in [
            "greenlight_predictions_total{endpoint=\"calls\",variant=\"champion\"} 3",
            "greenlight_request_duration_seconds_count{endpoint=\"calls\"} 1",
            "greenlight_rejected_requests_total{reason=\"overload\"} 1",
            "greenlight_process_resident_memory_bytes ",
            "# EOF",
        ] {
            assert!(text.contains(line), "'{line}' is not in:\n{text}");
        }
    }
}
