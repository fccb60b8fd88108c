//! Short ways to build the OTLP messages the demo sends.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// The bounds OpenTelemetry's conventions give for the duration of HTTP requests, in seconds.
const DURATION_BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

pub(super) fn body(text: String) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text)) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The resource of one pod of a service.
pub(super) fn resource(service: &str, pod: usize) -> Resource {
    let attributes = vec![
        text("service.name", service),
        text("service.version", "1.8.2"),
        text("deployment.environment.name", "demo"),
        text("k8s.pod.name", format!("{service}-6d5f7c9b8-{pod:05x}")),
        text("host.name", format!("node-{}", pod % 3)),
    ];
    Resource { attributes, ..Resource::default() }
}

pub(super) fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), version: "2.1.0".to_owned(), ..InstrumentationScope::default() }
}

pub(super) fn counter(name: &str, unit: &str, description: &str, points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum {
        data_points: points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic: true,
    };
    metric(name, unit, description, Data::Sum(sum))
}

pub(super) fn gauge(name: &str, unit: &str, description: &str, points: Vec<NumberDataPoint>) -> Metric {
    metric(name, unit, description, Data::Gauge(Gauge { data_points: points }))
}

pub(super) fn duration_histogram(name: &str, description: &str, points: Vec<HistogramDataPoint>) -> Metric {
    let histogram = Histogram { data_points: points, aggregation_temporality: AggregationTemporality::Delta.into() };
    metric(name, "s", description, Data::Histogram(histogram))
}

fn metric(name: &str, unit: &str, description: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

pub(super) fn number(attributes: Vec<KeyValue>, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        time_unix_nano: time,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// A histogram point of one measured duration, in seconds.
pub(super) fn duration(attributes: Vec<KeyValue>, time: u64, seconds: f64) -> HistogramDataPoint {
    let bucket = DURATION_BOUNDS.partition_point(|&bound| bound < seconds);
    let mut bucket_counts = vec![0; DURATION_BOUNDS.len() + 1];
    bucket_counts[bucket] = 1;
    HistogramDataPoint {
        attributes,
        time_unix_nano: time,
        count: 1,
        sum: Some(seconds),
        bucket_counts,
        explicit_bounds: DURATION_BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    }
}
