//! OTLP requests made beforehand: several services, six attributes a record, five on the resource, real log lines.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

/// Requests of one kind; more than one, so that values differ from request to request.
const REQUESTS: u64 = 64;
const SERVICES: u64 = 8;
const NAMES_PER_SERVICE: u32 = 10;

/// A whole HTTP request, ready to be written to a socket.
#[derive(Debug)]
pub struct Payload {
    /// Head and body.
    pub http_request: Vec<u8>,
    /// Records in it.
    pub records: u64,
}

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Log records with string bodies.
    Logs,
    /// Spans.
    Spans,
    /// Data points of sums.
    Metrics,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Spans, Self::Metrics];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metric points",
        }
    }

    /// What the issue asks at least, in records per second of processor time.
    pub fn target(self) -> f64 {
        match self {
            Self::Logs => 250e3,
            Self::Spans => 300e3,
            Self::Metrics => 700e3,
        }
    }
}

/// Requests of `batch` records each.
pub fn requests(kind: Kind, batch: usize) -> Vec<Payload> {
    let one = |number| {
        let mut random = SmallRng::seed_from_u64(number);
        let resource = Some(resource(number % SERVICES));
        let scope =
            Some(InstrumentationScope { name: "shop/http".into(), version: "1.2.3".into(), ..Default::default() });
        match kind {
            Kind::Logs => {
                let log_records = (0..batch).map(|_| log_record(&mut random)).collect();
                let scope_logs = vec![ScopeLogs { scope, log_records, ..Default::default() }];
                let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
                post("logs", &ExportLogsServiceRequest { resource_logs }.encode_to_vec(), batch)
            }
            Kind::Spans => {
                let spans = (0..batch).map(|_| span(&mut random)).collect();
                let scope_spans = vec![ScopeSpans { scope, spans, ..Default::default() }];
                let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
                post("traces", &ExportTraceServiceRequest { resource_spans }.encode_to_vec(), batch)
            }
            Kind::Metrics => {
                let names = NAMES_PER_SERVICE as usize;
                let metrics = (0..names)
                    .map(|name| {
                        let points = (name..batch).step_by(names).map(|_| point(attributes(&mut random)));
                        sum(format!("shop.operations.{name}"), points.collect())
                    })
                    .collect();
                metrics_request(resource, scope, metrics, batch)
            }
        }
    };
    (0..REQUESTS).map(one).collect()
}

/// Requests that make `metrics` metrics of one service known, each with one data point that carries `keys` keys of its own.
pub fn wide_catalogue(metrics: usize, keys: usize) -> Vec<Payload> {
    let names: Vec<usize> = (0..metrics).collect();
    let request = |names: &[usize]| {
        let metric = |name: &usize| {
            let labels = (0..keys).map(|key| text(&format!("m{name}.key_{key}"), format!("value {name}"))).collect();
            sum(format!("wide.metric.number.{name}"), vec![point(labels)])
        };
        let metrics = names.iter().map(metric).collect();
        let scope = Some(InstrumentationScope { name: "wide".into(), ..Default::default() });
        metrics_request(Some(resource(99)), scope, metrics, names.len())
    };
    names.chunks(1_000).map(request).collect()
}

/// Log lines as services write them.
pub fn log_line(random: &mut SmallRng) -> String {
    let user = random.random_range(0..10_000);
    let ms = random.random_range(1..2_000);
    let ip =
        format!("10.{}.{}.{}", random.random_range(0..4), random.random_range(0..255), random.random_range(1..255));
    match random.random_range(0..12) {
        0 => format!("GET /api/v1/users/{user}/orders 200 in {ms}ms"),
        1 => format!("POST /cart/{user}/items 201 in {ms}ms from {ip}"),
        2 => format!("user_{user} logged in from {ip}:52113 using password"),
        3 => format!("connection to postgres at {ip}:5432 established after {ms} ms"),
        4 => format!("cache miss for key session:{user:08x}, loading from database"),
        5 => format!("order 7f9c24e8-3b12-4fef-91e0-{user:012x} placed, total {ms}.99 EUR"),
        6 => {
            format!("retrying request to https://pay.example.com/charges/{user}: timeout after {ms}ms (attempt 2 of 5)")
        }
        7 => format!("worker {} finished job resize-image for /var/spool/images/{user}.jpg", user % 16),
        8 => format!("slow query ({ms} ms): SELECT * FROM orders WHERE customer_id = {user} ORDER BY created_at DESC"),
        9 => format!("payment declined for customer={user} amount={ms} currency=EUR reason=\"insufficient funds\""),
        10 => format!("2026-01-02T03:04:05.{:03}Z heartbeat from node-{} ok", ms % 1000, user % 40),
        _ => format!("evicted {ms} entries, {user} bytes freed, heap at {}%", user % 100),
    }
}

