//! Sealed days of ticks: the Parquet files of a data folder as one view.

use std::path::Path;

use duckdb::Connection;

use crate::schema::prices;

/// What people ask.
pub(crate) const VIEW: &str = "sealed_ticks";
/// The segments of `ticks/YYYY/MM`.
const FILES: &str = "*/*/ticks_*.parquet";

/// Makes the view over the segments below `folder`; where there are none, it has no rows.
pub(crate) fn make_view(connection: &Connection, folder: Option<&Path>) -> duckdb::Result<()> {
    let files = folder.map(|folder| format!("{}/{FILES}", without_patterns(&folder.to_string_lossy())));
    let found = match &files {
        Some(files) => connection.query_row("SELECT count(*) FROM glob(?)", [files], |row| row.get::<_, u64>(0))?,
        None => 0,
    };
    // A view takes no parameters.
    let rows = match files.filter(|_| found > 0) {
        Some(files) => format!("FROM read_parquet('{}', filename = true)", files.replace('\'', "''")),
        None => NOTHING.to_owned(),
    };
    connection.execute_batch(&format!("CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {} {rows}", columns()))
}

/// As in the view `tick`; `received` is left out, because DuckDB does not read its encoding. A condition on `day` opens only
/// the files of those days.
fn columns() -> String {
    // See `tallybook_formats::SegmentFile`.
    let prices = prices("coalesce(ask_mantissa, bid_mantissa + spread_mantissa)");
    format!(
        "symbol, make_timestamp(epoch_us(time) + time_nanos // 1000) AS time, seq::UBIGINT AS seq, source, \
         flags::UTINYINT AS flags, {prices}, regexp_extract(filename, 'ticks_([0-9-]+)[.]parquet$', 1)::DATE AS day"
    )
}

/// The columns of a segment, and no rows.
const NOTHING: &str = "FROM (SELECT '' AS symbol, TIMESTAMP '1970-01-01' AS time, 0 AS time_nanos, 0 AS seq, '' AS source, \
    0 AS flags, NULL::BIGINT AS bid_mantissa, 0 AS bid_scale, \
    NULL::BIGINT AS spread_mantissa, NULL::BIGINT AS ask_mantissa, 0 AS ask_scale, NULL::BIGINT AS volume_mantissa, \
    0 AS volume_scale, 'ticks_1970-01-01.parquet' AS filename) WHERE false";

/// A folder may be called `[a]` or `b*`, which is no pattern then.
fn without_patterns(folder: &str) -> String {
    folder.chars().fold(String::new(), |mut plain, letter| {
        match letter {
            '*' | '?' | '[' => plain.extend(['[', letter, ']']),
            letter => plain.push(letter),
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_segments_the_view_is_empty() {
        let connection = Connection::open_in_memory().unwrap();
        let folder = tempfile::Builder::new().prefix("it's [a] *").tempdir().unwrap();
        for folder in [None, Some(folder.path())] {
            make_view(&connection, folder).unwrap();
            let sql = format!("SELECT count(*) FROM {VIEW} WHERE day = '2026-11-01' AND bid > 0 AND time > now()");
            assert_eq!(connection.query_row(&sql, [], |row| row.get::<_, i64>(0)), Ok(0));
        }
    }
}
