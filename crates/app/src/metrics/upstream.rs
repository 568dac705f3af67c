//! How the servers behind forwarded models are, read from the loaded models when somebody asks.
//!
//! Nothing is counted here: the models count, and begin anew when they are loaded again.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::live::{Live, LiveEndpoint, LiveModel};
use crate::runtime::{AddressHealth, BreakerState, UpstreamHealth};

/// The upstreams of every endpoint.
pub(super) struct Upstreams(pub(super) Arc<Live>);

type Labels = [(&'static str, String); 3];

/// What is told of an address, or of a whole upstream: name, help and how it is read.
type Told<T, Of = AddressHealth> = (&'static str, &'static str, fn(&Of) -> T);

const COUNTERS: [Told<u64>; 2] = [
    ("upstream_requests", "Calls sent to an address of an upstream", |address| address.requests),
    ("upstream_failures", "Calls that failed by the address's own fault", |address| address.failures),
];

const GAUGES: [Told<i64>; 4] = [
    ("upstream_breaker", "Circuit of an address: 0 closed, 1 half open, 2 open", |address| {
        match address.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        }
    }),
    ("upstream_ejected", "1 while an address rests for failing more than the others", |address| {
        i64::from(address.ejected)
    }),
    ("upstream_ready", "1 unless the health probes found an address not ready", |address| {
        i64::from(address.ready != Some(false))
    }),
    ("upstream_in_flight", "Calls that wait for an address", |address| address.in_flight as i64),
];

fn models(endpoint: &LiveEndpoint) -> impl Iterator<Item = &LiveModel> {
    endpoint.champion.iter().chain(&endpoint.shadows).chain(&endpoint.previous).chain(&endpoint.challengers)
}

impl Upstreams {
    /// Endpoint, model and health of each upstream; once, however many variants share its version.
    fn found(&self) -> Vec<(String, String, UpstreamHealth)> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for endpoint in self.0.names().iter().filter_map(|name| self.0.get(name)) {
            for model in models(&endpoint) {
                if let Some(upstream) = model.model.upstream()
                    && seen.insert((Arc::clone(&endpoint.name), Arc::clone(&model.reference)))
                {
                    found.push((endpoint.name.to_string(), model.reference.to_string(), upstream.health()));
                }
            }
        }
        found
    }
}

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let upstreams = self.found();
        let addresses: Vec<(Labels, &AddressHealth)> = upstreams
            .iter()
            .flat_map(|(endpoint, model, health)| {
                let labels = |address: &AddressHealth| {
                    [
                        ("endpoint", endpoint.clone()),
                        ("model", model.clone()),
                        ("address", address.address.clone()),
                    ]
                };
                health.addresses.iter().map(move |address| (labels(address), address))
            })
            .collect();
        if addresses.is_empty() {
            return Ok(());
        }
        for (name, help, read) in COUNTERS {
            let kind = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, address) in &addresses {
                ConstCounter::new(read(address)).encode(family.encode_family(labels)?)?;
            }
        }
        for (name, help, read) in GAUGES {
            let kind = ConstGauge::new(0_i64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, address) in &addresses {
                ConstGauge::new(read(address)).encode(family.encode_family(labels)?)?;
            }
        }
        let whole: [Told<u64, UpstreamHealth>; 2] = [
            ("upstream_retries", "Calls sent again", |health| health.retries),
            ("upstream_refused", "Calls turned away: too many in flight, or every circuit open", |health| {
                health.refused
            }),
        ];
        for (name, help, read) in whole {
            let kind = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (endpoint, model, health) in &upstreams {
                let labels = [("endpoint", endpoint.clone()), ("model", model.clone())];
                ConstCounter::new(read(health)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}
