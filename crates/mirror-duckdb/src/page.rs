//! A page of changes becomes rows, by key.

use std::collections::BTreeMap;

use duckdb::types::{ToSqlOutput, ValueRef};
use duckdb::{Appender, Connection, ToSql, appender_params_from_iter};
use tallybook_core::shape::{Kind, REVISION, Shape};
use tallybook_core::{Change, Changes, DAY, Decimal, Result, Tick, Value};

use crate::error::failed;
use crate::mirror::FOLLOWING;
use crate::schema::{columns, day_source, list, quoted, rows};

/// Where the rows of one table wait to be taken over; gone at the end of each transaction.
const STAGE: &str = "mirror_page";

/// Keeps the rows and ticks of a page, within the caller's transaction.
pub(crate) fn keep(connection: &Connection, page: &Changes) -> Result<()> {
    let mut tables: BTreeMap<&str, (&'static Shape, Vec<&Change>)> = BTreeMap::new();
    for change in &page.changes {
        let shape = Shape::of(FOLLOWING, change.table)?;
        tables.entry(shape.name).or_insert_with(|| (shape, Vec::new())).1.push(change);
    }
    for (shape, changes) in tables.into_values() {
        let day = day_source(shape);
        let times = shape.key().iter().position(|field| field.kind == Kind::Time);
        let within = span(changes.iter().filter_map(|change| change.row[times?].as_int()));
        take_over(connection, shape, within, |stage| {
            changes.iter().try_for_each(|change| append_row(stage, change, day))
        })
        .map_err(|failure| failed(FOLLOWING, &failure))?;
    }
    if !page.ticks.is_empty() {
        let within = span(page.ticks.iter().map(|tick| tick.time.0));
        take_over(connection, Shape::ticks(), within, |stage| {
            page.ticks.iter().try_for_each(|tick| append_tick(stage, tick))
        })
        .map_err(|failure| failed(FOLLOWING, &failure))?;
    }
    Ok(())
}

/// The first and the last of these times.
fn span(times: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    times.fold(None, |span, time| {
        let (first, last) = span.unwrap_or((time, time));
        Some((first.min(time), last.max(time)))
    })
}

/// Rows in bulk first, then the set of them: there is no index that would have to fit into memory.
fn take_over(
    connection: &Connection,
    shape: &Shape,
    within: Option<(i64, i64)>,
    fill: impl FnOnce(&mut Appender<'_>) -> duckdb::Result<()>,
) -> duckdb::Result<()> {
    connection.execute_batch(&format!("CREATE TEMP TABLE {STAGE} ({})", columns(shape)))?;
    let mut stage = connection.appender_to_catalog_and_db(STAGE, "temp", "main")?;
    fill(&mut stage)?;
    stage.flush()?;
    drop(stage);
    let key = shape.key().iter().map(|field| quoted(field.name));
    let mut same = key.map(|name| format!("kept.{name} = page.{name}")).collect::<Vec<_>>().join(" AND ");
    if let (Some(time), Some((first, last))) = (shape.day, within) {
        // As numbers of the statement they leave out whatever of the table is of other times.
        same = format!("{same} AND kept.{} BETWEEN {first} AND {last}", quoted(time));
    }
    let (table, page) = (rows(shape), format!("temp.{STAGE} AS page"));
    if shape.changes {
        let not_newer = format!("kept.{REVISION} <= page.{REVISION}");
        connection.execute_batch(&format!("DELETE FROM {table} AS kept USING {page} WHERE {same} AND {not_newer}"))?;
    }
    // A tick may come twice in a page as well.
    let once = if shape.changes { String::new() } else { format!("DISTINCT ON ({}) ", list(shape.key())) };
    connection.execute_batch(&format!(
        "INSERT INTO {table} SELECT {once}* FROM {page} WHERE NOT EXISTS (SELECT 1 FROM {table} AS kept WHERE {same})"
    ))?;
    connection.execute_batch(&format!("DROP TABLE temp.{STAGE}"))
}

/// A value on its way into a column.
struct Cell<'v>(ValueRef<'v>);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> duckdb::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

fn day_of(nanoseconds: i64) -> Cell<'static> {
    Cell(ValueRef::Date32(nanoseconds.div_euclid(DAY) as i32))
}

fn text(text: &str) -> Cell<'_> {
    Cell(ValueRef::Text(text.as_bytes()))
}

fn append_row(stage: &mut Appender<'_>, change: &Change, day: Option<usize>) -> duckdb::Result<()> {
    let Change { table: _, revision, row } = change;
    let summaries: Vec<Option<Vec<u8>>> = row.iter().map(Value::encode_summary).collect();
    let cells = row.iter().zip(&summaries).map(|(value, summary)| match (value, summary) {
        (_, Some(bytes)) => Cell(ValueRef::Blob(bytes)),
        (Value::Int(int), _) => Cell(ValueRef::BigInt(*int)),
        (Value::Text(value), _) => text(value),
        (Value::Bytes(bytes), _) => Cell(ValueRef::Blob(bytes)),
        _ => Cell(ValueRef::Null),
    });
    let day = day.and_then(|at| row[at].as_int()).map_or(Cell(ValueRef::Null), day_of);
    stage.append_row(appender_params_from_iter(cells.chain([Cell(ValueRef::UBigInt(*revision)), day])))
}

fn append_tick(stage: &mut Appender<'_>, tick: &Tick) -> duckdb::Result<()> {
    let Tick { symbol, time, seq, bid, ask, volume, source, flags, received } = tick;
    let mantissa =
        |number: &Option<Decimal>| Cell(number.map_or(ValueRef::Null, |number| ValueRef::BigInt(number.mantissa())));
    let scale = |number: &Option<Decimal>| Cell(ValueRef::UTinyInt(number.map_or(0, Decimal::scale)));
    stage.append_row(appender_params_from_iter([
        text(symbol),
        Cell(ValueRef::BigInt(time.0)),
        Cell(ValueRef::UBigInt(*seq)),
        mantissa(bid),
        scale(bid),
        mantissa(ask),
        scale(ask),
        mantissa(volume),
        scale(volume),
        text(source),
        Cell(ValueRef::UTinyInt(flags.0)),
        Cell(ValueRef::BigInt(received.0)),
        day_of(time.0),
    ]))
}
