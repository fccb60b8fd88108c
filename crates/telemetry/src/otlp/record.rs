//! Resources, scopes, log records and spans as views of the request's bytes. Fields may come in any order; of a field
//! that is not a list, the last one counts.

use super::list::{List, View, fields};
use super::value::{AnyValue, Attributes, Text};
use crate::wire::Value;

/// The entity that the records after it come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    /// What identifies it, such as `service.name`.
    pub attributes: Attributes<'a>,
}

/// The library that emitted the records after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// Its name, or empty when it is unknown.
    pub name: Text<'a>,
    /// Its version, or empty when it is unknown.
    pub version: Text<'a>,
    /// What else describes it.
    pub attributes: Attributes<'a>,
}

/// One log record.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRecord<'a> {
    /// When it happened: nanoseconds since the Unix epoch, 0 when unknown.
    pub time_unix_nano: u64,
    /// When the collection system saw it: nanoseconds since the Unix epoch, 0 when unknown.
    pub observed_time_unix_nano: u64,
    /// 1 to 24 from trace to fatal, 0 when not given; other numbers can occur.
    pub severity_number: i32,
    /// The severity in the words of the source.
    pub severity_text: Text<'a>,
    /// The kind of event, or empty when it is no event.
    pub event_name: Text<'a>,
    /// What was logged.
    pub body: AnyValue<'a>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// One span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The operation.
    pub name: Text<'a>,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer, 0 when not given; other numbers can occur.
    pub kind: i32,
    /// Its start: nanoseconds since the Unix epoch, 0 when unknown.
    pub start_time_unix_nano: u64,
    /// Its end: nanoseconds since the Unix epoch, 0 when unknown.
    pub end_time_unix_nano: u64,
    /// 0 unset, 1 ok, 2 error; other numbers can occur.
    pub status_code: i32,
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// What happened during the span.
    pub events: List<'a, Event<'a>>,
    /// Other spans it refers to.
    pub links: List<'a, Link<'a>>,
}

/// Something that happened during a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// When it happened: nanoseconds since the Unix epoch, 0 when unknown.
    pub time_unix_nano: u64,
    /// Its name.
    pub name: Text<'a>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// A reference from a span to another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> View<'a> for Resource<'a> {
    fn read(message: &'a [u8]) -> Self {
        Self { attributes: List::new(message, 1) }
    }
}

impl<'a> View<'a> for Scope<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut scope = Self { attributes: List::new(message, 3), ..Self::default() };
        for (field, _) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => scope.name = Text::new(name),
                (2, Value::Bytes(version)) => scope.version = Text::new(version),
                _ => {}
            }
        }
        scope
    }
}

impl<'a> View<'a> for LogRecord<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut record = Self::default();
        for (field, from) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Fixed64(time)) => record.time_unix_nano = time,
                (2, Value::Varint(number)) => record.severity_number = number as i32,
                (3, Value::Bytes(text)) => record.severity_text = Text::new(text),
                (5, Value::Bytes(body)) => record.body = AnyValue::read(body),
                (6, _) => record.attributes.begin(from, 6),
                (11, Value::Fixed64(time)) => record.observed_time_unix_nano = time,
                (12, Value::Bytes(name)) => record.event_name = Text::new(name),
                _ => {}
            }
        }
        record
    }
}

impl<'a> View<'a> for Span<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut span = Self::default();
        for (field, from) in fields(message) {
            match (field.number, field.value) {
                (5, Value::Bytes(name)) => span.name = Text::new(name),
                (6, Value::Varint(kind)) => span.kind = kind as i32,
                (7, Value::Fixed64(time)) => span.start_time_unix_nano = time,
                (8, Value::Fixed64(time)) => span.end_time_unix_nano = time,
                (9, _) => span.attributes.begin(from, 9),
                (11, _) => span.events.begin(from, 11),
                (13, _) => span.links.begin(from, 13),
                (15, Value::Bytes(status)) => span.status_code = status_code(status),
                _ => {}
            }
        }
        span
    }
}

fn status_code(status: &[u8]) -> i32 {
    let mut code = 0;
    for (field, _) in fields(status) {
        if let (3, Value::Varint(number)) = (field.number, field.value) {
            code = number as i32;
        }
    }
    code
}

impl<'a> View<'a> for Event<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut event = Self { attributes: List::new(message, 3), ..Self::default() };
        for (field, _) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Fixed64(time)) => event.time_unix_nano = time,
                (2, Value::Bytes(name)) => event.name = Text::new(name),
                _ => {}
            }
        }
        event
    }
}

impl<'a> View<'a> for Link<'a> {
    fn read(message: &'a [u8]) -> Self {
        Self { attributes: List::new(message, 4) }
    }
}
