//! The statements of every table, made once from its descriptor. Identifiers come from descriptors only, values are
//! always parameters.

use std::fmt::Write as _;
use std::sync::OnceLock;

use tallybook_core::{Column, ColumnType, Result, Rule, Rules, TABLES, Table};

use crate::functions;

/// The statements of one table. Parameters `?1 …` are the row's values in the order of the columns, then the revision.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Its place in [`TABLES`], which orders the changes of one revision.
    pub(crate) place: usize,
    /// The table.
    pub(crate) table: &'static Table,
    /// Inserts, or folds by the rules.
    pub(crate) fold: Writing,
    /// Inserts, or takes the place of the row that is there, whatever the rules.
    pub(crate) overwrite: Writing,
    /// `rev, rowid` and all columns of the rows of one revision behind a rowid: `?1`, `?2`.
    pub(crate) changes_of_revision: String,
    /// The same of the rows behind a revision: `?1`.
    pub(crate) changes_behind: String,
    /// How many rows lie behind a revision: `?1`.
    pub(crate) count_behind: String,
}

/// How one row is written.
#[derive(Debug)]
pub(crate) struct Writing {
    /// First: folds into a row that is there and whose sketches and earliest times stay as they are; changes no row
    /// otherwise. Almost every row of a flush is such a row, and this leaves the indexes on these columns alone. `None`
    /// where that would seldom be so.
    pub(crate) known: Option<String>,
    /// All but the sketches.
    pub(crate) row: String,
    /// Then the sketch, where there is one.
    pub(crate) sketch: Option<String>,
}

/// The statements of every table, in the order of [`TABLES`].
pub(crate) fn all() -> impl Iterator<Item = &'static Statements> {
    (0..TABLES.len()).map(at)
}

/// The statements of the table at a place of [`TABLES`]: made when they are asked for, since a short command needs few.
fn at(place: usize) -> &'static Statements {
    static ALL: [OnceLock<Statements>; TABLES.len()] = [const { OnceLock::new() }; TABLES.len()];
    ALL[place].get_or_init(|| Statements::new(place, TABLES[place]))
}

