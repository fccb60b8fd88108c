//! Tables as data: columns, keys, and what happens when a key is there already.
//!
//! A record type describes its table once, with the `record!` macro; every backend interprets that description, so a new
//! table costs one description and one migration. [`Table::merge`] is the definition of merging for all backends.

use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Histogram, Result, Sketch, Timestamp};

/// The texts of a key, all columns together, are at most this many bytes long: a page of a PostgreSQL index holds no more.
pub const MAX_KEY_BYTES: usize = 2_600;

/// What a column holds, and so which native type a backend gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A signed 64-bit integer.
    Int,
    /// UTF-8 text, ordered bytewise.
    Text,
    /// JSON text.
    Json,
    /// Nanoseconds since the Unix epoch, as a 64-bit integer.
    Time,
    /// An encoded [`Sketch`].
    Sketch,
    /// An encoded [`Histogram`].
    Histogram,
    /// Bytes that only those who wrote them can read; no list is ordered or filtered by them.
    Bytes,
}

impl ColumnType {
    /// Whether it holds a mergeable summary, which lies at rest as bytes.
    pub const fn is_summary(self) -> bool {
        matches!(self, Self::Sketch | Self::Histogram)
    }

    /// Whether lists can be ordered and filtered by it.
    pub const fn is_comparable(self) -> bool {
        matches!(self, Self::Int | Self::Text | Self::Json | Self::Time)
    }
}

/// How a column of a [`Rules::Merge`] table folds a later row into the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Part of the key; key columns come first.
    Key,
    /// The sum.
    Add,
    /// The smaller one.
    Min,
    /// The greater one.
    Max,
    /// The union of sketches, or of histograms.
    Union,
    /// The one that is there stays; a null is filled in.
    First,
    /// The later one, unless it is null.
    Last,
    /// Says which of two rows of a [`Rules::Newest`] table counts.
    Revision,
    /// Computed: the estimate of the sketch in the named column.
    Estimate(&'static str),
}

/// What happens to a row whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The first row with a key stays; a repeat counts as duplicate.
    Keep,
    /// The later row replaces the one that is there, whatever its columns' rules say.
    Replace,
    /// The row with the greater [`Rule::Revision`] stays, whole; any other counts as duplicate.
    Newest,
    /// Every column folds by its own [`Rule`].
    Merge,
}

/// One column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in SQL.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// How it folds.
    pub rule: Rule,
}

/// A table as data.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The name in SQL.
    pub name: &'static str,
    /// All columns, the key first.
    pub columns: &'static [Column],
    /// What happens to a row whose key is there already.
    pub rules: Rules,
    /// The time column by which old rows are pruned; `None` where rows stay for ever.
    pub retention: Option<&'static str>,
}

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

/// The values of one row, in the order of [`Table::columns`].
pub type Row = Vec<Value>;

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Null, then integers, then text bytewise: the order of every backend. Summaries and bytes have none.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        let class = |value: &Self| match value {
            Self::Null => 0,
            Self::Int(_) => 1,
            Self::Text(_) => 2,
            Self::Sketch(_) | Self::Histogram(_) | Self::Bytes(_) => 3,
        };
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => class(self).cmp(&class(other)),
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
        fold(Rule::Union, &mut union, Self::decode_summary(column_type, theirs)?);
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

impl Table {
    /// The number of key columns; they are the first ones.
    pub fn key_len(&self) -> usize {
        self.columns.iter().take_while(|column| column.rule == Rule::Key).count()
    }

    /// The key columns.
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.key_len()]
    }

    /// The place of a column, if the table has it.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }

    /// Fills the computed columns.
    pub fn derive(&self, row: &mut Row) {
        for (at, column) in self.columns.iter().enumerate() {
            if let Rule::Estimate(of) = column.rule
                && let Some(Value::Sketch(sketch)) = self.position(of).map(|of| &row[of])
            {
                row[at] = Value::Int(i64::try_from(sketch.estimate()).unwrap_or(i64::MAX));
            }
        }
    }

    /// The place of the column that says which of two rows is newer, in a table by [`Rules::Newest`].
    pub fn revision(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.rule == Rule::Revision)
    }

    /// What becomes of `row` when `later` comes: the definition of [`Rules`] for every backend. Both have this table's
    /// columns and the same key. Says whether `later` counts; otherwise the row stays as it is.
    pub fn merge(&self, row: &mut Row, later: Row) -> bool {
        match self.rules {
            Rules::Keep => return false,
            Rules::Replace => *row = later,
            Rules::Newest => {
                if self.revision().is_none_or(|at| later[at] <= row[at]) {
                    return false;
                }
                *row = later;
            }
            Rules::Merge => self.fold(row, later),
        }
        true
    }

    fn fold(&self, row: &mut Row, later: Row) {
        let mut sketch_changed = false;
        for ((column, ours), theirs) in self.columns.iter().zip(row.iter_mut()).zip(later) {
            sketch_changed |= column.rule == Rule::Union;
            fold(column.rule, ours, theirs);
        }
        if sketch_changed {
            self.derive(row);
        }
    }

    /// Sorts rows by key and makes one of those that share it, by [`Table::merge`], as every backend wants them: neighbours
    /// in the index together, and no key twice in a statement.
    pub fn normalise(&self, mut rows: Vec<Row>) -> Vec<Row> {
        let key = self.key_len();
        if !rows.is_sorted_by(|a, b| a[..key] < b[..key]) {
            rows.sort_by(|a, b| a[..key].cmp(&b[..key]));
            let mut unique: Vec<Row> = Vec::with_capacity(rows.len());
            for row in rows {
                match unique.last_mut() {
                    Some(last) if last[..key] == row[..key] => {
                        self.merge(last, row);
                    }
                    _ => unique.push(row),
                }
            }
            rows = unique;
        }
        for row in &mut rows {
            self.derive(row);
        }
        rows
    }
}

