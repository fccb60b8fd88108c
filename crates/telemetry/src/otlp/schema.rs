//! The messages of OTLP 1.x as data: what the check of protobuf and the reader of JSON both go by.

use crate::wire::WireType;
use tallybook_core::Signal;

/// The largest field number of any OTLP message.
const MAX_NUMBER: usize = 16;

/// One message type.
pub(crate) struct Message {
    fields: &'static [Field],
    by_number: [Option<&'static Field>; MAX_NUMBER + 1],
}

/// One field of a message type.
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The name in the protocol's own spelling, such as `time_unix_nano`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
    /// Whether each of its messages counts as one record: a log record, a span or a data point.
    pub(crate) is_record: bool,
}

impl Field {
    /// The name in JSON: `timeUnixNano` for `time_unix_nano`.
    pub(crate) fn json_name(&self) -> String {
        camel_case(self.name).map(char::from).collect()
    }
}

/// What a field, or one element of it, holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Bytes,
    /// Bytes that are hexadecimal in JSON: a trace or span id.
    Id,
    Bool,
    Int32,
    Sint32,
    Int64,
    Uint32,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    Enum(&'static Names),
    Message(&'static Message),
}

impl Kind {
    /// How one value of this kind is written. Only [`WireType::Bytes`] cannot be packed.
    #[inline]
    pub(crate) fn wire_type(self) -> WireType {
        match self {
            Self::Bool | Self::Int32 | Self::Sint32 | Self::Int64 | Self::Uint32 | Self::Uint64 | Self::Enum(_) => {
                WireType::Varint
            }
            Self::Fixed64 | Self::Sfixed64 | Self::Double => WireType::Fixed64,
            Self::Fixed32 => WireType::Fixed32,
            Self::Text | Self::Bytes | Self::Id | Self::Message(_) => WireType::Bytes,
        }
    }
}

/// The values of an enum, which OTLP numbers from 0 without gaps.
pub(crate) struct Names {
    prefix: &'static str,
    names: &'static [&'static str],
}

impl Names {
    pub(crate) fn number_of(&self, name: &str) -> Option<i32> {
        let name = name.strip_prefix(self.prefix)?;
        self.names.iter().zip(0..).find_map(|(known, number)| (*known == name).then_some(number))
    }
}

impl Message {
    const fn new(fields: &'static [Field]) -> Self {
        let mut by_number = [None; MAX_NUMBER + 1];
        let mut at = 0;
        while at < fields.len() {
            by_number[fields[at].number as usize] = Some(&fields[at]);
            at += 1;
        }
        Self { fields, by_number }
    }

    /// The message type of a whole request.
    pub(crate) fn request(signal: Signal) -> &'static Self {
        match signal {
            Signal::Log => &EXPORT_LOGS,
            Signal::Span => &EXPORT_TRACES,
            Signal::Metric => &EXPORT_METRICS,
        }
    }

    pub(crate) fn is_any_value(&self) -> bool {
        std::ptr::eq(self, &raw const ANY_VALUE)
    }

    #[inline]
    pub(crate) fn by_number(&self, number: u32) -> Option<&'static Field> {
        self.by_number.get(number as usize).copied().flatten()
    }

    /// The field with this JSON name, which is the lowerCamelCase of its name; the name itself is understood too.
    pub(crate) fn by_json_name(&self, key: &[u8]) -> Option<&'static Field> {
        self.fields.iter().find(|field| camel_case(field.name).eq(key.iter().copied()) || field.name.as_bytes() == key)
    }
}

fn camel_case(name: &str) -> impl Iterator<Item = u8> {
    let mut after_underscore = false;
    name.bytes().filter_map(move |letter| {
        let upper = std::mem::replace(&mut after_underscore, letter == b'_');
        match letter {
            b'_' => None,
            _ if upper => Some(letter.to_ascii_uppercase()),
            _ => Some(letter),
        }
    })
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false, is_record: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: true, is_record: false }
}

const fn message(number: u32, name: &'static str, message: &'static Message) -> Field {
    one(number, name, Kind::Message(message))
}

const fn messages(number: u32, name: &'static str, message: &'static Message) -> Field {
    many(number, name, Kind::Message(message))
}

const fn records(number: u32, name: &'static str, message: &'static Message) -> Field {
    Field { is_record: true, ..messages(number, name, message) }
}

static EXPORT_LOGS: Message = Message::new(&[messages(1, "resource_logs", &RESOURCE_LOGS)]);
static EXPORT_TRACES: Message = Message::new(&[messages(1, "resource_spans", &RESOURCE_SPANS)]);
static EXPORT_METRICS: Message = Message::new(&[messages(1, "resource_metrics", &RESOURCE_METRICS)]);

static RESOURCE_LOGS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_logs", &SCOPE_LOGS),
    one(3, "schema_url", Kind::Text),
]);

