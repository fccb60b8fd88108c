//! What a visitor saw, and what it should have seen by the protocol's own messages, as the same owned values.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1 as resource;
use tallybook_core::Signal;
use tallybook_telemetry::DecodeError;
use tallybook_telemetry::otlp::{
    AnyValue, Attributes, DataPoint, LogRecord, Metric, MetricKind, Resource, Scope, Span, Visitor, hash_value,
    validate,
};

pub(crate) type Pairs = Vec<(String, Value)>;

/// Doubles are kept as bits, so that NaN is equal to itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Empty,
    String(String),
    Bool(bool),
    Int(i64),
    Double(u64),
    Array(Vec<Value>),
    KvList(Pairs),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Resource(Pairs),
    Scope {
        name: String,
        version: String,
        attributes: Pairs,
    },
    Log {
        times: [u64; 2],
        severity: (i32, String),
        event_name: String,
        body: Value,
        attributes: Pairs,
    },
    Span {
        name: String,
        kind: i32,
        times: [u64; 2],
        status_code: i32,
        attributes: Pairs,
        events: Vec<(u64, String, Pairs)>,
        links: Vec<Pairs>,
    },
    Metric {
        texts: [String; 3],
        kind: Option<MetricKind>,
        temporality: i32,
        monotonic: bool,
    },
    Point {
        times: [u64; 2],
        attributes: Pairs,
        bounds: Vec<u64>,
        quantiles: Vec<[u64; 2]>,
        flags: u32,
    },
}

/// Checks and visits a protobuf request; the visits must be as many as were counted.
pub(crate) fn see(signal: Signal, request: &[u8]) -> Result<Vec<Seen>, DecodeError> {
    let request = validate(signal, request)?;
    let mut collector = Collector::default();
    request.visit(&mut collector);
    let is_record = |seen: &&Seen| matches!(seen, Seen::Log { .. } | Seen::Span { .. } | Seen::Point { .. });
    assert_eq!(collector.seen.iter().filter(is_record).count() as u64, request.counts().records);
    Ok(collector.seen)
}

/// The hashes of all attribute values and bodies of a request, in its order.
pub(crate) fn hashes(signal: Signal, request: &[u8]) -> Result<Vec<u64>, DecodeError> {
    let mut collector = Collector::default();
    validate(signal, request)?.visit(&mut collector);
    Ok(collector.hashes)
}

#[derive(Default)]
struct Collector {
    seen: Vec<Seen>,
    hashes: Vec<u64>,
}

impl Collector {
    fn pairs(&mut self, attributes: Attributes<'_>) -> Pairs {
        attributes.iter().map(|pair| (pair.key.to_str().into_owned(), self.value(pair.value))).collect()
    }

    fn value(&mut self, value: AnyValue<'_>) -> Value {
        self.hashes.push(hash_value(value));
        owned(value)
    }
}