fn fold(rule: Rule, ours: &mut Value, theirs: Value) {
    match (rule, &mut *ours, theirs) {
        (Rule::Add, Value::Int(ours), Value::Int(theirs)) => *ours = ours.saturating_add(theirs),
        (Rule::Min, Value::Int(ours), Value::Int(theirs)) => *ours = (*ours).min(theirs),
        (Rule::Max, Value::Int(ours), Value::Int(theirs)) => *ours = (*ours).max(theirs),
        (Rule::Union, ours @ (Value::Sketch(_) | Value::Histogram(_)), theirs) => ours.unite(theirs),
        (Rule::Last, _, theirs) if theirs != Value::Null => *ours = theirs,
        (Rule::First | Rule::Add | Rule::Min | Rule::Max | Rule::Union, Value::Null, theirs) => *ours = theirs,
        _ => {}
    }
}

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

/// Every table there is, in the order in which changes are listed.
pub const TABLES: &[&Table] = &[
    crate::Service::TABLE,
    crate::Metric::TABLE,
    crate::Span::TABLE,
    crate::SpanPattern::TABLE,
    crate::Log::TABLE,
    crate::Event::TABLE,
    crate::Attribute::TABLE,
    crate::AttributeKey::TABLE,
    crate::Template::TABLE,
    crate::MetricBucket::TABLE,
    crate::AttributeKeyBucket::TABLE,
    crate::TemplateBucket::TABLE,
    crate::Ping::TABLE,
    crate::PingBucket::TABLE,
    crate::PingSeen::TABLE,
    crate::PingTarget::TABLE,
    crate::AlertRules::TABLE,
    crate::Prober::TABLE,
    crate::Execution::TABLE,
    crate::Step::TABLE,
    crate::Annotation::TABLE,
    crate::Artifact::TABLE,
    crate::LogChunk::TABLE,
    crate::CancelRequest::TABLE,
    crate::DeadLetter::TABLE,
];

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().copied().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_key_first_and_a_rule_for_every_column() {
        for table in TABLES {
            let key = table.key_len();
            assert!(key > 0, "{} has no key", table.name);
            for column in &table.columns[key..] {
                assert!(column.rule != Rule::Key, "{}.{} is a key column behind another", table.name, column.name);
                if let Rule::Estimate(of) = column.rule {
                    let of = table.position(of).expect("an estimate names a column");
                    assert_eq!(table.columns[of].column_type, ColumnType::Sketch);
                }
            }
            let revisions = table.columns.iter().filter(|column| column.rule == Rule::Revision);
            assert_eq!(revisions.count(), usize::from(table.rules == Rules::Newest), "{}", table.name);
            if let Some(column) = table.retention {
                let at = table.position(column).expect("retention names a column");
                assert_eq!(table.columns[at].column_type, ColumnType::Time);
            }
            assert_eq!(super::table(table.name), Some(*table));
        }
    }

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

    #[test]
    fn of_two_states_the_one_with_the_greater_revision_stays_whole() {
        let request = |revision: u64, path: &str| {
            let artifact = crate::Artifact {
                execution: "x".into(),
                artifact_index: 0,
                revision,
                path: path.into(),
                description: None,
                kind: crate::ArtifactKind::File,
                size: 1,
                sha256: "00".into(),
                mime: "text/plain".into(),
                created_at: Timestamp(1),
                expires_at: None,
                stored: None,
            };
            artifact.to_row()
        };
        let table = crate::Artifact::TABLE;
        let mut row = request(2, "two");
        assert!(!table.merge(&mut row, request(1, "one")) && !table.merge(&mut row, request(2, "again")));
        assert_eq!(row, request(2, "two"));
        assert!(table.merge(&mut row, request(3, "three")));
        assert_eq!(table.normalise(vec![request(1, "one"), row.clone(), request(2, "two")]), [request(3, "three")]);
    }

    #[test]
    fn bounds_keep_infinities() {
        let bounds: Arc<[f64]> = Arc::from([0.5, 10.0, f64::INFINITY]);
        assert_eq!(Field::from_value(bounds.to_value()), Some(bounds));
    }
}
