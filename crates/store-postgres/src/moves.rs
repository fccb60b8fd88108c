//! Template moves: the rows of one text are folded into those of another, and keep a count of 0. All rows that moves name
//! are read and written at once: a service whose templates become general moves many.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use tallybook_core::{Record as _, Result, Row, Table, Template, TemplateBucket, TemplateMove, Value};

use crate::commit::{self, OPERATION};
use crate::error::failed;
use crate::rows;
use crate::sql::{self, column_list, quoted};

/// What a move names: the end of the key of both tables.
const MOVED_KEY: usize = 3;

/// Applies moves in their order. The lock of all commits is ours, so nobody changes what is read here.
pub(crate) async fn apply(transaction: &Transaction<'_>, moves: &[TemplateMove], revision: i64) -> Result<()> {
    let moves: Vec<[Row; 2]> = moves.iter().filter(|step| step.from != step.to).map(from_and_to).collect();
    if moves.is_empty() {
        return Ok(());
    }
    for table in [Template::TABLE, TemplateBucket::TABLE] {
        let mut stored = stored(transaction, table, &moves).await?;
        let changed = move_rows(table, &mut stored, &moves);
        let rows: Vec<Row> = changed.iter().filter_map(|key| stored.remove(key)).collect();
        if !rows.is_empty() {
            let statements = sql::of(OPERATION, table)?;
            commit::send(transaction, &statements.replace, table, &rows, revision).await?;
        }
    }
    Ok(())
}

/// Both ends of keys.
fn from_and_to(step: &TemplateMove) -> [Row; 2] {
    [&step.from, &step.to]
        .map(|text| vec![step.service.as_ref().into(), step.severity.as_str().into(), text.as_ref().into()])
}

/// The rows of all texts that the moves name, by key.
async fn stored(
    transaction: &Transaction<'_>,
    table: &'static Table,
    moves: &[[Row; 2]],
) -> Result<BTreeMap<Row, Row>> {
    let texts: Vec<Row> = moves.iter().flatten().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let moved = &table.key()[table.key_len() - MOVED_KEY..];
    let key: Vec<String> = moved.iter().map(|column| quoted(column.name)).collect();
    let parameters: Vec<_> = moved.iter().enumerate().map(|(at, column)| rows::array(&texts, at, column)).collect();
    let sql = format!(
        "SELECT {} FROM {} JOIN {} USING ({})",
        column_list(table, true),
        quoted(table.name),
        sql::unnested(moved, ""),
        key.join(", ")
    );
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(&sql).await.map_err(error)?;
    let found = transaction.query(&statement, &rows::borrowed(&parameters)).await.map_err(error)?;
    let keyed = |row: Row| (row[..table.key_len()].to_vec(), row);
    found.iter().map(|row| rows::read(table, row, 0, true).map(keyed)).collect()
}

/// Moves what is in `rows` and says which of them changed, in the order of keys.
fn move_rows(table: &Table, rows: &mut BTreeMap<Row, Row>, moves: &[[Row; 2]]) -> BTreeSet<Row> {
    let mut changed = BTreeSet::new();
    let Some(count) = table.position("count") else { return changed };
    let (key_len, beginning_len) = (table.key_len(), table.key_len() - MOVED_KEY);
    let beginnings: BTreeSet<Row> = rows.keys().map(|key| key[..beginning_len].to_vec()).collect();
    for [from, to] in moves {
        for beginning in &beginnings {
            let from = [beginning.as_slice(), from].concat();
            let Some(old) = rows.get_mut(&from).filter(|row| row[count] != Value::Int(0)) else { continue };
            let to = [beginning.as_slice(), to].concat();
            let moved: Row = to.iter().chain(&old[key_len..]).cloned().collect();
            old[count] = Value::Int(0);
            match rows.get_mut(&to) {
                Some(there) => {
                    table.merge(there, moved);
                }
                None => {
                    rows.insert(to.clone(), moved);
                }
            }
            changed.extend([from, to]);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_that_follow_each_other_end_at_the_last_text() {
        let table = TemplateBucket::TABLE;
        let count = table.position("count").expect("a column");
        let row = |start: i64, text: &str, n: i64| -> Row {
            ["hour".into(), start.into(), "shop".into(), "INFO".into(), text.into(), n.into()].to_vec()
        };
        let text = |text: &str| -> Row { vec!["shop".into(), "INFO".into(), text.into()] };
        let stored = [row(0, "a b c", 2), row(0, "a <*> c", 3), row(1, "a b c", 5), row(1, "x", 7)];
        let mut rows: BTreeMap<Row, Row> =
            stored.into_iter().map(|row| (row[..table.key_len()].to_vec(), row)).collect();
        let moves = [[text("a b c"), text("a <*> c")], [text("a <*> c"), text("a <*> <*>")]];
        let changed = move_rows(table, &mut rows, &moves);
        assert_eq!(changed.len(), 6);
        let counts: Vec<_> =
            rows.values().map(|row| (row[1].as_int(), row[4].as_text(), row[count].as_int())).collect();
        let expected = [
            (Some(0), Some("a <*> <*>"), Some(5)),
            (Some(0), Some("a <*> c"), Some(0)),
            (Some(0), Some("a b c"), Some(0)),
            (Some(1), Some("a <*> <*>"), Some(5)),
            (Some(1), Some("a <*> c"), Some(0)),
            (Some(1), Some("a b c"), Some(0)),
            (Some(1), Some("x"), Some(7)),
        ];
        assert_eq!(counts, expected);
    }
}
