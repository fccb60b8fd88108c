//! Parameters of a statement, by position or by name.

use rusqlite::Statement;
use rusqlite::types::Value;

use crate::{Error, ErrorKind, Result};

/// The parameters of one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Params {
    /// None.
    #[default]
    None,
    /// For `?`, `?1`, `?2` … in their order.
    Positional(Vec<Value>),
    /// For `:name`, `@name` and `$name`; names may be given with or without that sign.
    Named(Vec<(String, Value)>),
}

impl From<()> for Params {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<Vec<Value>> for Params {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values)
    }
}

impl<const N: usize> From<[Value; N]> for Params {
    fn from(values: [Value; N]) -> Self {
        Self::Positional(values.into())
    }
}

impl<V: IntoValue, const N: usize> From<[(&str, V); N]> for Params {
    fn from(values: [(&str, V); N]) -> Self {
        Self::Named(values.into_iter().map(|(name, value)| (name.to_owned(), value.into_value())).collect())
    }
}

impl From<Vec<(String, Value)>> for Params {
    fn from(values: Vec<(String, Value)>) -> Self {
        Self::Named(values)
    }
}

/// What can be the value of a parameter.
pub trait IntoValue {
    /// The value.
    fn into_value(self) -> Value;
}

macro_rules! values {
    ($($kind:ty),+) => {
        $(impl IntoValue for $kind {
            fn into_value(self) -> Value {
                self.into()
            }
        })+
    };
}

values!(bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, String, Vec<u8>);

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl IntoValue for &[u8] {
    fn into_value(self) -> Value {
        Value::Blob(self.to_owned())
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, IntoValue::into_value)
    }
}

macro_rules! positional {
    ($($kind:ident $at:tt),+) => {
        impl<$($kind: IntoValue),+> From<($($kind,)+)> for Params {
            fn from(values: ($($kind,)+)) -> Self {
                Self::Positional(vec![$(values.$at.into_value()),+])
            }
        }
    };
}

positional!(A 0);
positional!(A 0, B 1);
positional!(A 0, B 1, C 2);
positional!(A 0, B 1, C 2, D 3);
positional!(A 0, B 1, C 2, D 3, E 4);
positional!(A 0, B 1, C 2, D 3, E 4, F 5);
positional!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
positional!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Binds all parameters of a statement; none may be missing and none left over.
pub(crate) fn bind(statement: &mut Statement<'_>, params: &Params) -> Result<()> {
    let wanted = statement.parameter_count();
    match params {
        Params::None if wanted == 0 => Ok(()),
        Params::None => Err(miscounted(wanted, 0)),
        Params::Positional(values) => {
            if values.len() != wanted {
                return Err(miscounted(wanted, values.len()));
            }
            for (at, value) in values.iter().enumerate() {
                statement.raw_bind_parameter(at + 1, value)?;
            }
            Ok(())
        }
        Params::Named(values) => bind_named(statement, values),
    }
}

fn bind_named(statement: &mut Statement<'_>, values: &[(String, Value)]) -> Result<()> {
    let mut used = vec![false; values.len()];
    for at in 1..=statement.parameter_count() {
        let name = statement.parameter_name(at).map(|name| bare(name).to_owned()).ok_or_else(|| {
            Error::new(ErrorKind::Statement, "the statement has parameters without a name; give them by position")
        })?;
        let place = values.iter().position(|(given, _)| bare(given) == name);
        let (place, (_, value)) = place
            .and_then(|place| Some((place, values.get(place)?)))
            .ok_or_else(|| Error::new(ErrorKind::Statement, format!("the parameter {name} has no value")))?;
        used[place] = true;
        statement.raw_bind_parameter(at, value)?;
    }
    match used.iter().position(|used| !used) {
        Some(place) => {
            let name = values.get(place).map(|(name, _)| name.as_str()).unwrap_or_default();
            Err(Error::new(
                ErrorKind::Statement,
                format!("the statement has no parameter {name}, or it has two values"),
            ))
        }
        None => Ok(()),
    }
}

/// A name without the sign in front of it.
fn bare(name: &str) -> &str {
    name.trim_start_matches([':', '@', '$'])
}

fn miscounted(wanted: usize, given: usize) -> Error {
    Error::new(ErrorKind::Statement, format!("the statement has {wanted} parameters, and {given} values are given"))
}
