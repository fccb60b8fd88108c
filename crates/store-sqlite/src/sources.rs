//! The last batch of each source, and what became of its records: a batch that is sent again is answered alike.

use rusqlite::{Connection, OptionalExtension as _, params};
use tallybook_core::{BatchId, Committed, Counts, DAY, EndedSources, Outcome, Timestamp};

/// Forgets ended sources.
pub(crate) fn forget_ended(connection: &Connection) -> rusqlite::Result<()> {
    let since = Timestamp::now().earlier(i64::from(EndedSources::AFTER_DAYS) * DAY);
    connection.execute("DELETE FROM batch_source WHERE at < ?", [since.0])?;
    Ok(())
}

/// What became of a batch that was applied before.
pub(crate) fn known(connection: &Connection, id: BatchId) -> rusqlite::Result<Option<Committed>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, pings_stored, pings_merged, pings_duplicate, ticks_stored, ticks_duplicate, executions_stored, \
         executions_merged, executions_duplicate FROM batch_source WHERE source = ?",
    )?;
    let last = statement.query_row([id.source.to_string()], |row| {
        let count = |at| row.get(at).map(i64::cast_unsigned);
        let pings = Counts { stored: count(1)?, merged: count(2)?, duplicate: count(3)? };
        let ticks = Counts { stored: count(4)?, merged: 0, duplicate: count(5)? };
        let executions = Counts { stored: count(6)?, merged: count(7)?, duplicate: count(8)? };
        Ok((count(0)?, [pings, ticks, executions]))
    });
    let Some((seq, counts)) = last.optional()?.filter(|&(seq, ..)| id.seq <= seq) else { return Ok(None) };
    // Of older batches the counts are forgotten.
    let [pings, ticks, executions] = if id.seq == seq { counts } else { Default::default() };
    Ok(Some(Committed { outcome: Outcome::Duplicate, pings, ticks, executions }))
}

/// Remembers a batch in the transaction that applies it.
pub(crate) fn remember(connection: &Connection, id: BatchId, committed: &Committed) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO batch_source \
         (source, seq, at, pings_stored, pings_merged, pings_duplicate, ticks_stored, ticks_duplicate, \
         executions_stored, executions_merged, executions_duplicate) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let Committed { outcome: _, pings, ticks, executions } = committed;
    statement.execute(params![
        id.source.to_string(),
        id.seq.cast_signed(),
        Timestamp::now().0,
        pings.stored.cast_signed(),
        pings.merged.cast_signed(),
        pings.duplicate.cast_signed(),
        ticks.stored.cast_signed(),
        ticks.duplicate.cast_signed(),
        executions.stored.cast_signed(),
        executions.merged.cast_signed(),
        executions.duplicate.cast_signed(),
    ])?;
    Ok(())
}
