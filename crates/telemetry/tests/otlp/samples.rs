//! One rich request of each signal, as messages of the protocol and as JSON written by hand.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use tallybook_core::Signal;

const TIME: u64 = 1_544_712_660_300_000_000;

/// The three requests in protobuf.
pub(crate) fn protobuf() -> [(Signal, Vec<u8>); 3] {
    [
        (Signal::Log, logs().encode_to_vec()),
        (Signal::Span, traces().encode_to_vec()),
        (Signal::Metric, metrics().encode_to_vec()),
    ]
}

/// The three requests in JSON.
pub(crate) fn json() -> [(Signal, &'static str); 3] {
    [(Signal::Log, LOGS_JSON), (Signal::Span, TRACES_JSON), (Signal::Metric, METRICS_JSON)]
}

pub(crate) fn string(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

pub(crate) fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![pair("service.name", string("my.service"))],
        dropped_attributes_count: 7,
        entity_refs: vec![EntityRef {
            schema_url: "https://opentelemetry.io/schemas/1.30.0".into(),
            r#type: "service".into(),
            id_keys: vec!["service.name".into(), "service.namespace".into()],
            description_keys: vec!["service.version".into()],
        }],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "my.library".into(),
        version: "1.0.0".into(),
        attributes: vec![pair("my.scope.attribute", string("some scope attribute"))],
        dropped_attributes_count: 3,
    }
}

pub(crate) fn logs() -> ExportLogsServiceRequest {
    let record = LogRecord {
        time_unix_nano: TIME,
        observed_time_unix_nano: TIME + 1,
        severity_number: 10,
        severity_text: "Information".into(),
        event_name: "browser.page_view".into(),
        body: Some(string("Example log record")),
        trace_id: vec![0x5B, 0x8E, 0xFF, 0xF7, 0x98, 3, 0x81, 3, 0xD2, 0x69, 0xB6, 0x33, 0x81, 0x3F, 0xC6, 0x0C],
        span_id: vec![0xEE, 0xE1, 0x9B, 0x7E, 0xC3, 0xC1, 0xB1, 0x74],
        flags: 1,
        dropped_attributes_count: 2,
        attributes: vec![
            pair("string.attribute", string("some string — \"quoted\"")),
            pair("boolean.attribute", any(Value::BoolValue(true))),
            pair("int.attribute", any(Value::IntValue(-10))),
            pair("large.attribute", any(Value::IntValue(i64::MAX))),
            pair("double.attribute", any(Value::DoubleValue(637.704))),
            pair("array.attribute", any(Value::ArrayValue(ArrayValue { values: vec![string("many"), string("")] }))),
            pair(
                "map.attribute",
                any(Value::KvlistValue(KeyValueList { values: vec![pair("some.map.key", string("some value"))] })),
            ),
            pair("bytes.attribute", any(Value::BytesValue(vec![0xFB, 0xEF, 0xFF, 0]))),
            pair("empty.attribute", AnyValue::default()),
        ],
    };
    let structured = LogRecord {
        severity_number: 17,
        body: Some(any(Value::KvlistValue(KeyValueList {
            values: vec![
                pair("message", string("failed")),
                pair("codes", any(Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(5))] }))),
            ],
        }))),
        ..LogRecord::default()
    };
    let without_scope = ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() };
    let scope_logs = ScopeLogs {
        scope: Some(scope()),
        log_records: vec![record, structured],
        schema_url: "https://opentelemetry.io/schemas/1.30.0".into(),
    };
    ExportLogsServiceRequest {
        resource_logs: vec![
            ResourceLogs { resource: Some(resource()), scope_logs: vec![scope_logs], ..ResourceLogs::default() },
            ResourceLogs { scope_logs: vec![without_scope], ..ResourceLogs::default() },
        ],
    }
}

