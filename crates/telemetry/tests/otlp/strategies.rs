//! Random requests as messages of the protocol.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text with what is hard in JSON: quotes, escapes, control characters and other planes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z.]{0,12}", 1 => any::<String>()]
}

/// The doubles that the protocol's own crates write: no NaN and infinities in JSON, no -0 in protobuf.
fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite, and not -0", |number| number.is_finite() && number.to_bits() != 1 << 63)
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        3 => text().prop_map(|text| Some(Value::StringValue(text))),
        1 => any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        1 => any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        1 => finite().prop_map(|number| Some(Value::DoubleValue(number))),
        1 => vec(any::<u8>(), 0..9).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec((text(), inner), 0..4).prop_map(|pairs| {
                Value::KvlistValue(KeyValueList { values: pairs.into_iter().map(key_value).collect() })
            }),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value((key, value): (String, AnyValue)) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((text(), any_value()).prop_map(key_value), 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    option::of(attributes().prop_map(|attributes| Resource { attributes, ..Resource::default() }))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), text(), attributes()).prop_map(|(name, version, attributes)| InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count: 1,
    });
    option::of(scope)
}

prop_compose! {
    fn log_record()(
        times in any::<(u64, u64)>(),
        severity_number in 0..25,
        texts in (text(), text()),
        body in option::of(any_value()),
        attributes in attributes(),
        trace_id in vec(any::<u8>(), 0..17),
        flags in any::<u32>(),
    ) -> LogRecord {
        LogRecord {
            time_unix_nano: times.0,
            observed_time_unix_nano: times.1,
            severity_number,
            severity_text: texts.0,
            event_name: texts.1,
            body,
            attributes,
            trace_id,
            flags,
            ..LogRecord::default()
        }
    }
}

prop_compose! {
    fn span()(
        times in any::<(u64, u64)>(),
        name in text(),
        kind in 0..6,
        status in option::of(0..3),
        attributes in attributes(),
        events in vec((any::<u64>(), text(), attributes()), 0..3),
        links in vec(attributes(), 0..3),
        span_id in vec(any::<u8>(), 0..9),
    ) -> Span {
        let event = |(time_unix_nano, name, attributes)| Event {
            time_unix_nano,
            name,
            attributes,
            ..Event::default()
        };
        Span {
            name,
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            status: status.map(|code| Status { code, message: "why".into() }),
            attributes,
            events: events.into_iter().map(event).collect(),
            links: links.into_iter().map(|attributes| Link { attributes, ..Link::default() }).collect(),
            span_id,
            ..Span::default()
        }
    }
}

prop_compose! {
    fn number_point()(
        times in any::<(u64, u64)>(),
        attributes in attributes(),
        flags in 0..2_u32,
        value in prop_oneof![
            any::<i64>().prop_map(number_data_point::Value::AsInt),
            finite().prop_map(number_data_point::Value::AsDouble),
        ],
    ) -> NumberDataPoint {
        NumberDataPoint {
            start_time_unix_nano: times.0,
            time_unix_nano: times.1,
            attributes,
            flags,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}

prop_compose! {
    fn histogram_point()(
        attributes in attributes(),
        explicit_bounds in vec(finite(), 0..5),
        bucket_counts in vec(any::<u64>(), 0..6),
        time_unix_nano in any::<u64>(),
    ) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes,
            explicit_bounds,
            bucket_counts,
            time_unix_nano,
            ..HistogramDataPoint::default()
        }
    }
}

prop_compose! {
    fn summary_point()(
        attributes in attributes(),
        quantiles in vec((finite(), finite()), 0..4),
        time_unix_nano in any::<u64>(),
    ) -> SummaryDataPoint {
        let at = |(quantile, value)| ValueAtQuantile { quantile, value };
        SummaryDataPoint {
            attributes,
            quantile_values: quantiles.into_iter().map(at).collect(),
            time_unix_nano,
            ..SummaryDataPoint::default()
        }
    }
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..3), 0..3, any::<bool>()).prop_map(|(data_points, temporality, is_monotonic)| {
            Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic })
        }),
        (vec(histogram_point(), 0..3), 0..3).prop_map(|(data_points, temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality: temporality })
        }),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

prop_compose! {
    fn metric()(texts in (text(), text(), text()), data in data()) -> Metric {
        Metric { name: texts.0, description: texts.1, unit: texts.2, data: Some(data), ..Metric::default() }
    }
}

pub(crate) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs = (scope(), vec(log_record(), 0..4)).prop_map(|(scope, log_records)| ScopeLogs {
        scope,
        log_records,
        schema_url: "s".into(),
    });
    let resource_logs = (resource(), vec(scope_logs, 0..3)).prop_map(|(resource, scope_logs)| ResourceLogs {
        resource,
        scope_logs,
        schema_url: String::new(),
    });
    vec(resource_logs, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

pub(crate) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans =
        (scope(), vec(span(), 0..4)).prop_map(|(scope, spans)| ScopeSpans { scope, spans, schema_url: String::new() });
    let resource_spans = (resource(), vec(scope_spans, 0..3)).prop_map(|(resource, scope_spans)| ResourceSpans {
        resource,
        scope_spans,
        schema_url: "s".into(),
    });
    vec(resource_spans, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(crate) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (scope(), vec(metric(), 0..4)).prop_map(|(scope, metrics)| ScopeMetrics {
        scope,
        metrics,
        schema_url: String::new(),
    });
    let resource_metrics = (resource(), vec(scope_metrics, 0..3))
        .prop_map(|(resource, scope_metrics)| ResourceMetrics { resource, scope_metrics, schema_url: String::new() });
    vec(resource_metrics, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}
