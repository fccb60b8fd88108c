//! The statements of every table, made once from its descriptor. Identifiers come from descriptors only, values are
//! always parameters, and many rows go as one array a column.

use std::fmt::Write as _;
use std::sync::LazyLock;

use tallybook_core::{Column, ColumnType, Result, Rule, Rules, TABLES, Table};

/// Tables whose rows almost every commit changes. An index on `rev` would cost each change a new entry in every index, so
/// theirs is on `rev_block`, which is the revision divided by 16.
pub(crate) const IN_BLOCKS: [&str; 4] = ["attribute_key", "metric_bucket", "attribute_key_bucket", "template_bucket"];

/// The statements of one table.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Its place in [`TABLES`], which orders the changes of one revision.
    pub(crate) place: usize,
    /// The table.
    pub(crate) table: &'static Table,
    /// Whether changes are found by `rev_block`.
    pub(crate) in_blocks: bool,
    /// Inserts or folds many rows: `$1 …` an array for each column, then the revision. Sketches come united already (see
    /// `read_sketches`), or empty where they add nothing.
    pub(crate) fold: String,
    /// Inserts many rows, or puts them in the place of those that are there; parameters as above.
    pub(crate) replace: String,
    /// The stored sketch of many keys: `$1 …` an array for each key column; gives the place in the arrays, from 1, and
    /// the sketch. `None` where the table has none.
    pub(crate) read_sketches: Option<String>,
}

static ALL: LazyLock<Vec<Statements>> =
    LazyLock::new(|| TABLES.iter().enumerate().map(|(place, table)| Statements::new(place, table)).collect());

/// The statements of every table, in the order of [`TABLES`].
pub(crate) fn all() -> &'static [Statements] {
    &ALL
}

/// The statements of a table.
///
/// # Errors
/// `Invalid` when it is none of [`TABLES`].
pub(crate) fn of(operation: &'static str, table: &Table) -> Result<&'static Statements> {
    Ok(&ALL[table.place(operation)?])
}

impl Statements {
    fn new(place: usize, table: &'static Table) -> Self {
        let values: Vec<String> =
            table.columns.iter().map(|column| format!("u.{}{}", quoted(column.name), cast(column))).collect();
        let inserted = format!(
            "{} SELECT {}, ${} FROM {}",
            insert(table),
            values.join(", "),
            table.columns.len() + 1,
            unnested(table.columns, "")
        );
        let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
        let fold = format!("{inserted} {}", on_conflict(table));
        let replace = format!("{inserted} {}", replaced(table, &key.join(", ")));
        let read_sketches = sketch_column(table).map(|at| {
            let same: Vec<String> = table.key().iter().map(|key| format!("t.{0} = u.{0}", quoted(key.name))).collect();
            format!(
                "SELECT u.place, t.{} FROM {} JOIN {} AS t ON {}",
                quoted(table.columns[at].name),
                unnested(table.key(), ", place"),
                quoted(table.name),
                same.join(" AND ")
            )
        });
        Self { place, table, in_blocks: IN_BLOCKS.contains(&table.name), fold, replace, read_sketches }
    }
}

/// The place of the sketch column; no table has two.
pub(crate) fn sketch_column(table: &Table) -> Option<usize> {
    table.columns.iter().position(|column| column.column_type.is_summary())
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A column as it is read and compared: `json` has no order of its own.
pub(crate) fn readable(column: &Column) -> String {
    match column.column_type {
        ColumnType::Json => format!("{}::text COLLATE \"C\"", quoted(column.name)),
        _ => quoted(column.name),
    }
}

/// All columns as they are read, separated by commas.
pub(crate) fn column_list(table: &Table, sketches: bool) -> String {
    let wanted = |column: &&Column| sketches || !column.column_type.is_summary();
    let columns: Vec<String> = table.columns.iter().filter(wanted).map(readable).collect();
    columns.join(", ")
}

/// `INSERT INTO table (columns, rev)`.
fn insert(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| quoted(column.name)).collect();
    format!("INSERT INTO {} AS t ({}, rev)", quoted(table.name), columns.join(", "))
}

/// What happens to a row whose key is there already.
fn on_conflict(table: &Table) -> String {
    let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
    let key = key.join(", ");
    match table.rules {
        Rules::Keep => return format!("ON CONFLICT ({key}) DO NOTHING"),
        Rules::Replace => return replaced(table, &key),
        Rules::Newest => {
            let mut sql = replaced(table, &key);
            if let Some(revision) = table.revision().map(|at| quoted(table.columns[at].name)) {
                let _ = write!(sql, " WHERE excluded.{revision} > t.{revision}");
            }
            return sql;
        }
        Rules::Merge => {}
    }
    let mut sql = format!("ON CONFLICT ({key}) DO UPDATE SET rev = excluded.rev");
    for column in table.columns {
        let name = quoted(column.name);
        if let Some(folded) = folded(column, &format!("t.{name}"), &format!("excluded.{name}")) {
            let _ = write!(sql, ", {name} = {folded}");
        }
    }
    sql
}

/// `ON CONFLICT` that puts the later row in the place of the one that is there.
fn replaced(table: &Table, key: &str) -> String {
    let mut sql = format!("ON CONFLICT ({key}) DO UPDATE SET rev = excluded.rev");
    for column in &table.columns[table.key_len()..] {
        let _ = write!(sql, ", {0} = excluded.{0}", quoted(column.name));
    }
    sql
}

/// What becomes of a value when another comes, as [`Table::merge`] says; `None` when it stays.
fn folded(column: &Column, ours: &str, theirs: &str) -> Option<String> {
    // A sketch that adds nothing comes empty.
    let unless_empty = |sketch: &str| format!("CASE WHEN length({sketch}) = 0 THEN {ours} ELSE {theirs} END");
    let max = i64::MAX;
    Some(match column.rule {
        Rule::Key | Rule::Revision => return None,
        Rule::Add => format!("CASE WHEN {ours} > {max} - {theirs} THEN {max} ELSE {ours} + {theirs} END"),
        Rule::Min => format!("LEAST({ours}, {theirs})"),
        Rule::Max => format!("GREATEST({ours}, {theirs})"),
        Rule::Union => unless_empty(theirs),
        Rule::Estimate(of) => unless_empty(&format!("excluded.{}", quoted(of))),
        Rule::First => return column.nullable.then(|| format!("COALESCE({ours}, {theirs})")),
        Rule::Last if column.nullable => format!("COALESCE({theirs}, {ours})"),
        Rule::Last => theirs.to_owned(),
    })
}

/// `unnest($1::text[], …) AS u(columns)`, or with the place in the arrays as another column.
pub(crate) fn unnested(columns: &[Column], place: &str) -> String {
    let arrays: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let element = match column.column_type {
                ColumnType::Int | ColumnType::Time => "int8",
                ColumnType::Text | ColumnType::Json => "text",
                ColumnType::Sketch | ColumnType::Histogram | ColumnType::Bytes => "bytea",
            };
            format!("${}::{element}[]", at + 1)
        })
        .collect();
    let names: Vec<String> = columns.iter().map(|column| quoted(column.name)).collect();
    let ordinality = if place.is_empty() { "" } else { " WITH ORDINALITY" };
    format!("unnest({}){ordinality} AS u({}{place})", arrays.join(", "), names.join(", "))
}

fn cast(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Json => "::json",
        _ => "",
    }
}
