//! Random queries over the rows of a table.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use tallybook_core::{Column, ColumnType, Condition, Query, Row, Table, Value};

use crate::Fixtures;

/// The columns a list can be sorted by.
pub(crate) fn sort_columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| !column.nullable && column.column_type.is_comparable())
}

/// Every kind of condition on every column that takes one, with values from `rows` and from elsewhere.
pub(crate) fn conditions(fixtures: &mut Fixtures, table: &Table, rows: &[Row]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for column in table.columns {
        for kind in 0..KINDS {
            conditions.extend(condition(fixtures, table, column, rows, kind));
        }
    }
    conditions
}

/// A query with a few conditions, any order, and a page from anywhere.
pub(crate) fn random_query(fixtures: &mut Fixtures, table: &Table, rows: &[Row]) -> Query {
    let mut query = Query::new([0, 1, 3, 10, usize::MAX][fixtures.random.random_range(0..5)]);
    for _ in 0..fixtures.random.random_range(0..3) {
        if let Some(column) = table.columns.choose(&mut fixtures.random) {
            let kind = fixtures.random.random_range(0..KINDS);
            query.conditions.extend(condition(fixtures, table, column, rows, kind));
        }
    }
    let columns: Vec<&Column> = sort_columns(table).collect();
    if let Some(column) = columns.choose(&mut fixtures.random).filter(|_| fixtures.random.random_ratio(2, 3)) {
        query.sort.column = Some(column.name);
    }
    query.sort.descending = fixtures.random.random();
    if fixtures.random.random() {
        let order = query.check(table).expect("the columns are the table's");
        let row = rows.choose(&mut fixtures.random).cloned();
        // Also behind rows that are not there.
        let row = row.filter(|_| fixtures.random.random_ratio(3, 4)).unwrap_or_else(|| fixtures.row(table));
        query.after = Some(Query::position(&order, &row));
    }
    if fixtures.random.random_ratio(1, 4) {
        query.offset = fixtures.random.random_range(0..6);
    }
    query.total = fixtures.random.random();
    query.sketches = fixtures.random.random();
    query
}

const KINDS: usize = 9;

fn condition(fixtures: &mut Fixtures, table: &Table, column: &Column, rows: &[Row], kind: usize) -> Option<Condition> {
    let name = column.name;
    let any_value = |fixtures: &mut Fixtures| match rows.choose(&mut fixtures.random) {
        Some(row) if fixtures.random.random_ratio(3, 4) => row[table.position(name).unwrap_or(0)].clone(),
        _ => fixtures.value(column),
    };
    match (column.column_type, kind) {
        // Summaries and bytes are not compared, and JSON only with null and by a part of its text.
        (ColumnType::Json, 0) => Some(Condition::Equals(name, Value::Null)),
        (ColumnType::Json, 1) => Some(Condition::Differs(name, Value::Null)),
        (ColumnType::Json, 7) | (ColumnType::Text, 8) => {
            Some(part_of(fixtures, name, &any_value, Condition::ContainsExactly))
        }
        (ColumnType::Sketch | ColumnType::Histogram | ColumnType::Bytes | ColumnType::Json, _) => None,
        (_, 0) => Some(Condition::Equals(name, any_value(fixtures))),
        (_, 1) => Some(Condition::Differs(name, any_value(fixtures))),
        (_, 2) => {
            Some(Condition::In(name, (0..fixtures.random.random_range(0..4)).map(|_| any_value(fixtures)).collect()))
        }
        (_, 3) if column.nullable => Some(Condition::Equals(name, Value::Null)),
        (_, 4) if column.nullable => Some(Condition::In(name, vec![Value::Null, any_value(fixtures)])),
        (_, 5 | 6) => {
            let value = any_value(fixtures);
            let bound = if kind == 5 { Condition::AtLeast } else { Condition::AtMost };
            (value != Value::Null).then(|| bound(name, value))
        }
        (ColumnType::Text, 7) => Some(part_of(fixtures, name, &any_value, Condition::Contains)),
        _ => None,
    }
}

/// Any part of any value.
fn part_of(
    fixtures: &mut Fixtures,
    name: &'static str,
    any_value: &impl Fn(&mut Fixtures) -> Value,
    condition: fn(&'static str, String) -> Condition,
) -> Condition {
    let whole = any_value(fixtures);
    let text: Vec<char> = whole.as_text().unwrap_or("").chars().collect();
    let from = fixtures.random.random_range(0..=text.len());
    let to = fixtures.random.random_range(from..=text.len());
    condition(name, text[from..to].iter().collect())
}
