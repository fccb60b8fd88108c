//! Template moves: the rows of one text are folded into those of another, and keep a count of 0.

use rusqlite::Connection;
use tallybook_core::{Column, Row, Rule, TABLES, Table, TemplateMove, Value};

use crate::rows;
use crate::sql::{insert, on_conflict, quoted};

/// What a move names, and so the end of the key of every table that moves.
const MOVED_KEY: [&str; 3] = ["service", "severity", "template"];

/// Applies moves in their order.
pub(crate) fn apply(connection: &Connection, moves: &[TemplateMove], revision: i64) -> rusqlite::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let mut tables = Vec::new();
    for table in TABLES.iter().copied().filter(|table| moves_with_templates(table)) {
        tables.push(MovedTable::new(connection, table)?);
    }
    for step in moves.iter().filter(|step| step.from != step.to) {
        for table in &tables {
            table.apply(connection, step, revision)?;
        }
    }
    Ok(())
}

fn moves_with_templates(table: &Table) -> bool {
    table.key().iter().rev().map(|column| column.name).take(3).eq(MOVED_KEY.into_iter().rev())
}

/// Parameters of both statements: `?1 ?2 ?3` the moved key, `?4` the text that takes over, `?5` the revision, then the
/// values of a beginning.
struct MovedTable {
    fold: String,
    empty: String,
    /// The values that the key columns in front of the moved key have; no move adds one.
    beginnings: Vec<Row>,
}

impl MovedTable {
    fn new(connection: &Connection, table: &'static Table) -> rusqlite::Result<Self> {
        let front = &table.key()[..table.key_len() - MOVED_KEY.len()];
        let name = quoted(table.name);
        let counts: Vec<String> =
            table.columns.iter().filter(|column| column.rule == Rule::Add).map(|column| quoted(column.name)).collect();
        let mut from: Vec<String> =
            MOVED_KEY.iter().enumerate().map(|(at, column)| format!("{} = ?{}", quoted(column), at + 1)).collect();
        from.extend(front.iter().enumerate().map(|(at, column)| format!("{} = ?{}", quoted(column.name), at + 6)));
        let from = format!("{} AND ({} <> 0)", from.join(" AND "), counts.join(" <> 0 OR "));
        let taken: Vec<String> = table
            .columns
            .iter()
            .map(|column| if column.name == MOVED_KEY[2] { "?4".to_owned() } else { quoted(column.name) })
            .collect();
        let zero: Vec<String> = counts.iter().map(|count| format!("{count} = 0")).collect();
        Ok(Self {
            fold: format!(
                "{} SELECT {}, ?5 FROM {name} WHERE {from} {}",
                insert(table),
                taken.join(", "),
                on_conflict(table, table.rules)
            ),
            // ?4 is not used here, but numbers the rest.
            empty: format!(
                "UPDATE {name} SET {}, rev = ?5 WHERE {from} AND ?4 <> {}",
                zero.join(", "),
                quoted(MOVED_KEY[2])
            ),
            beginnings: beginnings(connection, table, front)?,
        })
    }

    fn apply(&self, connection: &Connection, step: &TemplateMove, revision: i64) -> rusqlite::Result<()> {
        let fixed = [
            Value::Text(step.service.clone()),
            Value::from(step.severity.as_str()),
            Value::Text(step.from.clone()),
            Value::Text(step.to.clone()),
            Value::Int(revision),
        ];
        for beginning in &self.beginnings {
            for sql in [&self.fold, &self.empty] {
                let mut statement = connection.prepare_cached(sql)?;
                rows::bind(&mut statement, fixed.iter().chain(beginning))?;
                if statement.raw_execute()? == 0 {
                    // No row of that text, or it has moved already.
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The distinct values of the first key columns, at one seek each: an hour can hold very many rows.
fn beginnings(connection: &Connection, table: &Table, front: &[Column]) -> rusqlite::Result<Vec<Row>> {
    if front.is_empty() {
        return Ok(vec![Row::new()]);
    }
    let columns: Vec<String> = front.iter().map(|column| quoted(column.name)).collect();
    let columns = columns.join(", ");
    let name = quoted(table.name);
    let parameters = vec!["?"; front.len()].join(", ");
    let first = format!("SELECT {columns} FROM {name} ORDER BY {columns} LIMIT 1");
    let next = format!("SELECT {columns} FROM {name} WHERE ({columns}) > ({parameters}) ORDER BY {columns} LIMIT 1");
    let mut found: Vec<Row> = Vec::new();
    loop {
        let mut statement = connection.prepare_cached(if found.is_empty() { &first } else { &next })?;
        rows::bind(&mut statement, found.last().into_iter().flatten())?;
        let mut answer = statement.raw_query();
        let Some(row) = answer.next()? else { return Ok(found) };
        let values = (0..front.len()).map(|at| {
            row.get_ref(at).and_then(|value| match value {
                rusqlite::types::ValueRef::Integer(int) => Ok(Value::Int(int)),
                value => Ok(Value::from(value.as_str()?)),
            })
        });
        found.push(values.collect::<rusqlite::Result<_>>()?);
    }
}