fn owned(value: AnyValue<'_>) -> Value {
    match value {
        AnyValue::Empty => Value::Empty,
        AnyValue::String(text) => Value::String(text.to_str().into_owned()),
        AnyValue::Bool(flag) => Value::Bool(flag),
        AnyValue::Int(number) => Value::Int(number),
        AnyValue::Double(number) => Value::Double(number.to_bits()),
        AnyValue::Array(values) => Value::Array(values.iter().map(owned).collect()),
        AnyValue::KvList(pairs) => {
            Value::KvList(pairs.iter().map(|pair| (pair.key.to_str().into_owned(), owned(pair.value))).collect())
        }
        AnyValue::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

impl<'a> Visitor<'a> for Collector {
    fn resource(&mut self, resource: &Resource<'a>) {
        let attributes = self.pairs(resource.attributes);
        self.seen.push(Seen::Resource(attributes));
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        let attributes = self.pairs(scope.attributes);
        let (name, version) = (scope.name.to_str().into_owned(), scope.version.to_str().into_owned());
        self.seen.push(Seen::Scope { name, version, attributes });
    }

    fn log(&mut self, record: &LogRecord<'a>) {
        let body = self.value(record.body);
        let attributes = self.pairs(record.attributes);
        self.seen.push(Seen::Log {
            times: [record.time_unix_nano, record.observed_time_unix_nano],
            severity: (record.severity_number, record.severity_text.to_str().into_owned()),
            event_name: record.event_name.to_str().into_owned(),
            body,
            attributes,
        });
    }

    fn span(&mut self, span: &Span<'a>) {
        let attributes = self.pairs(span.attributes);
        let events = span.events.iter();
        let events = events
            .map(|event| (event.time_unix_nano, event.name.to_str().into_owned(), self.pairs(event.attributes)))
            .collect();
        let links = span.links.iter().map(|link| self.pairs(link.attributes)).collect();
        self.seen.push(Seen::Span {
            name: span.name.to_str().into_owned(),
            kind: span.kind,
            times: [span.start_time_unix_nano, span.end_time_unix_nano],
            status_code: span.status_code,
            attributes,
            events,
            links,
        });
    }

    fn metric(&mut self, metric: &Metric<'a>) {
        self.seen.push(Seen::Metric {
            texts: [metric.name, metric.description, metric.unit].map(|text| text.to_str().into_owned()),
            kind: metric.kind,
            temporality: metric.temporality,
            monotonic: metric.monotonic,
        });
    }

    fn data_point(&mut self, point: &DataPoint<'a>) {
        let attributes = self.pairs(point.attributes);
        self.seen.push(Seen::Point {
            times: [point.start_time_unix_nano, point.time_unix_nano],
            attributes,
            bounds: point.explicit_bounds.iter().map(f64::to_bits).collect(),
            quantiles: point.quantiles.iter().map(|at| [at.quantile.to_bits(), at.value.to_bits()]).collect(),
            flags: point.flags,
        });
    }
}

fn expected_value(value: Option<&common::AnyValue>) -> Value {
    use any_value::Value as Proto;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Proto::StringValueStrindex(_)) => Value::Empty,
        Some(Proto::StringValue(text)) => Value::String(text.clone()),
        Some(Proto::BoolValue(flag)) => Value::Bool(*flag),
        Some(Proto::IntValue(number)) => Value::Int(*number),
        Some(Proto::DoubleValue(number)) => Value::Double(number.to_bits()),
        Some(Proto::ArrayValue(list)) => {
            Value::Array(list.values.iter().map(|value| expected_value(Some(value))).collect())
        }
        Some(Proto::KvlistValue(list)) => Value::KvList(expected_pairs(&list.values)),
        Some(Proto::BytesValue(bytes)) => Value::Bytes(bytes.clone()),
    }
}

fn expected_pairs(pairs: &[common::KeyValue]) -> Pairs {
    pairs.iter().map(|pair| (pair.key.clone(), expected_value(pair.value.as_ref()))).collect()
}

fn expected_resource(resource: Option<&resource::Resource>) -> Seen {
    Seen::Resource(resource.map(|resource| expected_pairs(&resource.attributes)).unwrap_or_default())
}

fn expected_scope(scope: Option<&common::InstrumentationScope>) -> Seen {
    let scope = scope.cloned().unwrap_or_default();
    Seen::Scope { name: scope.name, version: scope.version, attributes: expected_pairs(&scope.attributes) }
}

/// What is to be seen of these log records.
pub(crate) fn expected_logs(request: &ExportLogsServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for group in &request.resource_logs {
        seen.push(expected_resource(group.resource.as_ref()));
        for group in &group.scope_logs {
            seen.push(expected_scope(group.scope.as_ref()));
            seen.extend(group.log_records.iter().map(|record| Seen::Log {
                times: [record.time_unix_nano, record.observed_time_unix_nano],
                severity: (record.severity_number, record.severity_text.clone()),
                event_name: record.event_name.clone(),
                body: expected_value(record.body.as_ref()),
                attributes: expected_pairs(&record.attributes),
            }));
        }
    }
    seen
}

