//! The tables and views of the mirror, made from the descriptors.

use std::fmt::Write as _;
use std::sync::LazyLock;

use tallybook_core::shape::{Field, Kind, REVISION, Shape};
use tallybook_core::{TABLES, hash_bytes};

/// Where the primary and the cursor are kept.
pub(crate) const STATE: &str = "mirror_state";
/// The column with the UTC day of a row, by which what is not asked for is left out.
pub(crate) const DAY_COLUMN: &str = "day";

/// Changes with any change of the tables: a file of another schema is filled anew.
pub(crate) static FINGERPRINT: LazyLock<String> =
    LazyLock::new(|| format!("{:016x}", hash_bytes(create().join(";").as_bytes())));

/// A name as an identifier; it comes from a description, never from data.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Their names, as they stand in statements.
pub(crate) fn list(fields: &[Field]) -> String {
    fields.iter().map(|field| quoted(field.name)).collect::<Vec<_>>().join(", ")
}

/// The table with the rows of a shape.
pub(crate) fn rows(shape: &Shape) -> String {
    quoted(&format!("{}_raw", shape.name))
}

/// The place of the column that says which day a row belongs to: the time of its key, or the one it is pruned by.
pub(crate) fn day_source(shape: &Shape) -> Option<usize> {
    let retention = || TABLES.iter().find(|table| table.name == shape.name).and_then(|table| table.retention);
    let name = shape.day.or_else(retention)?;
    shape.fields.iter().position(|field| field.name == name)
}

/// Everything in the file: tables with their `_raw`, and views.
pub(crate) fn create() -> Vec<String> {
    let state = format!("CREATE TABLE {STATE} (primary_id VARCHAR, cursor VARCHAR, schema VARCHAR NOT NULL)");
    let tables = Shape::all().map(|shape| format!("CREATE TABLE {} ({})", rows(shape), columns(shape)));
    let views = Shape::all().map(|shape| format!("CREATE VIEW {} AS {}", quoted(shape.name), readable(shape)));
    let bars = [("tick_hour", "hour"), ("tick_day", "day")];
    let bars = bars.map(|(name, length)| format!("CREATE VIEW {name} AS {}", bars_of(length)));
    [state].into_iter().chain(tables).chain(views).chain(bars).collect()
}

/// Removes it again, whatever of it there is.
pub(crate) fn drop() -> Vec<String> {
    let bars = ["tick_hour", "tick_day"].map(|name| format!("DROP VIEW IF EXISTS {name}"));
    let views = Shape::all().map(|shape| format!("DROP VIEW IF EXISTS {}", quoted(shape.name)));
    let tables = Shape::all().map(|shape| format!("DROP TABLE IF EXISTS {}", rows(shape)));
    bars.into_iter().chain(views).chain(tables).chain([format!("DROP TABLE IF EXISTS {STATE}")]).collect()
}

/// The columns of the rows of a shape, also those that only the mirror has.
pub(crate) fn columns(shape: &Shape) -> String {
    let mut columns = String::new();
    for field in &shape.fields {
        let plain = match field.kind {
            // TIMESTAMP_NS has no form for the first and last of all moments, and is not compared with now().
            Kind::Int | Kind::Time => "BIGINT",
            Kind::Unsigned => "UBIGINT",
            Kind::Small => "UTINYINT",
            Kind::Text => "VARCHAR",
            Kind::Bytes => "BLOB",
        };
        let null = if field.nullable { "" } else { " NOT NULL" };
        let _ = write!(columns, "{} {plain}{null}, ", quoted(field.name));
    }
    let revision = if shape.changes { format!("{REVISION} UBIGINT NOT NULL, ") } else { String::new() };
    format!("{columns}{revision}{DAY_COLUMN} DATE")
}

/// What people see of a table: times as times, prices as numbers, and no sketches.
fn readable(shape: &Shape) -> String {
    let mut shown = Vec::new();
    for field in &shape.fields {
        let name = quoted(field.name);
        let is_part_of_number = field.name.ends_with("_mantissa") || field.name.ends_with("_scale");
        match field.kind {
            Kind::Bytes => {}
            Kind::Time => shown.push(format!("{} AS {name}", moment(&name))),
            _ if shape.name == Shape::ticks().name && is_part_of_number => {}
            _ => shown.push(name),
        }
    }
    if shape.name == Shape::ticks().name {
        shown.push(prices("ask_mantissa"));
    }
    shown.push(DAY_COLUMN.to_owned());
    format!("SELECT {} FROM {}", shown.join(", "), rows(shape))
}

/// Bars of both sides, made from the ticks when they are asked for.
fn bars_of(length: &str) -> String {
    let start = format!("date_trunc('{length}', {})", moment("time"));
    let mut columns = vec!["symbol".to_owned(), format!("{start} AS start")];
    for side in ["bid", "ask"] {
        for (field, function, of_order) in
            [("open", "arg_min", true), ("high", "max", false), ("low", "min", false), ("close", "arg_max", true)]
        {
            let order = if of_order { ", (time, seq)" } else { "" };
            columns.push(format!("{function}({}{order}) AS {side}_{field}", price_of(side)));
        }
    }
    columns.extend(["count(*) AS ticks".to_owned(), DAY_COLUMN.to_owned()]);
    format!("SELECT {} FROM {} GROUP BY symbol, {start}, {DAY_COLUMN}", columns.join(", "), rows(Shape::ticks()))
}

/// A moment in UTC, to the microsecond: the type that `now()` and intervals get along with. NULL where no calendar has it.
fn moment(nanoseconds: &str) -> String {
    format!("TRY(make_timestamp({nanoseconds} // 1000))")
}

/// The prices of a tick as numbers, NULL where they are not quoted. Their spread is taken from the digits: a difference of
/// floating-point numbers would show digits that nobody sent.
pub(crate) fn prices(ask_mantissa: &str) -> String {
    let (bid, volume) = (price_of("bid"), price_of("volume"));
    let scale = "greatest(bid_scale, ask_scale)";
    format!(
        "{bid} AS bid, ({ask_mantissa}) / pow(10, ask_scale) AS ask, {volume} AS volume, \
         (({ask_mantissa}) * pow(10, {scale} - ask_scale) - bid_mantissa * pow(10, {scale} - bid_scale)) \
         / pow(10, {scale}) AS spread"
    )
}

fn price_of(price: &str) -> String {
    format!("{price}_mantissa / pow(10, {price}_scale)")
}