fn log_record(random: &mut SmallRng) -> LogRecord {
    LogRecord {
        time_unix_nano: now(),
        observed_time_unix_nano: now(),
        severity_number: [9, 9, 9, 9, 13, 17][random.random_range(0..6)],
        severity_text: "INFO".into(),
        body: Some(AnyValue { value: Some(Value::StringValue(log_line(random))) }),
        attributes: attributes(random),
        trace_id: random.random::<[u8; 16]>().to_vec(),
        span_id: random.random::<[u8; 8]>().to_vec(),
        ..Default::default()
    }
}

fn span(random: &mut SmallRng) -> Span {
    Span {
        trace_id: random.random::<[u8; 16]>().to_vec(),
        span_id: random.random::<[u8; 8]>().to_vec(),
        parent_span_id: random.random::<[u8; 8]>().to_vec(),
        name: format!("operation-{}", random.random_range(0..NAMES_PER_SERVICE)),
        kind: random.random_range(1..4),
        start_time_unix_nano: now(),
        end_time_unix_nano: now() + random.random_range(1_000_000..500_000_000),
        attributes: attributes(random),
        status: Some(Status { code: random.random_range(0..3), ..Default::default() }),
        ..Default::default()
    }
}

/// Six: two with few values, one integer, three with many.
fn attributes(random: &mut SmallRng) -> Vec<KeyValue> {
    let method = ["GET", "POST", "PUT", "DELETE"][random.random_range(0..4)];
    vec![
        text("http.request.method", method.to_owned()),
        text("http.route", format!("/api/v1/things/{}", random.random_range(0..20))),
        KeyValue {
            key: "http.response.status_code".into(),
            value: Some(AnyValue { value: Some(Value::IntValue([200, 201, 404, 500][random.random_range(0..4)])) }),
            ..Default::default()
        },
        text("user.id", format!("user_{}", random.random_range(0..10_000))),
        text("client.address", format!("10.0.{}.{}", random.random_range(0..16), random.random_range(0..255))),
        text("session.id", format!("{:016x}", random.random::<u64>())),
    ]
}

fn point(attributes: Vec<KeyValue>) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsInt(1));
    NumberDataPoint { attributes, time_unix_nano: now(), value, ..Default::default() }
}

fn sum(name: String, data_points: Vec<NumberDataPoint>) -> Metric {
    let data = Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true });
    Metric {
        name,
        unit: "{operation}".into(),
        description: "Operations done.".into(),
        data: Some(data),
        ..Default::default()
    }
}

fn metrics_request(
    resource: Option<Resource>,
    scope: Option<InstrumentationScope>,
    metrics: Vec<Metric>,
    records: usize,
) -> Payload {
    let scope_metrics = vec![ScopeMetrics { scope, metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }];
    post("metrics", &ExportMetricsServiceRequest { resource_metrics }.encode_to_vec(), records)
}

fn resource(service: u64) -> Resource {
    let attributes = vec![
        text("service.name", format!("service-{service}")),
        text("service.version", "1.0.3".into()),
        text("deployment.environment.name", "production".into()),
        text("k8s.pod.name", format!("service-{service}-7d4b9c6f5-{service:05x}")),
        text("host.name", format!("node-{}", service % 3)),
    ];
    Resource { attributes, ..Default::default() }
}

fn text(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
        ..Default::default()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

fn post(signal: &str, body: &[u8], records: usize) -> Payload {
    let head = format!(
        "POST /v1/{signal} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Payload { http_request: [head.as_bytes(), body].concat(), records: records as u64 }
}