/// What is to be seen of these spans.
pub(crate) fn expected_traces(request: &ExportTraceServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for group in &request.resource_spans {
        seen.push(expected_resource(group.resource.as_ref()));
        for group in &group.scope_spans {
            seen.push(expected_scope(group.scope.as_ref()));
            seen.extend(group.spans.iter().map(|span| {
                Seen::Span {
                    name: span.name.clone(),
                    kind: span.kind,
                    times: [span.start_time_unix_nano, span.end_time_unix_nano],
                    status_code: span.status.as_ref().map_or(0, |status| status.code),
                    attributes: expected_pairs(&span.attributes),
                    events: span
                        .events
                        .iter()
                        .map(|event| (event.time_unix_nano, event.name.clone(), expected_pairs(&event.attributes)))
                        .collect(),
                    links: span.links.iter().map(|link| expected_pairs(&link.attributes)).collect(),
                }
            }));
        }
    }
    seen
}

/// What is to be seen of these metrics.
pub(crate) fn expected_metrics(request: &ExportMetricsServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for group in &request.resource_metrics {
        seen.push(expected_resource(group.resource.as_ref()));
        for group in &group.scope_metrics {
            seen.push(expected_scope(group.scope.as_ref()));
            for metric in &group.metrics {
                expected_metric(metric, &mut seen);
            }
        }
    }
    seen
}

fn expected_metric(metric: &metrics::Metric, seen: &mut Vec<Seen>) {
    let (kind, temporality, monotonic) = match &metric.data {
        None => (None, 0, false),
        Some(Data::Gauge(_)) => (Some(MetricKind::Gauge), 0, false),
        Some(Data::Sum(sum)) => (Some(MetricKind::Sum), sum.aggregation_temporality, sum.is_monotonic),
        Some(Data::Histogram(data)) => (Some(MetricKind::Histogram), data.aggregation_temporality, false),
        Some(Data::ExponentialHistogram(data)) => {
            (Some(MetricKind::ExponentialHistogram), data.aggregation_temporality, false)
        }
        Some(Data::Summary(_)) => (Some(MetricKind::Summary), 0, false),
    };
    let texts = [metric.name.clone(), metric.description.clone(), metric.unit.clone()];
    seen.push(Seen::Metric { texts, kind, temporality, monotonic });

    let number = |point: &metrics::NumberDataPoint| Seen::Point {
        times: [point.start_time_unix_nano, point.time_unix_nano],
        attributes: expected_pairs(&point.attributes),
        bounds: Vec::new(),
        quantiles: Vec::new(),
        flags: point.flags,
    };
    match &metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => seen.extend(gauge.data_points.iter().map(number)),
        Some(Data::Sum(sum)) => seen.extend(sum.data_points.iter().map(number)),
        Some(Data::Histogram(data)) => seen.extend(data.data_points.iter().map(|point| Seen::Point {
            times: [point.start_time_unix_nano, point.time_unix_nano],
            attributes: expected_pairs(&point.attributes),
            bounds: point.explicit_bounds.iter().map(|bound| bound.to_bits()).collect(),
            quantiles: Vec::new(),
            flags: point.flags,
        })),
        Some(Data::ExponentialHistogram(data)) => seen.extend(data.data_points.iter().map(|point| Seen::Point {
            times: [point.start_time_unix_nano, point.time_unix_nano],
            attributes: expected_pairs(&point.attributes),
            bounds: Vec::new(),
            quantiles: Vec::new(),
            flags: point.flags,
        })),
        Some(Data::Summary(data)) => seen.extend(data.data_points.iter().map(|point| Seen::Point {
            times: [point.start_time_unix_nano, point.time_unix_nano],
            attributes: expected_pairs(&point.attributes),
            bounds: Vec::new(),
            quantiles: point.quantile_values.iter().map(|at| [at.quantile.to_bits(), at.value.to_bits()]).collect(),
            flags: point.flags,
        })),
    }
}
