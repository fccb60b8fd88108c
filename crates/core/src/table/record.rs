//! Record types: rows as Rust structs, declared together with their table.

use super::{Field, Row, Table, Value};
use crate::{Error, Result};

/// A record type: a row of one table, and also the change it makes to that row (a row is the change from nothing).
pub trait Record: Sized + Clone + Send + Sync + 'static {
    /// The table it lives in.
    const TABLE: &'static Table;
    /// The values in the order of the columns.
    fn to_row(&self) -> Row;
    /// The record back.
    ///
    /// # Errors
    /// `Corrupt` when a value is missing or of another type.
    fn from_row(row: Row) -> Result<Self>;
}

/// Reads a row field by field, in the order of its columns.
#[derive(Debug)]
pub struct Fields {
    table: &'static Table,
    at: usize,
    values: std::vec::IntoIter<Value>,
}

impl Fields {
    /// Starts at the first column.
    pub fn new(table: &'static Table, row: Row) -> Self {
        Self { table, at: 0, values: row.into_iter() }
    }

    /// The next field.
    ///
    /// # Errors
    /// `Corrupt` when the value is missing or of another type.
    pub fn take<F: Field>(&mut self) -> Result<F> {
        let column = self.table.columns.get(self.at).map_or("a column past the last", |column| column.name);
        self.at += 1;
        self.values.next().and_then(F::from_value).ok_or_else(|| {
            Error::corrupt("reading a row", format!("{}.{column} does not hold what it should", self.table.name))
        })
    }
}

/// Declares an enumeration that is text at rest and in JSON.
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The name at rest and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// The one of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $( $text => Some(Self::$variant), )* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::table::Field for $name {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Text;
            fn to_value(&self) -> $crate::Value {
                $crate::Value::from(self.as_str())
            }
            fn from_value(value: $crate::Value) -> Option<Self> {
                Self::parse(value.as_text()?)
            }
        }
    };
}

/// Declares a record type and its table in one place: each field with its type and its rule.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident in $table:literal by $rules:ident $(pruned by $retention:literal)? {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty => $rule:expr, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::table::Record for $name {
            const TABLE: &'static $crate::table::Table = &$crate::table::Table {
                name: $table,
                columns: &[ $( $crate::table::Column {
                    name: stringify!($field),
                    column_type: <$type as $crate::table::Field>::TYPE,
                    nullable: <$type as $crate::table::Field>::NULLABLE,
                    rule: { #[allow(unused_imports, reason = "not every table uses every rule")] use $crate::table::Rule::*; $rule },
                }, )* ],
                rules: $crate::table::Rules::$rules,
                retention: $crate::table::record!(@retention $($retention)?),
            };

            fn to_row(&self) -> $crate::table::Row {
                vec![ $( $crate::table::Field::to_value(&self.$field), )* ]
            }

            fn from_row(row: $crate::table::Row) -> $crate::Result<Self> {
                let mut fields = $crate::table::Fields::new(Self::TABLE, row);
                Ok(Self { $( $field: fields.take()?, )* })
            }
        }
    };
    (@retention) => { None };
    (@retention $column:literal) => { Some($column) };
}
pub(crate) use record;
pub(crate) use text_enum;
