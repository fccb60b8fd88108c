//! The Rust types that can be a column.

use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{ColumnType, Value};
use crate::{Histogram, Sketch, Timestamp};

/// A type that is a column.
pub trait Field: Sized {
    /// What the column holds.
    const TYPE: ColumnType;
    /// Whether the column may be null.
    const NULLABLE: bool = false;
    /// The value at rest.
    fn to_value(&self) -> Value;
    /// The value back; `None` when it is something else.
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for Arc<str> {
    const TYPE: ColumnType = ColumnType::Text;
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Field for u64 {
    const TYPE: ColumnType = ColumnType::Int;
    fn to_value(&self) -> Value {
        Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
    fn from_value(value: Value) -> Option<Self> {
        value.as_int().and_then(|int| int.try_into().ok())
    }
}

impl Field for i64 {
    const TYPE: ColumnType = ColumnType::Int;
    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
    fn from_value(value: Value) -> Option<Self> {
        value.as_int()
    }
}

impl Field for bool {
    const TYPE: ColumnType = ColumnType::Int;
    fn to_value(&self) -> Value {
        Value::Int((*self).into())
    }
    fn from_value(value: Value) -> Option<Self> {
        value.as_int().map(|int| int != 0)
    }
}

impl Field for Timestamp {
    const TYPE: ColumnType = ColumnType::Time;
    fn to_value(&self) -> Value {
        Value::Int(self.0)
    }
    fn from_value(value: Value) -> Option<Self> {
        value.as_int().map(Self)
    }
}

impl Field for Arc<Sketch> {
    const TYPE: ColumnType = ColumnType::Sketch;
    fn to_value(&self) -> Value {
        Value::Sketch(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Sketch(sketch) => Some(sketch),
            _ => None,
        }
    }
}

impl Field for Arc<Histogram> {
    const TYPE: ColumnType = ColumnType::Histogram;
    fn to_value(&self) -> Value {
        Value::Histogram(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }
}

impl Field for Arc<[u8]> {
    const TYPE: ColumnType = ColumnType::Bytes;
    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A list or a map that is JSON text at rest. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub Arc<T>);

impl<T> Json<T> {
    /// Makes it shareable.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize + DeserializeOwned> Field for Json<T> {
    const TYPE: ColumnType = ColumnType::Json;
    fn to_value(&self) -> Value {
        // Only a map whose keys are not text has no JSON, and none is kept.
        Value::Text(serde_json::to_string(&*self.0).expect("lists, and maps from text, have JSON").into())
    }
    fn from_value(value: Value) -> Option<Self> {
        serde_json::from_str(value.as_text()?).ok().map(Self::new)
    }
}

/// Numbers such as histogram bounds: a JSON array; infinities are strings.
impl Field for Arc<[f64]> {
    const TYPE: ColumnType = ColumnType::Json;
    fn to_value(&self) -> Value {
        let numbers: Vec<serde_json::Value> = self
            .iter()
            .map(|&number| serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Into::into))
            .collect();
        Value::Text(serde_json::Value::from(numbers).to_string().into())
    }
    fn from_value(value: Value) -> Option<Self> {
        let numbers: Vec<serde_json::Value> = serde_json::from_str(value.as_text()?).ok()?;
        numbers.iter().map(|n| n.as_f64().or_else(|| n.as_str()?.parse().ok())).collect()
    }
}

impl<T: Field> Field for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::to_value)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_keep_infinities() {
        let bounds: Arc<[f64]> = Arc::from([0.5, 10.0, f64::INFINITY]);
        assert_eq!(Field::from_value(bounds.to_value()), Some(bounds));
    }
}
