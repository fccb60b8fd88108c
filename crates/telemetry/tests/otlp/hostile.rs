//! Requests that are cut, damaged, random or absurd: refused or taken, never a crash and never a half.

use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use tallybook_core::Signal;
use tallybook_telemetry::DecodeErrorKind;
use tallybook_telemetry::json::transcode;
use tallybook_telemetry::otlp::{MAX_VALUE_DEPTH, validate};

use crate::protobuf::field;
use crate::samples;
use crate::seen::see;
use crate::strategies;

const SIGNALS: [Signal; 3] = [Signal::Log, Signal::Span, Signal::Metric];

#[test]
fn protobuf_that_is_cut_anywhere_is_refused_unless_it_is_cut_between_resources() {
    for (signal, request) in samples::protobuf() {
        let mut rest = &request[..];
        let mut whole = vec![0];
        while !rest.is_empty() {
            prost::encoding::decode_key(&mut rest).unwrap();
            let length = usize::try_from(prost::encoding::decode_varint(&mut rest).unwrap()).unwrap();
            rest = &rest[length..];
            whole.push(request.len() - rest.len());
        }
        for end in 0..=request.len() {
            match see(signal, &request[..end]) {
                Ok(_) => assert!(whole.contains(&end), "{signal:?} was taken when cut at {end}"),
                Err(error) => {
                    assert!(!whole.contains(&end), "{signal:?} at {end}: {error}");
                    assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{signal:?} at {end}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_record_that_is_cut_inside_a_whole_request_is_refused() {
    let request = samples::traces();
    let span = request.resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    let taken = (0..span.len()).filter(|end| {
        let request = field(1, &field(2, &field(2, &span[..*end])));
        see(Signal::Span, &request).is_ok()
    });
    // Only between two of its fields is a span that is cut another whole span.
    assert!(taken.count() < 20);
}

#[test]
fn json_that_is_cut_anywhere_is_refused_as_cut() {
    for (signal, json) in samples::json() {
        for end in 0..json.len() {
            let error = transcode(signal, &json.as_bytes()[..end]).unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{signal:?} at {end}: {error}");
        }
    }
}

/// What is seen must be seen of the whole request, whatever the bytes.
fn take_or_refuse(bytes: &[u8]) {
    for signal in SIGNALS {
        let _ = see(signal, bytes);
        if let Ok(transcoded) = transcode(signal, bytes) {
            see(signal, &transcoded).expect("a transcribed request is valid");
        }
    }
}

/// Where to damage a request, and with which byte.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in damage {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    bytes
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        take_or_refuse(&bytes);
    }

    #[test]
    fn random_messages_in_a_request_do_no_harm(record in vec(any::<u8>(), 0..60)) {
        take_or_refuse(&field(1, &field(2, &field(2, &record))));
    }

    #[test]
    fn damaged_logs_do_no_harm(request in strategies::logs(), damage in damage()) {
        take_or_refuse(&damaged(request.encode_to_vec(), &damage));
        take_or_refuse(&damaged(serde_json::to_vec(&request).unwrap(), &damage));
    }

    #[test]
    fn damaged_traces_do_no_harm(request in strategies::traces(), damage in damage()) {
        take_or_refuse(&damaged(request.encode_to_vec(), &damage));
        take_or_refuse(&damaged(serde_json::to_vec(&request).unwrap(), &damage));
    }

    #[test]
    fn damaged_metrics_do_no_harm(request in strategies::metrics(), damage in damage()) {
        take_or_refuse(&damaged(request.encode_to_vec(), &damage));
        take_or_refuse(&damaged(serde_json::to_vec(&request).unwrap(), &damage));
    }

    #[test]
    fn what_our_check_takes_the_protocol_can_decode(request in strategies::traces(), damage in damage()) {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
        let bytes = damaged(request.encode_to_vec(), &damage);
        let ours = validate(Signal::Span, &bytes).map(|request| request.counts());
        let theirs = ExportTraceServiceRequest::decode(&bytes[..]);
        match (ours, theirs) {
            // We are more patient with text that is not UTF-8 only.
            (Ok(counts), Err(_)) => prop_assert!(counts.invalid_utf8 > 0),
            (Ok(counts), Ok(request)) => {
                let groups = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
                prop_assert_eq!(counts.records, groups.map(|group| group.spans.len() as u64).sum::<u64>());
            }
            // We never read groups, which the protocol's own decoder skips where it does not know the field.
            (Err(error), Ok(_)) => prop_assert_eq!(error.kind(), DecodeErrorKind::Malformed),
            (Err(_), Err(_)) => {}
        }
    }
}

type Wrapper = fn(&[u8]) -> Vec<u8>;

/// A log record whose body is a list in a list and so on, `levels` values deep, in protobuf.
fn nested_protobuf(levels: usize, wrapper: Wrapper) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 1..levels {
        value = wrapper(&value);
    }
    field(1, &field(2, &field(2, &field(5, &value))))
}

fn in_array(value: &[u8]) -> Vec<u8> {
    field(5, &field(1, value))
}

fn in_key_value_list(value: &[u8]) -> Vec<u8> {
    field(6, &field(1, &field(2, value)))
}

fn nested_json(levels: usize, open: &str, close: &str) -> String {
    let (open, close) = (open.repeat(levels - 1), close.repeat(levels - 1));
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{{open}{close}}}}}]}}]}}]}}"#)
}

const JSON_ARRAY: (&str, &str) = (r#""arrayValue":{"values":[{"#, "}]}");
const JSON_KEY_VALUE_LIST: (&str, &str) = (r#""kvlistValue":{"values":[{"value":{"#, "}}]}");

#[test]
fn values_may_be_nested_to_the_limit_and_no_further() {
    let wrappers: [Wrapper; 2] = [in_array, in_key_value_list];
    for (wrapper, (open, close)) in wrappers.into_iter().zip([JSON_ARRAY, JSON_KEY_VALUE_LIST]) {
        let deepest = nested_protobuf(MAX_VALUE_DEPTH, wrapper);
        let deepest_json = nested_json(MAX_VALUE_DEPTH, open, close);
        let transcoded = transcode(Signal::Log, deepest_json.as_bytes()).unwrap();
        assert_eq!(see(Signal::Log, &deepest).unwrap(), see(Signal::Log, &transcoded).unwrap());

        let error = see(Signal::Log, &nested_protobuf(MAX_VALUE_DEPTH + 1, wrapper)).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
        let error = transcode(Signal::Log, nested_json(MAX_VALUE_DEPTH + 1, open, close).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    }
}

#[test]
fn ten_thousand_levels_are_refused_on_a_small_stack() {
    let checked = thread::Builder::new().stack_size(512 * 1024).spawn(|| {
        let protobuf = nested_protobuf(10_000, in_array);
        let [arrays, lists] = [JSON_ARRAY, JSON_KEY_VALUE_LIST].map(|(open, close)| nested_json(10_000, open, close));
        let brackets = format!(r#"{{"resourceLogs":{}"#, "[".repeat(10_000));

        assert_eq!(validate(Signal::Log, &protobuf).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        for json in [arrays, lists] {
            assert_eq!(transcode(Signal::Log, json.as_bytes()).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        }
        assert_eq!(transcode(Signal::Log, brackets.as_bytes()).unwrap_err().kind(), DecodeErrorKind::WrongType);
    });
    checked.unwrap().join().unwrap();
}
