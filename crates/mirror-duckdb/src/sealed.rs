//! Sealed days of ticks: the Parquet files of a data folder as one view.

use std::path::Path;

use duckdb::Connection;

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
    connection.execute_batch(&format!("CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {COLUMNS} {rows}"))
}

/// The ask may lie in the spread; see `tallybook_formats::SegmentFile`. The name of the file is asked first, so that a
/// condition on `day` opens only its files.
const COLUMNS: &str = "symbol, \
    make_timestamp_ns(epoch_us(time) * 1000 + time_nanos) AS time, seq::UBIGINT AS seq, source, flags::UTINYINT AS flags, \
    make_timestamp_ns(coalesce(epoch_ns(received), epoch_us(time) * 1000 + time_nanos + received_delay)) AS received, \
    bid_mantissa / pow(10, bid_scale) AS bid, \
    coalesce(ask_mantissa, bid_mantissa + spread_mantissa) / pow(10, ask_scale) AS ask, \
    volume_mantissa / pow(10, volume_scale) AS volume, \
    coalesce(ask_mantissa, bid_mantissa + spread_mantissa) / pow(10, ask_scale) - bid_mantissa / pow(10, bid_scale) AS spread, \
    regexp_extract(filename, 'ticks_([0-9-]+)[.]parquet$', 1)::DATE AS day";

/// The columns of a segment, and no rows.
const NOTHING: &str = "FROM (SELECT '' AS symbol, TIMESTAMP '1970-01-01' AS time, 0 AS time_nanos, 0 AS seq, '' AS source, \
    0 AS flags, NULL::TIMESTAMP_NS AS received, 0 AS received_delay, NULL::BIGINT AS bid_mantissa, 0 AS bid_scale, \
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
            let sql = format!("SELECT count(*) FROM {VIEW} WHERE day = '2026-11-01' AND bid > 0 AND time > received");
            assert_eq!(connection.query_row(&sql, [], |row| row.get::<_, i64>(0)), Ok(0));
        }
    }
}
