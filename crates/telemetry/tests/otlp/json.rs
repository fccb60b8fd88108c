//! OTLP/JSON is the same request as its protobuf.

use proptest::prelude::*;
use prost::Message;
use tallybook_core::Signal;
use tallybook_telemetry::DecodeErrorKind;
use tallybook_telemetry::json::transcode;
use tallybook_telemetry::otlp::validate;

use crate::samples;
use crate::seen::{Seen, Value, expected_logs, expected_metrics, expected_traces, hashes, see};
use crate::strategies;

/// What is seen of a JSON request, whose transcription must be valid.
fn see_json(signal: Signal, json: &str) -> Vec<Seen> {
    let transcoded = transcode(signal, json.as_bytes()).expect("valid JSON");
    see(signal, &transcoded).expect("a transcribed request is valid")
}

/// What is seen of one log record.
fn see_log(record: &str) -> Seen {
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
    see_json(Signal::Log, &json).pop().expect("a log record")
}

fn body_of(record: &str) -> Value {
    match see_log(record) {
        Seen::Log { body, .. } => body,
        other => panic!("not a log record: {other:?}"),
    }
}

fn refusal(signal: Signal, json: &str) -> (DecodeErrorKind, String) {
    let error = transcode(signal, json.as_bytes()).expect_err("JSON to be refused");
    (error.kind(), error.to_string())
}

#[test]
fn the_samples_are_the_same_in_json_and_protobuf() {
    for ((signal, protobuf), (_, json)) in samples::protobuf().into_iter().zip(samples::json()) {
        let transcoded = transcode(signal, json.as_bytes()).unwrap();
        assert_eq!(see(signal, &transcoded), see(signal, &protobuf));
        assert_eq!(hashes(signal, &transcoded), hashes(signal, &protobuf));
    }
}

#[test]
fn what_is_not_seen_is_transcoded_too() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    let [(_, logs), (_, traces), (_, metrics)] = samples::json();
    let logs = transcode(Signal::Log, logs.as_bytes()).unwrap();
    assert_eq!(ExportLogsServiceRequest::decode(&logs[..]).unwrap(), samples::logs());
    let traces = transcode(Signal::Span, traces.as_bytes()).unwrap();
    assert_eq!(ExportTraceServiceRequest::decode(&traces[..]).unwrap(), samples::traces());
    // By their texts, because NaN is not equal to itself.
    let metrics = transcode(Signal::Metric, metrics.as_bytes()).unwrap();
    let metrics = ExportMetricsServiceRequest::decode(&metrics[..]).unwrap();
    assert_eq!(format!("{metrics:?}"), format!("{:?}", samples::metrics()));
}

proptest! {
    #[test]
    fn any_logs_are_the_same_in_json(request in strategies::logs()) {
        let json = opentelemetry_json(&request);
        prop_assert_eq!(see_json(Signal::Log, &json), expected_logs(&request));
    }

    #[test]
    fn any_traces_are_the_same_in_json(request in strategies::traces()) {
        let json = opentelemetry_json(&request);
        prop_assert_eq!(see_json(Signal::Span, &json), expected_traces(&request));
    }

    #[test]
    fn any_metrics_are_the_same_in_json(request in strategies::metrics()) {
        let json = opentelemetry_json(&request);
        prop_assert_eq!(see_json(Signal::Metric, &json), expected_metrics(&request));
    }
}

/// JSON as the protocol's own crate writes it.
fn opentelemetry_json(request: &impl serde::Serialize) -> String {
    serde_json::to_string(request).expect("messages without NaN are JSON")
}

