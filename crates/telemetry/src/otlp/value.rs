//! Text and attribute values as views of the request's bytes.

use std::borrow::Cow;
use std::fmt;

use super::list::{List, View, fields};
use crate::wire::Value;

/// A string of the request. It should be UTF-8, but a sender can put any bytes there.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes as they were sent.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it has no bytes, which in OTLP is the same as being absent.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The text, with U+FFFD for what is not UTF-8; borrowed when all of it is.
    pub fn to_str(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_str().fmt(f)
    }
}

/// The value of an attribute, of a log body, or of an element inside one.
#[derive(Clone, Copy, Debug, Default)]
pub enum AnyValue<'a> {
    /// No value was given.
    #[default]
    Empty,
    /// A string.
    String(Text<'a>),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// A list of values, in the order of the sender.
    Array(List<'a, AnyValue<'a>>),
    /// Named values, in the order of the sender.
    KvList(Attributes<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A named value: an attribute, or an entry of a key-value list.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue<'a> {
    /// The name.
    pub key: Text<'a>,
    /// The value.
    pub value: AnyValue<'a>,
}

/// The attributes of a resource, scope, record, event or link.
pub type Attributes<'a> = List<'a, KeyValue<'a>>;

impl<'a> View<'a> for AnyValue<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Self {
        let mut any = Self::Empty;
        for (field, _) in fields(message) {
            any = match (field.number, field.value) {
                (1, Value::Bytes(text)) => Self::String(Text(text)),
                (2, Value::Varint(flag)) => Self::Bool(flag != 0),
                (3, Value::Varint(number)) => Self::Int(number as i64),
                (4, Value::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Value::Bytes(list)) => Self::Array(List::new(list, 1)),
                (6, Value::Bytes(list)) => Self::KvList(List::new(list, 1)),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                _ => any,
            };
        }
        any
    }
}

impl<'a> View<'a> for KeyValue<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Self {
        let mut pair = Self::default();
        for (field, _) in fields(message) {
            match (field.number, field.value) {
                (1, Value::Bytes(key)) => pair.key = Text(key),
                (2, Value::Bytes(value)) => pair.value = AnyValue::read(value),
                _ => {}
            }
        }
        pair
    }
}
