//! What a server says about itself while it runs: log lines on standard error, and traces over OTLP when asked for.
//!
//! A request is traced when its `traceparent` says so, or, without one, by chance. It gets a span, and the rest of the
//! server sees that span's own `traceparent` in the request's headers: the prediction log and upstream servers take it
//! from there. Spans below it have the target [`TARGET`]; they are made only inside a traced request. Without a
//! collector there is no layer in the router and no span is ever made.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use greenlight_domain::trace::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Instrument, Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::failure::Failure;

/// Target of every span that goes to the collector.
pub(crate) const TARGET: &str = "trace";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Spans that wait for the collector; more are dropped.
const QUEUE: usize = 2_048;
const BATCH: usize = 512;
const EXPORT_EVERY: Duration = Duration::from_secs(1);
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// Where traces go.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    /// `http://host:4317`.
    pub url: String,
    /// Share of the requests without a `traceparent` that are traced.
    pub ratio: f64,
}

/// Traces that are being sent.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    ratio: f64,
}

/// Begins to log, and to trace when there is a collector. Call it inside the asynchronous runtime.
pub(crate) fn start(collector: Option<&Collector>) -> Result<Option<Traces>, Failure> {
    let lines = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,greenlight=info"));
    let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(lines);
    let Some(collector) = collector else {
        tracing_subscriber::registry().with(written).init();
        return Ok(None);
    };
    let provider = provider(collector)?;
    let traced = tracing_opentelemetry::layer().with_tracer(provider.tracer("greenlight")).with_filter(
        tracing_subscriber::filter::dynamic_filter_fn(|metadata: &Metadata<'_>, context| {
            metadata.name() == "request" || context.lookup_current().is_some()
        })
        .with_max_level_hint(LevelFilter::INFO)
        .with_callsite_filter(|metadata| {
            if metadata.is_span() && metadata.target() == TARGET {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        }),
    );
    tracing_subscriber::registry().with(written).with(traced).init();
    Ok(Some(Traces { provider, ratio: collector.ratio }))
}

fn provider(collector: &Collector) -> Result<SdkTracerProvider, Failure> {
    let problem = |what: String| Failure::Input(format!("--otlp {}: {what}", collector.url));
    if !collector.url.starts_with("http://") {
        return Err(problem(
            "give the collector's gRPC address, such as http://127.0.0.1:4317; for TLS, run a collector beside the server"
                .to_owned(),
        ));
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&collector.url)
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(|error| problem(error.to_string()))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(EXPORT_EVERY)
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("greenlight").with_attribute(version).build();
    // Who is traced is decided before a span is made.
    let made = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn);
    Ok(made.with_span_processor(processor).with_resource(resource).build())
}

impl Traces {
    /// Traces the requests to these routes.
    pub(crate) fn around(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self.ratio, trace))
    }

    /// Sends what waits; gives up after a few seconds.
    pub(crate) async fn end(self) {
        let provider = self.provider;
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(EXPORT_LIMIT)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces may be missing"),
            Err(error) => tracing::warn!(%error, "the last traces may be missing"),
        }
    }
}

async fn trace(State(ratio): State<f64>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get(TRACEPARENT);
    let parent = header.and_then(|value| TraceParent::parse(value.as_bytes()));
    let sampled = parent.map_or_else(|| rand::random::<f64>() < ratio, |parent| parent.sampled);
    if !sampled {
        return next.run(request).await;
    }
    let span = begin(&request, parent);
    if let Some(header) = own(&span) {
        request.headers_mut().insert(TRACEPARENT, header);
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}

fn begin(request: &Request, parent: Option<TraceParent>) -> Span {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = format!("{} {path}", request.method()),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = path,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
    );
    if let Some(parent) = parent {
        let remote = SpanContext::new(
            TraceId::from(parent.trace_id),
            SpanId::from(parent.parent_id),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        if let Err(error) = span.set_parent(Context::new().with_remote_span_context(remote)) {
            tracing::debug!(%error, "a span does not belong to its caller's trace");
        }
    }
    span
}

/// The `traceparent` of the span itself, for the log and for upstream servers.
fn own(span: &Span) -> Option<HeaderValue> {
    let context = span.context();
    let context = context.span().span_context().clone();
    let own = TraceParent {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        parent_id: u64::from_be_bytes(context.span_id().to_bytes()),
        sampled: true,
    };
    context.is_valid().then(|| HeaderValue::from_str(&own.to_string()).ok()).flatten()
}