pub(crate) const LOGS_JSON: &str = r#"{
  "resourceLogs": [
    {
      "resource": {
        "attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}],
        "droppedAttributesCount": 7,
        "entityRefs": [{
          "schemaUrl": "https://opentelemetry.io/schemas/1.30.0", "type": "service",
          "idKeys": ["service.name", "service.namespace"], "descriptionKeys": ["service.version"]
        }]
      },
      "scopeLogs": [{
        "scope": {
          "name": "my.library",
          "version": "1.0.0",
          "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}],
          "droppedAttributesCount": 3
        },
        "logRecords": [
          {
            "timeUnixNano": "1544712660300000000",
            "observedTimeUnixNano": 1544712660300000001,
            "severityNumber": 10,
            "severityText": "Information",
            "eventName": "browser.page_view",
            "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "eee19b7ec3c1b174",
            "flags": 1,
            "droppedAttributesCount": 2,
            "body": {"stringValue": "Example log record"},
            "attributes": [
              {"key": "string.attribute", "value": {"stringValue": "some string \u2014 \"quoted\""}},
              {"key": "boolean.attribute", "value": {"boolValue": true}},
              {"key": "int.attribute", "value": {"intValue": "-10"}},
              {"key": "large.attribute", "value": {"intValue": 9223372036854775807}},
              {"key": "double.attribute", "value": {"doubleValue": 637.704}},
              {"key": "array.attribute", "value": {"arrayValue": {"values": [
                {"stringValue": "many"}, {"stringValue": ""}
              ]}}},
              {"key": "map.attribute", "value": {"kvlistValue": {"values": [
                {"key": "some.map.key", "value": {"stringValue": "some value"}}
              ]}}},
              {"key": "bytes.attribute", "value": {"bytesValue": "++//AA=="}},
              {"key": "empty.attribute", "value": {}}
            ]
          },
          {
            "severityNumber": "SEVERITY_NUMBER_ERROR",
            "body": {"kvlistValue": {"values": [
              {"key": "message", "value": {"stringValue": "failed"}},
              {"key": "codes", "value": {"arrayValue": {"values": [{"intValue": 5.0}]}}}
            ]}}
          }
        ],
        "schemaUrl": "https://opentelemetry.io/schemas/1.30.0"
      }]
    },
    {"scopeLogs": [{"logRecords": [{}]}]}
  ]
}"#;

pub(crate) fn traces() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![0x5B; 16],
        span_id: vec![0xEE; 8],
        parent_span_id: vec![0xED; 8],
        trace_state: "vendor=1".into(),
        flags: 0x101,
        name: "I'm a server span".into(),
        kind: 2,
        start_time_unix_nano: TIME,
        end_time_unix_nano: TIME + 1_000_000_000,
        attributes: vec![pair("my.span.attr", string("some value")), pair("attempt", any(Value::IntValue(3)))],
        dropped_attributes_count: 1,
        events: vec![
            Event {
                time_unix_nano: TIME + 5,
                name: "exception".into(),
                attributes: vec![pair("exception.type", string("OSError"))],
                dropped_attributes_count: 0,
            },
            Event { name: "retry".into(), ..Event::default() },
        ],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: vec![0x5C; 16],
            span_id: vec![0xEC; 8],
            trace_state: "vendor=2".into(),
            attributes: vec![pair("link.kind", string("follows"))],
            dropped_attributes_count: 6,
            flags: 0x300,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "it broke".into(), code: 2 }),
    };
    let bare = Span { name: "GET /".into(), kind: 3, ..Span::default() };
    let scope_spans = ScopeSpans { scope: Some(scope()), spans: vec![span, bare], ..ScopeSpans::default() };
    let resource_spans =
        ResourceSpans { resource: Some(resource()), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

pub(crate) const TRACES_JSON: &str = r#"{
  "resourceSpans": [{
    "resource": {
      "attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}],
      "droppedAttributesCount": 7,
      "entityRefs": [{
        "schemaUrl": "https://opentelemetry.io/schemas/1.30.0", "type": "service",
        "idKeys": ["service.name", "service.namespace"], "descriptionKeys": ["service.version"]
      }]
    },
    "scopeSpans": [{
      "scope": {
        "name": "my.library",
        "version": "1.0.0",
        "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}],
        "droppedAttributesCount": 3
      },
      "spans": [
        {
          "traceId": "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
          "spanId": "EEEEEEEEEEEEEEEE",
          "parentSpanId": "edededededededed",
          "traceState": "vendor=1",
          "flags": 257,
          "name": "I'm a server span",
          "kind": "SPAN_KIND_SERVER",
          "startTimeUnixNano": "1544712660300000000",
          "endTimeUnixNano": "1544712661300000000",
          "attributes": [
            {"key": "my.span.attr", "value": {"stringValue": "some value"}},
            {"key": "attempt", "value": {"intValue": 3}}
          ],
          "droppedAttributesCount": 1,
          "events": [
            {
              "timeUnixNano": 1544712660300000005,
              "name": "exception",
              "attributes": [{"key": "exception.type", "value": {"stringValue": "OSError"}}],
              "droppedAttributesCount": 0
            },
            {"name": "retry"}
          ],
          "droppedEventsCount": 4,
          "links": [{
            "traceId": "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c",
            "spanId": "ecececececececec",
            "traceState": "vendor=2",
            "droppedAttributesCount": 6,
            "flags": 768,
            "attributes": [{"key": "link.kind", "value": {"stringValue": "follows"}}]
          }],
          "droppedLinksCount": 5,
          "status": {"message": "it broke", "code": "STATUS_CODE_ERROR"}
        },
        {"name": "GET /", "kind": 3}
      ]
    }]
  }]
}"#;

