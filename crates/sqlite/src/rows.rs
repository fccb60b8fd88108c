//! Answers of queries, and values as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::types::{Value, ValueRef};
use serde::Serialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _};

use crate::{Error, ErrorKind, Result};

/// The key under which a blob stands in JSON, as Base64.
const BLOB: &str = "base64";

/// The rows of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values of each row, in the order of the columns.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than were asked for.
    pub more: bool,
}

impl Rows {
    /// Each row as an object, with [`distinct_names`].
    pub fn to_json(&self) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let names = distinct_names(&self.columns);
        let object = |row: &Vec<Value>| names.iter().cloned().zip(row.iter().map(to_json)).collect();
        self.rows.iter().map(object).collect()
    }
}

/// Of columns with the same name, the later ones are numbered: `name_2`.
pub fn distinct_names(columns: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{column}_{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

/// Columns and rows as arrays, which keeps columns of the same name apart.
impl Serialize for Rows {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Values<'r>(&'r [Vec<Value>]);
        impl Serialize for Values<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
                for row in self.0 {
                    rows.serialize_element(&row.iter().map(to_json).collect::<Vec<_>>())?;
                }
                rows.end()
            }
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("columns", &self.columns)?;
        map.serialize_entry("rows", &Values(&self.rows))?;
        map.serialize_entry("more", &self.more)?;
        map.end()
    }
}

/// A value as JSON: a blob is `{"base64": "…"}`, and a number that JSON does not have is a text.
pub fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(int) => (*int).into(),
        Value::Real(real) => {
            serde_json::Number::from_f64(*real).map_or_else(|| real.to_string().into(), serde_json::Value::Number)
        }
        Value::Text(text) => text.clone().into(),
        Value::Blob(bytes) => serde_json::json!({ BLOB: BASE64.encode(bytes) }),
    }
}

/// The way back of [`to_json`]; true and false are 1 and 0.
///
/// # Errors
/// `Statement` for what no column can hold.
pub fn from_json(value: &serde_json::Value) -> Result<Value> {
    use serde_json::Value as Json;
    let refused = || {
        Error::new(ErrorKind::Statement, "a parameter is none of null, number, text, true, false and {\"base64\": …}")
    };
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Integer((*truth).into()),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Integer(int),
            None if number.is_u64() => {
                return Err(Error::new(ErrorKind::Statement, format!("{number} does not fit 64 bits with a sign")));
            }
            None => Value::Real(number.as_f64().ok_or_else(refused)?),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Object(object) if object.len() == 1 => {
            let text = object.get(BLOB).and_then(Json::as_str).ok_or_else(refused)?;
            Value::Blob(BASE64.decode(text).map_err(|_| refused())?)
        }
        Json::Object(_) | Json::Array(_) => return Err(refused()),
    })
}

/// Bytes that a value takes in an answer.
pub(crate) fn bytes(value: ValueRef<'_>) -> usize {
    size_of::<Value>()
        + match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 0,
        }
}

/// The value of a row, owned.
pub(crate) fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Integer(int),
        ValueRef::Real(real) => Value::Real(real),
        // A text that is no UTF-8 was put there by another program.
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_survive_json(int: i64, real in -1e300..1e300_f64, text: String, bytes: Vec<u8>) {
            for value in [Value::Null, int.into(), real.into(), text.into(), bytes.into()] {
                let text = to_json(&value).to_string();
                let back = from_json(&serde_json::from_str(&text).unwrap()).unwrap();
                if let (Value::Real(back), Value::Real(real)) = (&back, &value) {
                    prop_assert!((back - real).abs() <= real.abs() * 1e-15);
                } else {
                    prop_assert_eq!(back, value);
                }
            }
        }
    }

    #[test]
    fn what_no_column_can_hold_is_refused() {
        for text in ["[1]", "{}", "{\"base64\": 3}", "{\"base64\": \"?\"}", "18446744073709551615"] {
            let error = from_json(&serde_json::from_str(text).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Statement, "{text}");
        }
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let rows = Rows { columns: vec!["a".into(), "a".into()], rows: vec![vec![1.into(), 2.into()]], more: false };
        assert_eq!(serde_json::to_string(&rows.to_json()).unwrap(), r#"[{"a":1,"a_2":2}]"#);
        assert_eq!(serde_json::to_string(&rows).unwrap(), r#"{"columns":["a","a"],"rows":[[1,2]],"more":false}"#);
    }
}
