//! The shop, sent with OpenTelemetry's SDK for Rust.

use anyhow::{Context as _, Result};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// What sends the telemetry.
pub(crate) struct Exporters {
    spans: SpanExporter,
    metrics: MetricExporter,
    logs: LogExporter,
}

impl Exporters {
    /// Over gRPC, with gzip.
    pub(crate) fn grpc(endpoint: &str) -> Result<Self> {
        const GZIP: Compression = Compression::Gzip;
        Ok(Self {
            spans: SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_compression(GZIP).build()?,
            metrics: MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_compression(GZIP).build()?,
            logs: LogExporter::builder().with_tonic().with_endpoint(endpoint).with_compression(GZIP).build()?,
        })
    }

    /// Over HTTP, with protobuf.
    pub(crate) fn http(endpoint: &str) -> Result<Self> {
        let of = |signal| format!("{endpoint}/v1/{signal}");
        Ok(Self {
            spans: SpanExporter::builder().with_http().with_endpoint(of("traces")).build()?,
            metrics: MetricExporter::builder().with_http().with_endpoint(of("metrics")).build()?,
            logs: LogExporter::builder().with_http().with_endpoint(of("logs")).build()?,
        })
    }
}

/// Sends the shop and waits until all is sent.
pub(crate) async fn run_shop(exporters: Exporters) -> Result<()> {
    let resource =
        Resource::builder().with_service_name("shop").with_attribute(KeyValue::new("service.version", "1.2.3")).build();
    let scope = || InstrumentationScope::builder("shop").with_version("1.2.3").build();
    // Ending a provider blocks.
    tokio::task::spawn_blocking(move || {
        let tracers =
            SdkTracerProvider::builder().with_batch_exporter(exporters.spans).with_resource(resource.clone()).build();
        send_spans(&tracers.tracer_with_scope(scope()));
        tracers.shutdown().context("spans")?;

        let meters = SdkMeterProvider::builder()
            .with_periodic_exporter(exporters.metrics)
            .with_resource(resource.clone())
            .build();
        send_metrics(&meters.meter_with_scope(scope()));
        meters.shutdown().context("metrics")?;

        let loggers = SdkLoggerProvider::builder().with_batch_exporter(exporters.logs).with_resource(resource).build();
        send_logs(&loggers.logger_with_scope(scope()));
        loggers.shutdown().context("logs")
    })
    .await?
}

fn region(number: usize) -> KeyValue {
    KeyValue::new("region", ["a", "b"][number % 2])
}

fn send_spans(tracer: &opentelemetry_sdk::trace::SdkTracer) {
    for number in 0..10 {
        let attributes = [KeyValue::new("http.route", "/cart"), KeyValue::new("user.id", format!("user_{number}"))];
        let mut span =
            tracer.span_builder("GET /cart").with_kind(SpanKind::Server).with_attributes(attributes).start(tracer);
        if number < 3 {
            span.add_event("cache.miss", vec![KeyValue::new("cache.key", format!("cart-{number}"))]);
        }
        match number {
            0 => span.set_status(Status::error("out of stock")),
            1 => span.set_status(Status::Ok),
            _ => {}
        }
        span.end();
    }
}

fn send_metrics(meter: &opentelemetry::metrics::Meter) {
    let orders = meter.u64_counter("shop.orders").with_unit("{order}").with_description("Orders placed.").build();
    let duration = meter.f64_histogram("shop.duration").with_unit("s").with_boundaries(vec![0.1, 1.0]).build();
    let queue = meter.u64_gauge("shop.queue").build();
    for number in 0..10_usize {
        orders.add(1, &[region(number)]);
        duration.record(number as f64 / 10.0, &[]);
        queue.record(number as u64, &[]);
    }
}

fn send_logs(logger: &opentelemetry_sdk::logs::SdkLogger) {
    for number in 0..10_usize {
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Warn);
        record.set_severity_text("WARN");
        record.set_body(AnyValue::from(format!("user {number} logged in")));
        record.add_attribute("region", ["a", "b"][number % 2]);
        logger.emit(record);
    }
}
