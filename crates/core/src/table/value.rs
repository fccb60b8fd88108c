//! One value of a row: its order, and what can be done with mergeable summaries.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[cfg(doc)]
use super::Row;
use super::{Class, ColumnType};
use crate::{Error, ErrorKind, Histogram, Result, Sketch, Timestamp};

/// One value of a [`Row`]. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// [`ColumnType::Int`] and [`ColumnType::Time`].
    Int(i64),
    /// [`ColumnType::Text`] and [`ColumnType::Json`].
    Text(Arc<str>),
    /// [`ColumnType::Sketch`].
    Sketch(Arc<Sketch>),
    /// [`ColumnType::Histogram`].
    Histogram(Arc<Histogram>),
    /// [`ColumnType::Bytes`].
    Bytes(Arc<[u8]>),
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By [`Class`], then by value: the order of every backend.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.class().cmp(&other.class()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.0)
    }
}

impl Value {
    /// What it compares with.
    pub const fn class(&self) -> Class {
        match self {
            Self::Null => Class::Null,
            Self::Int(_) => Class::Int,
            Self::Text(_) => Class::Text,
            Self::Sketch(_) | Self::Histogram(_) | Self::Bytes(_) => Class::Opaque,
        }
    }

    /// The text, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// Adds everything that `other`, a summary of the same kind, has seen; anything else stays as it is.
    pub fn unite(&mut self, other: Self) {
        match (self, other) {
            (Self::Sketch(ours), Self::Sketch(theirs)) if ours.is_empty() => *ours = theirs,
            (Self::Sketch(ours), Self::Sketch(theirs)) if !theirs.is_empty() => Arc::make_mut(ours).unite(&theirs),
            (Self::Histogram(ours), Self::Histogram(theirs)) => Arc::make_mut(ours).unite(&theirs),
            _ => {}
        }
    }

    /// Whether it is the summary of nothing.
    pub fn is_empty_summary(&self) -> bool {
        match self {
            Self::Sketch(sketch) => sketch.is_empty(),
            Self::Histogram(histogram) => histogram.is_empty(),
            _ => false,
        }
    }

    /// The form at rest of a mergeable summary; `None` for anything else.
    pub fn encode_summary(&self) -> Option<Vec<u8>> {
        match self {
            Self::Sketch(sketch) => Some(sketch.encode()),
            Self::Histogram(histogram) => Some(histogram.encode()),
            _ => None,
        }
    }

    /// Reads a mergeable summary of this type back.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are something else, `Internal` for a type that is none.
    pub fn decode_summary(column_type: ColumnType, bytes: &[u8]) -> Result<Self> {
        match column_type {
            ColumnType::Sketch => Sketch::decode(bytes).map(|sketch| Self::Sketch(Arc::new(sketch))),
            ColumnType::Histogram => Histogram::decode(bytes).map(|histogram| Self::Histogram(Arc::new(histogram))),
            _ => Err(Error::new(ErrorKind::Internal, "reading a summary", "the column holds none")),
        }
    }

    /// The union of two mergeable summaries of one type at rest; their first byte tells which it is.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are something else, or are of two types.
    pub fn unite_summaries(ours: &[u8], theirs: &[u8]) -> Result<Self> {
        let is_histogram = |bytes: &[u8]| bytes.first() == Some(&Histogram::FORMAT);
        let column_type =
            if is_histogram(ours) || is_histogram(theirs) { ColumnType::Histogram } else { ColumnType::Sketch };
        let mut union = Self::decode_summary(column_type, ours)?;
        union.unite(Self::decode_summary(column_type, theirs)?);
        Ok(union)
    }

    /// The summary of nothing of this type; `None` for a type that is none.
    pub fn empty_summary(column_type: ColumnType) -> Option<Self> {
        match column_type {
            ColumnType::Sketch => Some(Self::Sketch(Arc::default())),
            ColumnType::Histogram => Some(Self::Histogram(Arc::default())),
            _ => None,
        }
    }

    /// For people and dead letters; a sketch is shown as its estimate, a histogram as its count, bytes in Base64.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Int(int) => (*int).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Sketch(sketch) => sketch.estimate().into(),
            Self::Histogram(histogram) => histogram.count().into(),
            Self::Bytes(bytes) => STANDARD.encode(bytes).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_at_rest_are_united_with_their_kind_only() {
        let sketch = Value::Sketch(Arc::new(Sketch::of(7))).encode_summary().unwrap();
        let mut histogram = Histogram::default();
        histogram.insert(7);
        let twice = Value::unite_summaries(&histogram.encode(), &histogram.encode()).unwrap();
        assert!(matches!(twice, Value::Histogram(both) if both.count() == 2));
        let same = Value::unite_summaries(&sketch, &sketch).unwrap();
        assert_eq!(same.encode_summary().unwrap(), sketch);
        let of_nothing = Value::unite_summaries(&[], &histogram.encode()).unwrap();
        assert_eq!(of_nothing.encode_summary().unwrap(), histogram.encode());
        assert!(Value::unite_summaries(&sketch, &histogram.encode()).is_err());
    }
}