/// The statements of a table.
///
/// # Errors
/// `Invalid` when it is none of [`TABLES`].
pub(crate) fn of(operation: &'static str, table: &Table) -> Result<&'static Statements> {
    Ok(at(table.place(operation)?))
}

impl Statements {
    fn new(place: usize, table: &'static Table) -> Self {
        let changes = format!("SELECT rev, rowid, {} FROM {}", column_list(table, true), quoted(table.name));
        Self {
            place,
            table,
            fold: Writing::new(table, table.rules),
            overwrite: Writing::new(table, Rules::Replace),
            changes_of_revision: format!("{changes} WHERE rev = ?1 AND rowid > ?2 ORDER BY rowid"),
            changes_behind: format!("{changes} WHERE rev > ?1 ORDER BY rev, rowid"),
            count_behind: format!("SELECT count(*) FROM {} WHERE rev > ?1", quoted(table.name)),
        }
    }
}

impl Writing {
    fn new(table: &'static Table, rules: Rules) -> Self {
        let sketch = table.columns.iter().find(|column| is_sketch(column));
        // Unlike a sketch, a histogram changes with every row that comes.
        let changes = sketch.is_some_and(|column| column.column_type == ColumnType::Histogram);
        Self {
            known: (rules == Rules::Merge && !changes).then(|| write_known(table)),
            row: write_row(table, rules),
            sketch: sketch.map(|column| write_sketch(table, column, rules)),
        }
    }
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A column as an expression of SQL.
///
/// Sketches lie in a table of their own: they rarely change, and a flush then writes narrow rows, a fraction of the
/// pages (`benches/commit.rs` says how many).
pub(crate) fn expression(table: &Table, column: &Column) -> String {
    if !is_sketch(column) {
        return quoted(column.name);
    }
    let (sketches, rows) = (sketch_table(table), quoted(table.name));
    format!("(SELECT {} FROM {sketches} AS s WHERE s.rowid = {rows}.rowid)", quoted(column.name))
}

/// All columns, separated by commas.
pub(crate) fn column_list(table: &Table, sketches: bool) -> String {
    let wanted = |column: &&Column| sketches || !is_sketch(column);
    let columns: Vec<String> = table.columns.iter().filter(wanted).map(|column| expression(table, column)).collect();
    columns.join(", ")
}

/// `INSERT INTO table (columns, rev)`, without sketches.
pub(crate) fn insert(table: &Table) -> String {
    format!("INSERT INTO {} ({}, rev)", quoted(table.name), column_list(table, false))
}

fn is_sketch(column: &Column) -> bool {
    column.column_type.is_summary()
}

fn sketch_table(table: &Table) -> String {
    quoted(&format!("{}_sketch", table.name))
}

/// The parameter of the column at this place; the revision's is the one behind the last.
fn parameter(at: usize) -> String {
    format!("?{}", at + 1)
}

fn key_equals_parameters(table: &Table) -> Vec<String> {
    let equals = |(at, column): (usize, &Column)| format!("{} = {}", quoted(column.name), parameter(at));
    table.key().iter().enumerate().map(equals).collect()
}

fn write_row(table: &Table, rules: Rules) -> String {
    let columns = table.columns.iter().enumerate().filter(|(_, column)| !is_sketch(column));
    let mut values: Vec<String> = columns.map(|(at, _)| parameter(at)).collect();
    values.push(parameter(table.columns.len()));
    format!("{} VALUES ({}) {}", insert(table), values.join(", "), on_conflict(table, rules))
}

fn write_sketch(table: &Table, column: &Column, rules: Rules) -> String {
    let sketch = quoted(column.name);
    let theirs = format!("excluded.{sketch}");
    let written = match rules {
        Rules::Merge => format!("{}({sketch}, {theirs})", functions::UNION),
        Rules::Keep => sketch.clone(),
        Rules::Replace | Rules::Newest => theirs,
    };
    format!(
        "INSERT INTO {sketches} (rowid, {sketch}) SELECT rowid, {theirs} FROM {rows} WHERE {key} \
         ON CONFLICT (rowid) DO UPDATE SET {sketch} = {written}",
        sketches = sketch_table(table),
        theirs = table.position(column.name).map(parameter).unwrap_or_default(),
        rows = quoted(table.name),
        key = key_equals_parameters(table).join(" AND "),
    )
}

/// What happens to a row whose key is there already.
pub(crate) fn on_conflict(table: &Table, rules: Rules) -> String {
    let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
    let key = key.join(", ");
    let mut sql = format!("ON CONFLICT ({key}) DO UPDATE SET rev = excluded.rev");
    match rules {
        Rules::Keep => return format!("ON CONFLICT ({key}) DO NOTHING"),
        Rules::Replace => replace_columns(table, &mut sql),
        Rules::Newest => {
            replace_columns(table, &mut sql);
            if let Some(revision) = table.revision().map(|at| quoted(table.columns[at].name)) {
                let _ = write!(sql, " WHERE excluded.{revision} > {}.{revision}", quoted(table.name));
            }
        }
        Rules::Merge => fold_columns(table, &mut sql),
    }
    sql
}

fn replace_columns(table: &Table, sql: &mut String) {
    for column in table.columns.iter().skip(table.key_len()).filter(|column| !is_sketch(column)) {
        let _ = write!(sql, ", {name} = excluded.{name}", name = quoted(column.name));
    }
}

fn fold_columns(table: &Table, sql: &mut String) {
    for column in table.columns {
        let theirs = format!("excluded.{}", quoted(column.name));
        if let Some(folded) = folded(column, &quoted(column.name), &theirs) {
            let _ = write!(sql, ", {} = {folded}", quoted(column.name));
        }
        if let Rule::Estimate(of) = column.rule
            && let Some(at) = table.position(of)
        {
            let (ours, theirs) = (expression(table, &table.columns[at]), parameter(at));
            let _ = write!(sql, ", {} = {}({ours}, {theirs})", quoted(column.name), functions::UNION_ESTIMATE);
        }
    }
}

fn write_known(table: &Table) -> String {
    let mut set = format!("rev = {}", parameter(table.columns.len()));
    let mut conditions = key_equals_parameters(table);
    for (at, column) in table.columns.iter().enumerate() {
        let (ours, theirs) = (quoted(column.name), parameter(at));
        match column.rule {
            Rule::Min => conditions.push(format!("{ours} <= {theirs}")),
            Rule::Union => {
                conditions.push(format!("NOT {}({}, {theirs})", functions::GROWS, expression(table, column)));
            }
            // The key is a condition already, an estimate follows its sketch; no table that merges has a revision.
            Rule::Key | Rule::Estimate(_) | Rule::Revision => {}
            Rule::Add | Rule::Max | Rule::First | Rule::Last => {
                if let Some(folded) = folded(column, &ours, &theirs) {
                    let _ = write!(set, ", {ours} = {folded}");
                }
            }
        }
    }
    format!("UPDATE {} SET {set} WHERE {}", quoted(table.name), conditions.join(" AND "))
}

/// What becomes of a value when another comes, as [`Table::merge`] says; `None` when it stays, or is an estimate.
fn folded(column: &Column, ours: &str, theirs: &str) -> Option<String> {
    let folded = match column.rule {
        // Sketches are folded in their own table.
        Rule::Key | Rule::Estimate(_) | Rule::Union | Rule::Revision => return None,
        // Past 2^63 the sum is a greater REAL, so the smaller one of both saturates.
        Rule::Add => format!("min({ours} + {theirs}, {})", i64::MAX),
        Rule::Min => format!("min({ours}, {theirs})"),
        Rule::Max => format!("max({ours}, {theirs})"),
        Rule::First => return column.nullable.then(|| format!("coalesce({ours}, {theirs})")),
        Rule::Last if column.nullable => return Some(format!("coalesce({theirs}, {ours})")),
        Rule::Last => return Some(theirs.to_owned()),
    };
    Some(if column.nullable { format!("coalesce({folded}, {ours}, {theirs})") } else { folded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_folds_by_its_rules_in_one_statement() {
        let template = of("a test", tallybook_core::table("template").expect("a table")).expect("its statements");
        assert_eq!(
            template.fold.row,
            "INSERT INTO \"template\" (\"service\", \"severity\", \"template\", \"example\", \"count\", \
             \"first_seen\", \"last_seen\", rev) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (\"service\", \"severity\", \"template\") DO UPDATE SET rev = excluded.rev, \
             \"example\" = coalesce(\"example\", excluded.\"example\"), \
             \"count\" = min(\"count\" + excluded.\"count\", 9223372036854775807), \
             \"first_seen\" = min(\"first_seen\", excluded.\"first_seen\"), \
             \"last_seen\" = max(\"last_seen\", excluded.\"last_seen\")"
        );
    }
}
