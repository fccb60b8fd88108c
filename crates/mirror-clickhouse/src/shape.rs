//! The tables of the mirror: those that the core describes, and the ticks, in one form.

use std::sync::LazyLock;

use tallybook_core::{Column, ColumnType, TABLES, Table};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Int64.
    Int,
    /// UInt64.
    Unsigned,
    /// UInt8.
    Small,
    /// Int64, nanoseconds since the Unix epoch.
    Time,
    Text,
    /// A sketch or histogram, as the primary has it.
    Bytes,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// One table. Rows are kept in `NAME_raw`; the view `NAME` shows them merged.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The key comes first.
    pub(crate) fields: Vec<Field>,
    pub(crate) key_len: usize,
    /// The key's time, by which it is cut into days.
    pub(crate) day: Option<&'static str>,
    /// Whether a row may come again with other values: of those, the one with the greatest revision counts.
    pub(crate) changes: bool,
}

/// The column that holds the primary's revision.
pub(crate) const REVISION: &str = "rev";

static DESCRIBED: LazyLock<Vec<Shape>> = LazyLock::new(|| TABLES.iter().map(|table| Shape::of(table)).collect());
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

/// All tables that the core describes, in its order.
pub(crate) fn described() -> &'static [Shape] {
    &DESCRIBED
}

/// The ticks.
pub(crate) fn ticks() -> &'static Shape {
    &TICKS
}

/// Everything.
pub(crate) fn all() -> impl Iterator<Item = &'static Shape> {
    described().iter().chain([ticks()])
}

/// The form of a described table.
pub(crate) fn of(table: &Table) -> Option<&'static Shape> {
    DESCRIBED.iter().find(|shape| shape.name == table.name)
}

impl Shape {
    fn of(table: &'static Table) -> Self {
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

    pub(crate) fn key(&self) -> &[Field] {
        &self.fields[..self.key_len]
    }

    /// The columns that are inserted, in their order.
    pub(crate) fn inserted(&self) -> String {
        let names = self.fields.iter().map(|field| quoted(field.name));
        names.chain(self.changes.then(|| quoted(REVISION))).collect::<Vec<_>>().join(", ")
    }

    /// The columns that are read back.
    pub(crate) fn read(&self) -> String {
        self.fields.iter().map(|field| quoted(field.name)).collect::<Vec<_>>().join(", ")
    }

    /// The key's columns.
    pub(crate) fn key_list(&self) -> String {
        self.key().iter().map(|field| quoted(field.name)).collect::<Vec<_>>().join(", ")
    }
}

/// A name as an identifier; it comes from a description, never from data.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{name}`")
}
