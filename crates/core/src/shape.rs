//! All tables of the record in one form, the described ones and the ticks: what a mirror makes its own tables of.

use std::sync::LazyLock;

use crate::{Column, ColumnType, Result, TABLES, Table};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed 64-bit integer.
    Int,
    /// An unsigned 64-bit integer.
    Unsigned,
    /// An unsigned byte.
    Small,
    /// Nanoseconds since the Unix epoch, as a signed 64-bit integer.
    Time,
    /// UTF-8 text, ordered bytewise.
    Text,
    /// A sketch or histogram, as the primary has it.
    Bytes,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
}

/// One table.
#[derive(Debug)]
pub struct Shape {
    /// Its name; that of the ticks is `tick`.
    pub name: &'static str,
    /// Its columns, the key first. A decimal number is two of them, `…_mantissa` and `…_scale`.
    pub fields: Vec<Field>,
    /// How many of them are the key.
    pub key_len: usize,
    /// The key's time, by which it is cut into days.
    pub day: Option<&'static str>,
    /// Whether a row may come again with other values: of those, the one with the greatest revision counts.
    pub changes: bool,
}

/// The column in which a mirror keeps the primary's revision of a row that changes.
pub const REVISION: &str = "rev";

static DESCRIBED: LazyLock<Vec<Shape>> = LazyLock::new(|| TABLES.iter().map(|table| Shape::describe(table)).collect());
static TICKS: LazyLock<Shape> = LazyLock::new(|| {
    let field = |name, kind| Field { name, kind, nullable: false };
    let number = |name| Field { name, kind: Kind::Int, nullable: true };
    Shape {
        name: "tick",
        fields: vec![
            field("symbol", Kind::Text),
            field("time", Kind::Time),
            field("seq", Kind::Unsigned),
            number("bid_mantissa"),
            field("bid_scale", Kind::Small),
            number("ask_mantissa"),
            field("ask_scale", Kind::Small),
            number("volume_mantissa"),
            field("volume_scale", Kind::Small),
            field("source", Kind::Text),
            field("flags", Kind::Small),
            field("received", Kind::Time),
        ],
        key_len: 3,
        day: Some("time"),
        changes: false,
    }
});

impl Shape {
    /// Those that the core describes, in its order.
    pub fn described() -> &'static [Self] {
        &DESCRIBED
    }

    /// The ticks.
    pub fn ticks() -> &'static Self {
        &TICKS
    }

    /// Everything.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Self::described().iter().chain([Self::ticks()])
    }

    /// The form of a described table.
    ///
    /// # Errors
    /// `Invalid` when there is no such table.
    pub fn of(operation: &'static str, table: &Table) -> Result<&'static Self> {
        Ok(&DESCRIBED[table.place(operation)?])
    }

    fn describe(table: &'static Table) -> Self {
        let field = |column: &Column| Field {
            name: column.name,
            kind: match column.column_type {
                ColumnType::Int => Kind::Int,
                ColumnType::Time => Kind::Time,
                ColumnType::Text | ColumnType::Json => Kind::Text,
                ColumnType::Sketch | ColumnType::Histogram | ColumnType::Bytes => Kind::Bytes,
            },
            nullable: column.nullable,
        };
        let time = table.key().iter().find(|column| column.column_type == ColumnType::Time);
        Self {
            name: table.name,
            fields: table.columns.iter().map(field).collect(),
            key_len: table.key_len(),
            day: time.map(|column| column.name),
            changes: true,
        }
    }

    /// The key's columns.
    pub fn key(&self) -> &[Field] {
        &self.fields[..self.key_len]
    }
}
