//! The log of where commits added ticks to a day, kept short: a follower that is far behind reads more of the day again.

use rusqlite::{Connection, params};

/// Entries of a day past which the older half is united.
const ENTRIES_MAX: i64 = 4096;

/// Notes that the commit of `revision` added ticks of `symbol` within these times of the day.
pub(crate) fn note(
    connection: &Connection,
    revision: i64,
    symbol: i64,
    (first, last): (i64, i64),
) -> rusqlite::Result<()> {
    // A batch that was cut off between two files may have left an entry of the same revision.
    let mut statement = connection.prepare_cached(
        "INSERT INTO touched (rev, symbol, first, last) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (rev, symbol) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    statement.execute(params![revision, symbol, first, last])?;
    Ok(())
}

/// Unites the older half of the entries, one a symbol, under the greatest revision of each. Says how many there are.
pub(crate) fn shorten(connection: &Connection, entries: i64) -> rusqlite::Result<i64> {
    if entries <= ENTRIES_MAX {
        return Ok(entries);
    }
    let middle: i64 = connection.query_row(
        "SELECT rev FROM touched ORDER BY rev LIMIT 1 OFFSET (SELECT count(*) / 2 FROM touched)",
        [],
        |row| row.get(0),
    )?;
    connection.execute_batch(&format!(
        "CREATE TEMP TABLE united AS SELECT max(rev), symbol, min(first), max(last) FROM touched \
             WHERE rev <= {middle} GROUP BY symbol; \
         DELETE FROM touched WHERE rev <= {middle}; \
         INSERT INTO touched (rev, symbol, first, last) SELECT * FROM united; \
         DROP TABLE united;"
    ))?;
    count(connection)
}

pub(crate) fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM touched", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_unites_what_is_old_and_keeps_what_is_new() {
        let log = Connection::open_in_memory().unwrap();
        log.execute_batch(
            "CREATE TABLE touched (rev INTEGER, symbol INTEGER, first INTEGER, last INTEGER, PRIMARY KEY (rev, symbol))",
        )
        .unwrap();
        let entries = ENTRIES_MAX + 2;
        for revision in 1..=entries {
            note(&log, revision, revision % 2, (revision * 10, revision * 10 + 5)).unwrap();
        }
        let left = shorten(&log, entries).unwrap();
        assert!(left <= entries / 2 + 2, "{left}");
        let (oldest, first, last): (i64, i64, i64) = log
            .query_row("SELECT rev, first, last FROM touched WHERE symbol = 0 ORDER BY rev", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert!(oldest > entries / 2 - 2 && oldest <= entries / 2 + 2, "{oldest}");
        assert_eq!((first, last), (20, oldest * 10 + 5));
        assert_eq!(count(&log).unwrap(), left);
    }
}