static RESOURCE_SPANS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_spans", &SCOPE_SPANS),
    one(3, "schema_url", Kind::Text),
]);

static RESOURCE_METRICS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_metrics", &SCOPE_METRICS),
    one(3, "schema_url", Kind::Text),
]);

static SCOPE_LOGS: Message = Message::new(&[
    message(1, "scope", &SCOPE),
    records(2, "log_records", &LOG_RECORD),
    one(3, "schema_url", Kind::Text),
]);

static SCOPE_SPANS: Message =
    Message::new(&[message(1, "scope", &SCOPE), records(2, "spans", &SPAN), one(3, "schema_url", Kind::Text)]);

static SCOPE_METRICS: Message =
    Message::new(&[message(1, "scope", &SCOPE), messages(2, "metrics", &METRIC), one(3, "schema_url", Kind::Text)]);

static RESOURCE: Message = Message::new(&[
    messages(1, "attributes", &KEY_VALUE),
    one(2, "dropped_attributes_count", Kind::Uint32),
    messages(3, "entity_refs", &ENTITY_REF),
]);

static ENTITY_REF: Message = Message::new(&[
    one(1, "schema_url", Kind::Text),
    one(2, "type", Kind::Text),
    many(3, "id_keys", Kind::Text),
    many(4, "description_keys", Kind::Text),
]);

static SCOPE: Message = Message::new(&[
    one(1, "name", Kind::Text),
    one(2, "version", Kind::Text),
    messages(3, "attributes", &KEY_VALUE),
    one(4, "dropped_attributes_count", Kind::Uint32),
]);

static KEY_VALUE: Message =
    Message::new(&[one(1, "key", Kind::Text), message(2, "value", &ANY_VALUE), one(3, "key_strindex", Kind::Int32)]);

static ANY_VALUE: Message = Message::new(&[
    one(1, "string_value", Kind::Text),
    one(2, "bool_value", Kind::Bool),
    one(3, "int_value", Kind::Int64),
    one(4, "double_value", Kind::Double),
    message(5, "array_value", &ARRAY_VALUE),
    message(6, "kvlist_value", &KEY_VALUE_LIST),
    one(7, "bytes_value", Kind::Bytes),
    one(8, "string_value_strindex", Kind::Int32),
]);

static ARRAY_VALUE: Message = Message::new(&[messages(1, "values", &ANY_VALUE)]);
static KEY_VALUE_LIST: Message = Message::new(&[messages(1, "values", &KEY_VALUE)]);

static LOG_RECORD: Message = Message::new(&[
    one(1, "time_unix_nano", Kind::Fixed64),
    one(2, "severity_number", Kind::Enum(&SEVERITY_NUMBER)),
    one(3, "severity_text", Kind::Text),
    message(5, "body", &ANY_VALUE),
    messages(6, "attributes", &KEY_VALUE),
    one(7, "dropped_attributes_count", Kind::Uint32),
    one(8, "flags", Kind::Fixed32),
    one(9, "trace_id", Kind::Id),
    one(10, "span_id", Kind::Id),
    one(11, "observed_time_unix_nano", Kind::Fixed64),
    one(12, "event_name", Kind::Text),
]);

static SPAN: Message = Message::new(&[
    one(1, "trace_id", Kind::Id),
    one(2, "span_id", Kind::Id),
    one(3, "trace_state", Kind::Text),
    one(4, "parent_span_id", Kind::Id),
    one(5, "name", Kind::Text),
    one(6, "kind", Kind::Enum(&SPAN_KIND)),
    one(7, "start_time_unix_nano", Kind::Fixed64),
    one(8, "end_time_unix_nano", Kind::Fixed64),
    messages(9, "attributes", &KEY_VALUE),
    one(10, "dropped_attributes_count", Kind::Uint32),
    messages(11, "events", &SPAN_EVENT),
    one(12, "dropped_events_count", Kind::Uint32),
    messages(13, "links", &SPAN_LINK),
    one(14, "dropped_links_count", Kind::Uint32),
    message(15, "status", &STATUS),
    one(16, "flags", Kind::Fixed32),
]);

static SPAN_EVENT: Message = Message::new(&[
    one(1, "time_unix_nano", Kind::Fixed64),
    one(2, "name", Kind::Text),
    messages(3, "attributes", &KEY_VALUE),
    one(4, "dropped_attributes_count", Kind::Uint32),
]);

static SPAN_LINK: Message = Message::new(&[
    one(1, "trace_id", Kind::Id),
    one(2, "span_id", Kind::Id),
    one(3, "trace_state", Kind::Text),
    messages(4, "attributes", &KEY_VALUE),
    one(5, "dropped_attributes_count", Kind::Uint32),
    one(6, "flags", Kind::Fixed32),
]);

