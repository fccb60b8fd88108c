//! Protobuf requests are seen as the protocol's own messages have them.

use proptest::prelude::*;
use prost::Message;
use tallybook_core::Signal;
use tallybook_telemetry::DecodeErrorKind;
use tallybook_telemetry::otlp::{
    Attributes, Counts, DataPoint, LogRecord, Metric, Resource, Scope, Span, Visitor, hash_value, validate,
};

use crate::samples;
use crate::seen::{Seen, expected_logs, expected_metrics, expected_traces, see};
use crate::strategies;

/// The wire form of a length-delimited field.
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn varint(number: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![number << 3];
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

fn fixed64(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// A record wrapped in an otherwise empty request.
fn in_request(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

#[test]
fn every_field_of_the_samples_is_seen() {
    let [(_, logs), (_, traces), (_, metrics)] = samples::protobuf();
    assert_eq!(see(Signal::Log, &logs), Ok(expected_logs(&samples::logs())));
    assert_eq!(see(Signal::Span, &traces), Ok(expected_traces(&samples::traces())));
    assert_eq!(see(Signal::Metric, &metrics), Ok(expected_metrics(&samples::metrics())));
}

#[test]
fn records_are_log_records_spans_and_data_points() {
    let counts = samples::protobuf().map(|(signal, request)| validate(signal, &request).unwrap().counts().records);
    assert_eq!(counts, [3, 2, 6]);
}

#[test]
fn an_empty_request_is_valid_and_shows_nothing() {
    for signal in [Signal::Log, Signal::Span, Signal::Metric] {
        assert_eq!(see(signal, &[]), Ok(vec![]));
        assert_eq!(validate(signal, &[]).unwrap().counts(), Counts::default());
    }
}

proptest! {
    #[test]
    fn any_logs_are_seen_as_they_are(request in strategies::logs()) {
        prop_assert_eq!(see(Signal::Log, &request.encode_to_vec()), Ok(expected_logs(&request)));
    }

    #[test]
    fn any_traces_are_seen_as_they_are(request in strategies::traces()) {
        prop_assert_eq!(see(Signal::Span, &request.encode_to_vec()), Ok(expected_traces(&request)));
    }

    #[test]
    fn any_metrics_are_seen_as_they_are(request in strategies::metrics()) {
        prop_assert_eq!(see(Signal::Metric, &request.encode_to_vec()), Ok(expected_metrics(&request)));
    }
}

/// The same message with its fields in descending order, and so those in `path[0]` by `path[1..]`.
fn reversed(message: &[u8], path: &[&[u8]]) -> Vec<u8> {
    try_reversed(message, path).expect("a valid message")
}

fn try_reversed(message: &[u8], path: &[&[u8]]) -> Result<Vec<u8>, prost::DecodeError> {
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let before = rest;
        let (number, wire_type) = prost::encoding::decode_key(&mut rest)?;
        let context = prost::encoding::DecodeContext::default();
        let mut content = rest;
        prost::encoding::skip_field(wire_type, number, &mut rest, context)?;
        let deeper = path.split_first().and_then(|(here, deeper)| {
            let here = here.iter().find(|here| u32::from(**here) == number)?;
            Some((*here, deeper))
        });
        let bytes = match deeper {
            None => before[..before.len() - rest.len()].to_vec(),
            Some((here, deeper)) => {
                let length = prost::encoding::decode_varint(&mut content)?;
                field(here, &try_reversed(&content[..length as usize], deeper)?)
            }
        };
        fields.push((number, bytes));
    }
    fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(fields.into_iter().flat_map(|(_, bytes)| bytes).collect())
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let [(_, logs), (_, traces), (_, metrics)] = samples::protobuf();
    let to_records: [&[u8]; 3] = [&[1], &[2], &[2]];
    let to_points: [&[u8]; 5] = [&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

    let shuffled = reversed(&logs, &to_records);
    assert_ne!(shuffled, logs);
    assert_eq!(see(Signal::Log, &shuffled), Ok(expected_logs(&samples::logs())));
    let shuffled = reversed(&traces, &to_records);
    assert_eq!(see(Signal::Span, &shuffled), Ok(expected_traces(&samples::traces())));
    let shuffled = reversed(&metrics, &to_points);
    assert_eq!(see(Signal::Metric, &shuffled), Ok(expected_metrics(&samples::metrics())));
}

#[test]
fn bounds_are_read_packed_unpacked_and_both() {
    let bits = |bound: f64| bound.to_bits();
    let packed = field(7, &[1.0, 2.0].map(|bound: f64| bound.to_le_bytes()).concat());
    let unpacked = [fixed64(7, bits(1.0)), fixed64(7, bits(2.0))].concat();
    let both = [packed.clone(), varint(10, 1), unpacked.clone()].concat();
    for (point, bounds) in [(packed, vec![1.0, 2.0]), (unpacked, vec![1.0, 2.0]), (both, vec![1.0, 2.0, 1.0, 2.0])] {
        let request = in_request(&field(9, &field(1, &point)));
        let seen = see(Signal::Metric, &request).unwrap();
        let Some(Seen::Point { bounds: read, .. }) = seen.last() else { panic!("no data point in {seen:?}") };
        assert_eq!(read, &bounds.into_iter().map(bits).collect::<Vec<_>>());
    }
}

#[test]
fn unknown_fields_are_ignored_wherever_they_are() {
    let unknown = [varint(14, 300), fixed64(13, 5), field(15, b"\xFF\xFF\xFF")].concat();
    let record = [unknown.clone(), field(3, b"WARN"), unknown.clone()].concat();
    let expected = see(Signal::Log, &in_request(&field(3, b"WARN")));
    let request = field(1, &[unknown.clone(), field(2, &[field(2, &record), unknown].concat())].concat());
    assert_eq!(see(Signal::Log, &request), expected);
}

#[test]
fn a_metric_with_two_kinds_of_data_is_seen_once_for_each() {
    let point = field(7, &field(1, b"k"));
    let metric = [field(5, &field(1, &point)), field(1, b"m"), field(7, &[field(1, &point), varint(3, 1)].concat())];
    let request = in_request(&metric.concat());
    let seen = see(Signal::Metric, &request).unwrap();
    let kinds: Vec<_> =
        seen.iter().filter(|seen| matches!(seen, Seen::Metric { texts, .. } if texts[0] == "m")).collect();
    assert_eq!(kinds.len(), 2);
    assert_eq!(validate(Signal::Metric, &request).unwrap().counts().records, 2);
}

#[test]
fn text_that_is_not_utf8_is_counted_and_shown_with_replacement_characters() {
    let attribute = field(6, &[field(1, b"k\xFFy"), field(2, &field(1, b"\xC3("))].concat());
    let request = in_request(&[field(3, b"WARN"), attribute].concat());
    let checked = validate(Signal::Log, &request).unwrap();
    assert_eq!(checked.counts(), Counts { records: 1, invalid_utf8: 2 });
    let seen = see(Signal::Log, &request).unwrap();
    let Some(Seen::Log { attributes, .. }) = seen.last() else { panic!("no log record in {seen:?}") };
    assert_eq!(attributes[0].0, "k\u{FFFD}y");
}

#[test]
fn a_known_field_of_another_wire_type_is_refused_by_name() {
    let refused = [
        (in_request(&varint(3, 1)), "resource_logs.scope_logs.log_records.severity_text"),
        (in_request(&field(1, b"12345678")), "resource_logs.scope_logs.log_records.time_unix_nano"),
        (in_request(&field(6, &fixed64(1, 1))), "resource_logs.scope_logs.log_records.attributes.key"),
        (field(1, &varint(2, 1)), "resource_logs.scope_logs"),
        (varint(1, 1), "resource_logs"),
    ];
    for (request, path) in refused {
        let error = validate(Signal::Log, &request).unwrap_err();
        assert_eq!((error.kind(), error.path()), (DecodeErrorKind::WrongType, path), "{error}");
    }
}

#[test]
fn a_packed_list_that_ends_inside_a_number_is_refused() {
    let histogram = |point: &[u8]| in_request(&field(9, &field(1, point)));
    let buckets = |buckets: &[u8]| in_request(&field(10, &field(1, &field(8, buckets))));
    assert!(see(Signal::Metric, &histogram(&field(7, &[0; 16]))).is_ok());
    assert!(see(Signal::Metric, &buckets(&field(2, &[0x80, 0x01, 5]))).is_ok());
    for request in [histogram(&field(7, &[0; 15])), histogram(&field(6, &[0; 9])), buckets(&field(2, &[5, 0x80]))] {
        let error = validate(Signal::Metric, &request).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{error}");
    }
}

/// Counts what it sees and keeps nothing.
#[derive(Default)]
struct Counting {
    attributes: usize,
    hashes: u64,
}

impl Counting {
    fn count(&mut self, attributes: Attributes<'_>) {
        for pair in attributes {
            self.attributes += 1;
            self.hashes ^= hash_value(pair.value);
        }
    }
}

impl<'a> Visitor<'a> for Counting {
    fn resource(&mut self, resource: &Resource<'a>) {
        self.count(resource.attributes);
    }

    fn scope(&mut self, scope: &Scope<'a>) {
        self.count(scope.attributes);
    }

    fn log(&mut self, record: &LogRecord<'a>) {
        self.count(record.attributes);
    }

    fn span(&mut self, span: &Span<'a>) {
        self.count(span.attributes);
        span.events.iter().for_each(|event| self.count(event.attributes));
        span.links.iter().for_each(|link| self.count(link.attributes));
    }

    fn metric(&mut self, _metric: &Metric<'a>) {}

    fn data_point(&mut self, point: &DataPoint<'a>) {
        self.count(point.attributes);
        self.hashes ^= point.explicit_bounds.iter().map(f64::to_bits).sum::<u64>();
        self.hashes ^= point.quantiles.iter().map(|at| at.value.to_bits()).fold(0, u64::wrapping_add);
    }
}

#[test]
fn checking_visiting_and_hashing_allocate_nothing() {
    for (signal, request) in samples::protobuf() {
        let mut counting = Counting::default();
        let asked = allocation_counter::measure(|| {
            validate(signal, &request).expect("a valid request").visit(&mut counting);
        });
        assert!(counting.attributes > 4);
        assert_eq!(asked.count_total, 0, "{signal:?}");
    }
}

#[test]
fn an_error_tells_where_and_what_in_a_sentence() {
    let error = validate(Signal::Log, &in_request(&varint(3, 1))).unwrap_err();
    assert_eq!(error.offset(), 6);
    assert_eq!(
        error.to_string(),
        "resource_logs.scope_logs.log_records.severity_text: the field has another wire type than OTLP gives it \
         (at byte 6)"
    );
    let error = validate(Signal::Log, &[0x0A, 5]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "request: the data ends inside a field; it was cut short, or a length in it is wrong (at byte 0)"
    );
}
