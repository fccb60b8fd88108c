//! Tables as data: columns, keys, and what happens when a key is there already.
//!
//! A record type describes its table once, with the `record!` macro; every backend interprets that description, so a new
//! table costs one description and one migration. [`Table::merge`] is the definition of merging for all backends.

mod field;
mod record;
mod value;

use crate::{Error, Result};
#[cfg(doc)]
use crate::{Histogram, Sketch};

pub(crate) use self::field::Field;
pub use self::field::Json;
pub use self::record::{Fields, Record};
pub(crate) use self::record::{record, text_enum};
pub use self::value::Value;

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
    pub fn is_comparable(self) -> bool {
        self.class() != Class::Opaque
    }

    /// That of its values.
    pub const fn class(self) -> Class {
        match self {
            Self::Int | Self::Time => Class::Int,
            Self::Text | Self::Json => Class::Text,
            Self::Sketch | Self::Histogram | Self::Bytes => Class::Opaque,
        }
    }
}

/// What compares with what, in the order of all values: of two values of different classes, the one of the later class is
/// the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Absent.
    Null,
    /// Integers.
    Int,
    /// Texts, bytewise.
    Text,
    /// Summaries and bytes, which have no order among themselves.
    Opaque,
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

impl Rule {
    fn fold(self, ours: &mut Value, theirs: Value) {
        match (self, &mut *ours, theirs) {
            (Self::Add, Value::Int(ours), Value::Int(theirs)) => *ours = ours.saturating_add(theirs),
            (Self::Min, Value::Int(ours), Value::Int(theirs)) => *ours = (*ours).min(theirs),
            (Self::Max, Value::Int(ours), Value::Int(theirs)) => *ours = (*ours).max(theirs),
            (Self::Union, ours @ (Value::Sketch(_) | Value::Histogram(_)), theirs) => ours.unite(theirs),
            (Self::Last, _, theirs) if theirs != Value::Null => *ours = theirs,
            (Self::First | Self::Add | Self::Min | Self::Max | Self::Union, Value::Null, theirs) => *ours = theirs,
            _ => {}
        }
    }
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

/// The values of one row, in the order of [`Table::columns`].
pub type Row = Vec<Value>;

impl Table {
    /// Its place in [`TABLES`].
    ///
    /// # Errors
    /// `Invalid` when it is not there.
    pub fn place(&self, operation: &'static str) -> Result<usize> {
        let place = TABLES.iter().position(|known| known.name == self.name);
        place.ok_or_else(|| Error::invalid(operation, format!("there is no table `{}`", self.name)))
    }

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
        let mut summary_changed = false;
        for ((column, ours), theirs) in self.columns.iter().zip(row.iter_mut()).zip(later) {
            summary_changed |= column.rule == Rule::Union;
            column.rule.fold(ours, theirs);
        }
        if summary_changed {
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
    use crate::Timestamp;

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
}