pub(crate) fn metrics() -> ExportMetricsServiceRequest {
    let metric = |name: &str, unit: &str, data| Metric {
        name: name.into(),
        description: format!("I am {name}"),
        unit: unit.into(),
        metadata: vec![pair("prometheus.type", string("unknown"))],
        data,
    };
    let number = |value, attribute: &str| NumberDataPoint {
        start_time_unix_nano: TIME,
        time_unix_nano: TIME + 60,
        attributes: vec![pair("my.attr", string(attribute))],
        value: Some(value),
        flags: 1,
        exemplars: vec![Exemplar {
            filtered_attributes: vec![pair("user", string("u1"))],
            time_unix_nano: TIME + 30,
            value: Some(exemplar::Value::AsInt(-4)),
            span_id: vec![1; 8],
            trace_id: vec![2; 16],
        }],
    };
    let histogram = HistogramDataPoint {
        start_time_unix_nano: TIME,
        time_unix_nano: TIME + 60,
        count: 2,
        sum: Some(2.0),
        bucket_counts: vec![1, 1, 0],
        explicit_bounds: vec![1.0, 2.5],
        min: Some(0.0),
        max: Some(2.0),
        attributes: vec![pair("my.attr", string("h"))],
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: TIME + 60,
        count: 3,
        sum: Some(10.0),
        scale: -1,
        zero_count: 1,
        zero_threshold: 0.5,
        positive: Some(Buckets { offset: -3, bucket_counts: vec![0, 300, u64::MAX] }),
        negative: Some(Buckets { offset: 2, bucket_counts: vec![] }),
        min: Some(0.0),
        max: Some(5.0),
        attributes: vec![pair("my.attr", string("e"))],
        ..ExponentialHistogramDataPoint::default()
    };
    let summary = SummaryDataPoint {
        time_unix_nano: TIME + 60,
        count: 4,
        sum: f64::NAN,
        quantile_values: vec![
            ValueAtQuantile { quantile: 0.5, value: f64::NAN },
            ValueAtQuantile { quantile: 0.99, value: f64::INFINITY },
        ],
        attributes: vec![pair("my.attr", string("s"))],
        ..SummaryDataPoint::default()
    };
    let gauge = vec![
        number(number_data_point::Value::AsDouble(f64::NAN), "nan"),
        number(number_data_point::Value::AsDouble(f64::NEG_INFINITY), "infinite"),
    ];
    let sum = vec![number(number_data_point::Value::AsInt(5), "c")];
    let metrics = vec![
        metric("my.gauge", "1", Some(Data::Gauge(Gauge { data_points: gauge }))),
        metric(
            "my.counter",
            "By",
            Some(Data::Sum(Sum { data_points: sum, aggregation_temporality: 2, is_monotonic: true })),
        ),
        metric(
            "my.histogram",
            "s",
            Some(Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 })),
        ),
        metric(
            "my.exponential",
            "s",
            Some(Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: 1,
            })),
        ),
        metric("my.summary", "s", Some(Data::Summary(Summary { data_points: vec![summary] }))),
        metric("my.nothing", "", None),
    ];
    let scope_metrics = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    let resource_metrics = ResourceMetrics {
        resource: Some(resource()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

pub(crate) const METRICS_JSON: &str = r#"{
  "resourceMetrics": [{
    "resource": {
      "attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}],
      "droppedAttributesCount": 7,
      "entityRefs": [{
        "schemaUrl": "https://opentelemetry.io/schemas/1.30.0", "type": "service",
        "idKeys": ["service.name", "service.namespace"], "descriptionKeys": ["service.version"]
      }]
    },
    "scopeMetrics": [{
      "scope": {
        "name": "my.library",
        "version": "1.0.0",
        "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}],
        "droppedAttributesCount": 3
      },
      "metrics": [
        {
          "name": "my.gauge", "description": "I am my.gauge", "unit": "1",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}],
          "gauge": {"dataPoints": [
            {
              "startTimeUnixNano": "1544712660300000000", "timeUnixNano": "1544712660300000060", "flags": 1,
              "asDouble": "NaN", "attributes": [{"key": "my.attr", "value": {"stringValue": "nan"}}],
              "exemplars": [{
                "filteredAttributes": [{"key": "user", "value": {"stringValue": "u1"}}],
                "timeUnixNano": "1544712660300000030", "asInt": "-4",
                "spanId": "0101010101010101", "traceId": "02020202020202020202020202020202"
              }]
            },
            {
              "startTimeUnixNano": "1544712660300000000", "timeUnixNano": "1544712660300000060", "flags": 1,
              "asDouble": "-Infinity", "attributes": [{"key": "my.attr", "value": {"stringValue": "infinite"}}],
              "exemplars": [{
                "filteredAttributes": [{"key": "user", "value": {"stringValue": "u1"}}],
                "timeUnixNano": "1544712660300000030", "asInt": -4,
                "spanId": "0101010101010101", "traceId": "02020202020202020202020202020202"
              }]
            }
          ]}
        },
        {
          "name": "my.counter", "description": "I am my.counter", "unit": "By",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}],
          "sum": {
            "aggregationTemporality": 2, "isMonotonic": true,
            "dataPoints": [{
              "startTimeUnixNano": "1544712660300000000", "timeUnixNano": "1544712660300000060", "flags": 1,
              "asInt": "5", "attributes": [{"key": "my.attr", "value": {"stringValue": "c"}}],
              "exemplars": [{
                "filteredAttributes": [{"key": "user", "value": {"stringValue": "u1"}}],
                "timeUnixNano": "1544712660300000030", "asInt": -4,
                "spanId": "0101010101010101", "traceId": "02020202020202020202020202020202"
              }]
            }]
          }
        },
        {
          "name": "my.histogram", "description": "I am my.histogram", "unit": "s",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}],
          "histogram": {
            "aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA",
            "dataPoints": [{
              "startTimeUnixNano": "1544712660300000000", "timeUnixNano": "1544712660300000060",
              "count": "2", "sum": 2, "bucketCounts": ["1", 1, "0"], "explicitBounds": [1, "2.5"],
              "min": 0, "max": 2, "attributes": [{"key": "my.attr", "value": {"stringValue": "h"}}]
            }]
          }
        },
        {
          "name": "my.exponential", "description": "I am my.exponential", "unit": "s",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}],
          "exponentialHistogram": {
            "aggregationTemporality": 1,
            "dataPoints": [{
              "timeUnixNano": "1544712660300000060", "count": 3, "sum": 10, "scale": -1,
              "zeroCount": "1", "zeroThreshold": 0.5,
              "positive": {"offset": -3, "bucketCounts": ["0", "300", "18446744073709551615"]},
              "negative": {"offset": 2, "bucketCounts": []},
              "min": 0, "max": 5, "attributes": [{"key": "my.attr", "value": {"stringValue": "e"}}]
            }]
          }
        },
        {
          "name": "my.summary", "description": "I am my.summary", "unit": "s",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}],
          "summary": {"dataPoints": [{
            "timeUnixNano": "1544712660300000060", "count": "4", "sum": "NaN",
            "quantileValues": [
              {"quantile": 0.5, "value": "NaN"}, {"quantile": 0.99, "value": "Infinity"}
            ],
            "attributes": [{"key": "my.attr", "value": {"stringValue": "s"}}]
          }]}
        },
        {
          "name": "my.nothing", "description": "I am my.nothing", "unit": "",
          "metadata": [{"key": "prometheus.type", "value": {"stringValue": "unknown"}}]
        }
      ]
    }]
  }]
}"#;