static STATUS: Message = Message::new(&[one(2, "message", Kind::Text), one(3, "code", Kind::Enum(&STATUS_CODE))]);

static METRIC: Message = Message::new(&[
    one(1, "name", Kind::Text),
    one(2, "description", Kind::Text),
    one(3, "unit", Kind::Text),
    message(5, "gauge", &GAUGE),
    message(7, "sum", &SUM),
    message(9, "histogram", &HISTOGRAM),
    message(10, "exponential_histogram", &EXPONENTIAL_HISTOGRAM),
    message(11, "summary", &SUMMARY),
    messages(12, "metadata", &KEY_VALUE),
]);

static GAUGE: Message = Message::new(&[records(1, "data_points", &NUMBER_DATA_POINT)]);

static SUM: Message = Message::new(&[
    records(1, "data_points", &NUMBER_DATA_POINT),
    one(2, "aggregation_temporality", Kind::Enum(&AGGREGATION_TEMPORALITY)),
    one(3, "is_monotonic", Kind::Bool),
]);

static HISTOGRAM: Message = Message::new(&[
    records(1, "data_points", &HISTOGRAM_DATA_POINT),
    one(2, "aggregation_temporality", Kind::Enum(&AGGREGATION_TEMPORALITY)),
]);

static EXPONENTIAL_HISTOGRAM: Message = Message::new(&[
    records(1, "data_points", &EXPONENTIAL_HISTOGRAM_DATA_POINT),
    one(2, "aggregation_temporality", Kind::Enum(&AGGREGATION_TEMPORALITY)),
]);

static SUMMARY: Message = Message::new(&[records(1, "data_points", &SUMMARY_DATA_POINT)]);

static NUMBER_DATA_POINT: Message = Message::new(&[
    one(2, "start_time_unix_nano", Kind::Fixed64),
    one(3, "time_unix_nano", Kind::Fixed64),
    one(4, "as_double", Kind::Double),
    messages(5, "exemplars", &EXEMPLAR),
    one(6, "as_int", Kind::Sfixed64),
    messages(7, "attributes", &KEY_VALUE),
    one(8, "flags", Kind::Uint32),
]);

static HISTOGRAM_DATA_POINT: Message = Message::new(&[
    one(2, "start_time_unix_nano", Kind::Fixed64),
    one(3, "time_unix_nano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(6, "bucket_counts", Kind::Fixed64),
    many(7, "explicit_bounds", Kind::Double),
    messages(8, "exemplars", &EXEMPLAR),
    messages(9, "attributes", &KEY_VALUE),
    one(10, "flags", Kind::Uint32),
    one(11, "min", Kind::Double),
    one(12, "max", Kind::Double),
]);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message::new(&[
    messages(1, "attributes", &KEY_VALUE),
    one(2, "start_time_unix_nano", Kind::Fixed64),
    one(3, "time_unix_nano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    one(6, "scale", Kind::Sint32),
    one(7, "zero_count", Kind::Fixed64),
    message(8, "positive", &BUCKETS),
    message(9, "negative", &BUCKETS),
    one(10, "flags", Kind::Uint32),
    messages(11, "exemplars", &EXEMPLAR),
    one(12, "min", Kind::Double),
    one(13, "max", Kind::Double),
    one(14, "zero_threshold", Kind::Double),
]);

static BUCKETS: Message = Message::new(&[one(1, "offset", Kind::Sint32), many(2, "bucket_counts", Kind::Uint64)]);

static SUMMARY_DATA_POINT: Message = Message::new(&[
    one(2, "start_time_unix_nano", Kind::Fixed64),
    one(3, "time_unix_nano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    messages(6, "quantile_values", &VALUE_AT_QUANTILE),
    messages(7, "attributes", &KEY_VALUE),
    one(8, "flags", Kind::Uint32),
]);

static VALUE_AT_QUANTILE: Message = Message::new(&[one(1, "quantile", Kind::Double), one(2, "value", Kind::Double)]);

static EXEMPLAR: Message = Message::new(&[
    one(2, "time_unix_nano", Kind::Fixed64),
    one(3, "as_double", Kind::Double),
    one(4, "span_id", Kind::Id),
    one(5, "trace_id", Kind::Id),
    one(6, "as_int", Kind::Sfixed64),
    messages(7, "filtered_attributes", &KEY_VALUE),
]);

static SPAN_KIND: Names =
    Names { prefix: "SPAN_KIND_", names: &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] };

static STATUS_CODE: Names = Names { prefix: "STATUS_CODE_", names: &["UNSET", "OK", "ERROR"] };

static AGGREGATION_TEMPORALITY: Names =
    Names { prefix: "AGGREGATION_TEMPORALITY_", names: &["UNSPECIFIED", "DELTA", "CUMULATIVE"] };

static SEVERITY_NUMBER: Names = Names {
    prefix: "SEVERITY_NUMBER_",
    names: &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ],
};