#[test]
fn names_of_the_protocol_and_their_camel_case_are_both_understood() {
    let snake = r#"{"resource_logs":[{"scope_logs":[{"log_records":[{"severity_text":"WARN","time_unix_nano":5}]}]}]}"#;
    assert_eq!(see_json(Signal::Log, snake).pop(), Some(see_log(r#"{"severityText":"WARN","timeUnixNano":"5"}"#)));
    // Half of a name, or a name in other letters, is unknown.
    assert_eq!(see_log(r#"{"severity_Text":"WARN","SeverityText":"WARN","severity":"WARN"}"#), see_log("{}"));
}

#[test]
fn null_is_the_same_as_absent() {
    let nulls = r#"{"timeUnixNano":null,"severityNumber":null,"severityText":null,"body":null,"attributes":null,
                    "traceId":null,"flags":null}"#;
    assert_eq!(see_log(nulls), see_log("{}"));
    assert_eq!(see_log(r#"{"body":{"stringValue":null},"attributes":[null]}"#), see_log(r#"{"body":{}}"#));
    assert_eq!(see_json(Signal::Span, r#"{"resourceSpans":null}"#), vec![]);
}

#[test]
fn unknown_fields_of_any_shape_are_ignored() {
    let record = r#"{"new":{"a":[1,{"b":null}],"c":"\ud800"},"severityText":"WARN","newer":[[[]]],"\ud800":1}"#;
    assert_eq!(see_log(record), see_log(r#"{"severityText":"WARN"}"#));
    let nested = format!(r#"{{"severityText":"WARN","unknown":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(see_log(&nested), see_log(r#"{"severityText":"WARN"}"#));
}

#[test]
fn integers_are_numbers_or_strings_and_may_be_written_with_an_exponent_or_a_zero_fraction() {
    for five in ["5", r#""5""#, "5.0", "0.5e1", r#""5.0""#, "50e-1"] {
        assert_eq!(body_of(&format!(r#"{{"body":{{"intValue":{five}}}}}"#)), Value::Int(5), "{five}");
    }
    for (number, value) in [("-9223372036854775808", i64::MIN), (r#""9223372036854775807""#, i64::MAX), ("1e3", 1000)] {
        assert_eq!(body_of(&format!(r#"{{"body":{{"intValue":{number}}}}}"#)), Value::Int(value), "{number}");
    }
}

#[test]
fn every_enum_value_is_known_by_its_name_and_by_its_number() {
    use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
    use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
    use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};

    let severities = (0..25).filter_map(|number| SeverityNumber::try_from(number).ok());
    for (severity, number) in severities.zip(0..) {
        let name = severity.as_str_name();
        assert_eq!(
            see_log(&format!(r#"{{"severityNumber":"{name}"}}"#)),
            see_log(&format!(r#"{{"severityNumber":{number}}}"#))
        );
    }
    let span = |span: &str| {
        see_json(Signal::Span, &format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#))
    };
    for number in 0..6 {
        let name = SpanKind::try_from(number).unwrap().as_str_name();
        assert_eq!(span(&format!(r#"{{"kind":"{name}"}}"#)), span(&format!(r#"{{"kind":{number}}}"#)));
    }
    for number in 0..3 {
        let name = StatusCode::try_from(number).unwrap().as_str_name();
        let by_number = span(&format!(r#"{{"status":{{"code":{number}}}}}"#));
        assert_eq!(span(&format!(r#"{{"status":{{"code":"{name}"}}}}"#)), by_number);
    }
    for number in 0..3 {
        let name = AggregationTemporality::try_from(number).unwrap().as_str_name();
        let metric = |value: &str| {
            format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"sum":{{"aggregationTemporality":{value}}}}}]}}]}}]}}"#
            )
        };
        let by_number = see_json(Signal::Metric, &metric(&number.to_string()));
        assert_eq!(see_json(Signal::Metric, &metric(&format!(r#""{name}""#))), by_number);
    }
}

#[test]
fn doubles_are_exact_and_may_have_no_finite_value() {
    let cases = [
        ("637.704", 637.704),
        ("5", 5.0),
        (r#""2.5""#, 2.5),
        ("-0.0", -0.0),
        ("1.7976931348623157e308", f64::MAX),
        ("7.2057594037927933e16", 72_057_594_037_927_936.0),
        (r#""NaN""#, f64::NAN),
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
    ];
    for (number, value) in cases {
        let body = body_of(&format!(r#"{{"body":{{"doubleValue":{number}}}}}"#));
        assert_eq!(body, Value::Double(value.to_bits()), "{number}");
    }
}

#[test]
fn a_data_point_of_nan_is_not_lost() {
    for nan in [r#""NaN""#, r#""Infinity""#, r#""-Infinity""#] {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
                {{"name":"m","gauge":{{"dataPoints":[{{"asDouble":{nan}}},{{"asDouble":1}}]}}}}]}}]}}]}}"#
        );
        let points = see_json(Signal::Metric, &json).into_iter().filter(|seen| matches!(seen, Seen::Point { .. }));
        assert_eq!(points.count(), 2, "{nan}");
    }
}

#[test]
fn bytes_are_base64_of_either_alphabet_with_or_without_padding() {
    for text in ["++//AA==", "++//AA", "--__AA==", "--__AA"] {
        let body = body_of(&format!(r#"{{"body":{{"bytesValue":"{text}"}}}}"#));
        assert_eq!(body, Value::Bytes(vec![0xFB, 0xEF, 0xFF, 0]), "{text}");
    }
}

#[test]
fn repeated_names_are_tolerated_and_the_last_value_counts() {
    let record =
        r#"{"severityText":"WARN","severityText":"ERROR","attributes":[{"key":"a"}],"attributes":[{"key":"b"}]}"#;
    let Seen::Log { severity, attributes, .. } = see_log(record) else { panic!("not a log record") };
    assert_eq!(severity.1, "ERROR");
    assert_eq!(attributes, vec![("a".into(), Value::Empty), ("b".into(), Value::Empty)]);
}

#[test]
fn text_that_is_not_utf8_is_kept_and_counted() {
    let json = [&br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"a"#[..], b"\xFF", br#""}]}]}]}"#];
    let transcoded = transcode(Signal::Log, &json.concat()).unwrap();
    assert_eq!(validate(Signal::Log, &transcoded).unwrap().counts().invalid_utf8, 1);
    let lone_surrogate = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"\ud800"}]}]}]}"#;
    let transcoded = transcode(Signal::Log, lone_surrogate.as_bytes()).unwrap();
    assert_eq!(validate(Signal::Log, &transcoded).unwrap().counts().invalid_utf8, 1);
}

#[test]
fn a_wrong_type_is_refused_with_its_path_and_what_belongs_there() {
    let log = |record: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{}},{{"logRecords":[{{}},{record}]}}]}}]}}"#);
    let here = "resourceLogs[0].scopeLogs[1].logRecords[1]";
    let refused = [
        (r#"{"severityText":5}"#, ".severityText: must be a string (at byte "),
        (r#"{"severityText":["a"]}"#, ".severityText: must be a string (at byte "),
        (r#"{"body":"hello"}"#, ".body: must be an object (at byte "),
        (r#"{"attributes":{"key":"a"}}"#, ".attributes: must be a list (at byte "),
        (
            r#"{"attributes":[{},{"value":{"boolValue":"true"}}]}"#,
            ".attributes[1].value.boolValue: must be true or false",
        ),
        (r#"{"body":{"intValue":true}}"#, ".body.intValue: must be an integer of 64 bits, as a number or as a string"),
        (r#"{"body":{"doubleValue":{}}}"#, ".body.doubleValue: must be a number, \"NaN\", \"Infinity\" or"),
        ("7", ": must be an object (at byte "),
    ];
    for (record, text) in refused {
        let (kind, sentence) = refusal(Signal::Log, &log(record));
        assert_eq!(kind, DecodeErrorKind::WrongType, "{sentence}");
        assert!(sentence.starts_with(&format!("{here}{text}")), "{sentence}");
    }
    assert!(refusal(Signal::Log, "[]").1.starts_with("request: must be an object"));
}

#[test]
fn a_value_that_its_type_cannot_have_is_refused_and_not_repeated() {
    let span = |fields: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    let refused = [
        (r#""traceId":"topsecret""#, "spans[0].traceId: must be a string of hexadecimal digits"),
        (r#""traceId":"abc""#, "spans[0].traceId: must be a string of hexadecimal digits"),
        (r#""kind":"TOPSECRET""#, "spans[0].kind: must be the number or the full name of a value of its enum"),
        (r#""kind":3000000000"#, "spans[0].kind: must be the number or the full name"),
        (r#""startTimeUnixNano":-1"#, "spans[0].startTimeUnixNano: must be an unsigned integer of 64 bits"),
        (r#""startTimeUnixNano":"topsecret""#, "spans[0].startTimeUnixNano: must be an unsigned integer of 64 bits"),
        (r#""startTimeUnixNano":1e30"#, "spans[0].startTimeUnixNano: must be an unsigned integer of 64 bits"),
        (r#""startTimeUnixNano":1.5"#, "spans[0].startTimeUnixNano: must be an unsigned integer of 64 bits"),
        (r#""flags":4294967296"#, "spans[0].flags: must be an unsigned integer of 32 bits"),
        (
            r#""attributes":[{"value":{"bytesValue":"topsecret!"}}]"#,
            "spans[0].attributes[0].value.bytesValue: must be a string in base64",
        ),
    ];
    for (fields, text) in refused {
        let (kind, sentence) = refusal(Signal::Span, &span(fields));
        assert_eq!(kind, DecodeErrorKind::BadValue, "{sentence}");
        assert!(sentence.contains(text), "{sentence}");
        assert!(!sentence.to_lowercase().contains("topsecret"), "{sentence}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_the_place() {
    let json = "{\"resourceLogs\":[\n  {\"scopeLogs\" [] }\n]}";
    let error = transcode(Signal::Log, json.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Malformed);
    assert!(error.to_string().starts_with("resourceLogs[0].scopeLogs: this is not JSON: expected `:`"), "{error}");
    assert_eq!(json.as_bytes()[error.offset() - 1], b'[', "{error}");

    assert_eq!(refusal(Signal::Log, "{} {}").0, DecodeErrorKind::Malformed);
    assert_eq!(refusal(Signal::Log, "<html>").0, DecodeErrorKind::Malformed);
    assert_eq!(refusal(Signal::Log, "").0, DecodeErrorKind::Truncated);
}
