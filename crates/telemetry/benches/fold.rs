//! How fast requests are checked, visited and folded, what a drain costs, and how many bytes a key takes.
//!
//! `cargo bench -p tallybook-telemetry --bench fold`. Records have 6 attributes and 5 of their resource; there are about
//! 50 names. A drain is part of what is measured: one for each 100,000 records.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use tallybook_core::{Signal, Timestamp};
use tallybook_telemetry::{Fold, FoldOptions};

const TIME: u64 = 1_700_000_000_000_000_000;
const RECEIVED: Timestamp = Timestamp(TIME as i64 + 1_000_000_000);
const RECORDS: u64 = 100_000;
const NAMES: u64 = 50;

fn attribute(key: &str, value: impl Into<String>) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn attributes(record: u64) -> Vec<KeyValue> {
    let status = AnyValue { value: Some(Value::IntValue(200 + (record % 3) as i64 * 100)) };
    vec![
        attribute("http.request.method", ["GET", "POST", "PUT"][record as usize % 3]),
        attribute("http.route", format!("/api/v1/orders/{}", record % 20)),
        KeyValue { key: "http.response.status_code".into(), value: Some(status), ..KeyValue::default() },
        attribute("user.id", format!("user_{}", record * 7919 % 50_000)),
        attribute("k8s.pod.name", format!("checkout-7d9f8b6c5-{:05x}", record % 50)),
        attribute("server.address", "10.0.12.7"),
    ]
}

fn resource() -> Resource {
    let attributes = vec![
        attribute("service.name", "checkout"),
        attribute("service.version", "1.4.2"),
        attribute("deployment.environment.name", "production"),
        attribute("host.name", "ip-10-0-12-7"),
        attribute("telemetry.sdk.language", "rust"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "shop.http".into(), version: "0.3.1".into(), ..InstrumentationScope::default() }
}

fn body(record: u64) -> String {
    let user = record * 7919 % 50_000;
    match record % 10 {
        0 => format!("order {record} of user_{user} was paid in {} ms", record % 97),
        1 => format!("GET /api/v1/orders/{record} 200 {}ms from 10.0.{}.{}", record % 300, record % 7, record % 251),
        2 => format!("cache miss for key cart:{user}, loading from database"),
        3 => format!("connection to postgres://db-{}:5432/shop established after {} attempts", record % 4, record % 5),
        4 => "health check passed".into(),
        5 => format!("retrying request 7f9c{record:012x} (attempt {} of 5): upstream timed out", record % 5),
        6 => format!(
            "user {user} logged in from 192.168.{}.{} with session 550e8400-e29b-41d4-a716-{record:012x}",
            record % 9,
            record % 251
        ),
        7 => format!("inventory for sku SKU-{} is low: {} left", record % 1000, record % 12),
        8 => format!("wrote {} bytes to /var/lib/shop/exports/{record}.csv", record * 13),
        _ => format!(
            "payment provider answered status=ok latency={}ms amount={}.{:02}",
            record % 800,
            record % 90,
            record % 100
        ),
    }
}

fn logs(records: std::ops::Range<u64>) -> Vec<u8> {
    let record = |record| LogRecord {
        time_unix_nano: TIME + record,
        observed_time_unix_nano: TIME + record,
        severity_number: [9, 9, 9, 5, 13, 17][record as usize % 6],
        severity_text: "INFO".into(),
        body: Some(AnyValue { value: Some(Value::StringValue(body(record))) }),
        attributes: attributes(record),
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        ..LogRecord::default()
    };
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope()), log_records: records.map(record).collect(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn spans(records: std::ops::Range<u64>) -> Vec<u8> {
    let span = |span| Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        parent_span_id: vec![9; 8],
        flags: 0x101,
        name: format!("GET /api/v1/resource-{}/{{id}}", span % NAMES),
        kind: 2,
        start_time_unix_nano: TIME + span,
        end_time_unix_nano: TIME + span + 1_000_000,
        attributes: attributes(span),
        status: Some(Status { code: 1, ..Status::default() }),
        ..Span::default()
    };
    let scope_spans =
        vec![ScopeSpans { scope: Some(scope()), spans: records.map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Twenty points a metric, as an SDK exports them.
fn metrics(records: std::ops::Range<u64>) -> Vec<u8> {
    const POINTS: u64 = 20;
    let point = |point| NumberDataPoint {
        start_time_unix_nano: TIME,
        time_unix_nano: TIME + point,
        attributes: attributes(point),
        value: Some(number_data_point::Value::AsInt(5)),
        ..NumberDataPoint::default()
    };
    let metric = |first: u64| Metric {
        name: format!("http.server.requests.{}", first / POINTS % NAMES),
        unit: "{request}".into(),
        description: "Number of requests that were answered.".into(),
        data: Some(Data::Sum(Sum {
            data_points: (first..first + POINTS).map(point).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Metric::default()
    };
    metrics_request(records.step_by(POINTS as usize).map(metric).collect())
}

fn metrics_request(metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn throughput(criterion: &mut Criterion) {
    for signal in [Signal::Log, Signal::Span, Signal::Metric] {
        let make = match signal {
            Signal::Log => logs,
            Signal::Span => spans,
            Signal::Metric => metrics,
        };
        let mut group = criterion.benchmark_group(signal.as_str());
        group.throughput(Throughput::Elements(RECORDS)).sample_size(20);
        for batch in [1000, 100] {
            let requests: Vec<Vec<u8>> = (0..RECORDS / batch).map(|at| make(at * batch..(at + 1) * batch)).collect();
            let mut fold = Fold::new(FoldOptions::default());
            group.bench_function(format!("batches of {batch}"), |bencher| {
                bencher.iter(|| {
                    for request in &requests {
                        fold.observe(signal, black_box(request), RECEIVED).expect("a valid request");
                    }
                    fold.drain()
                });
            });
        }
        group.finish();
    }
}

/// 50,000 metrics with 6 keys, and 5 of the resource.
fn many_metrics() -> Vec<Vec<u8>> {
    let metric = |number: u64| {
        let point =
            NumberDataPoint { time_unix_nano: TIME, attributes: attributes(number), ..NumberDataPoint::default() };
        Metric {
            name: format!("metric.number.{number}"),
            unit: "1".into(),
            description: "One of very many.".into(),
            data: Some(Data::Gauge(Gauge { data_points: vec![point] })),
            ..Metric::default()
        }
    };
    (0..50).map(|request| metrics_request((request * 1000..(request + 1) * 1000).map(metric).collect())).collect()
}

fn drains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    group.sample_size(10);
    let few = [spans(0..1000), spans(1000..2000)];
    let many = many_metrics();
    for (name, signal, requests) in [("50 names", Signal::Span, &few[..]), ("50,000 names", Signal::Metric, &many)] {
        let mut fold = Fold::new(FoldOptions::default());
        let mut counted = || {
            for request in requests {
                fold.observe(signal, request, RECEIVED).expect("a valid request");
            }
            std::mem::replace(&mut fold, Fold::new(FoldOptions::default()))
        };
        let held = counted();
        let stats = held.stats();
        println!(
            "{name}: {} keys, {} bytes known, {} bytes and {} rows pending",
            stats.keys,
            stats.known_bytes,
            held.pending_bytes(),
            held.pending_rows()
        );
        group.bench_function(name, |bencher| {
            bencher.iter_batched(&mut counted, |mut fold| (fold.drain(), fold), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, throughput, drains);
criterion_main!(benches);
