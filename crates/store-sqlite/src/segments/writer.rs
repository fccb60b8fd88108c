//! Writing to the database of one day.

use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use tallybook_core::{Ack, Batch, BatchId, Counts, Result, Tick, TickKey, Timestamp};
use tallybook_sqlite::wal::{Wal, WalLimits};

use super::database::{Refusal, open_writer};
use super::day::Day;
use super::form::Form;
use super::names::Names;
use super::sealed::Sealed;
use super::touched;
use crate::error::{commit_failed, failed};
use crate::sources;

pub(crate) const COMMITTING: &str = "committing a batch";
const COPYING: &str = "copying a segment";

/// The connection that writes to a day, and what it has to remember.
#[derive(Debug)]
pub(crate) struct DayWriter {
    pub(crate) day: Day,
    connection: Connection,
    wal: Wal,
    /// Whether commits fsync at present.
    synced: bool,
    names: Names,
    /// Entries in the log of what was touched.
    touched: i64,
    /// The rest of the day, where it was sealed.
    base: Option<Arc<Sealed>>,
}

impl DayWriter {
    pub(crate) fn open(path: &Path, day: Day, base: Option<Arc<Sealed>>, limits: WalLimits) -> Result<Self, Refusal> {
        let connection = open_writer(path, day, base.as_ref().map(|base| base.id()))?;
        sources::forget_ended(&connection)?;
        let wal = Wal::new(&connection, limits)?;
        let touched = touched::count(&connection)?;
        Ok(Self { day, connection, wal, synced: false, names: Names::default(), touched, base })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Adds the batch's ticks of this day, whole or not at all, and at most once.
    pub(crate) fn apply(&mut self, batch: &Batch, ticks: &[&Tick], revision: i64) -> Result<Counts> {
        self.sync_commits(batch.ack == Ack::Durable).map_err(|error| failed(COMMITTING, error))?;
        self.names.keep_small();
        let applied = self.apply_in_transaction(batch.id, ticks, revision);
        if applied.is_err() {
            // Some of their ids went with the transaction.
            self.names = Names::default();
        }
        applied
    }

    fn apply_in_transaction(&mut self, id: BatchId, ticks: &[&Tick], revision: i64) -> Result<Counts> {
        let error = |error| failed(COMMITTING, error);
        // Dropped on an error, the transaction rolls back.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
        if let Some(counts) = known(&transaction, id).map_err(error)? {
            return Ok(counts);
        }
        let (counts, touched) = add(&transaction, &mut self.names, self.day, self.base.as_deref(), revision, ticks)?;
        let touched = touched::shorten(&transaction, self.touched + touched).map_err(error)?;
        remember(&transaction, id, counts).map_err(error)?;
        transaction.commit().map_err(|error| commit_failed(COMMITTING, error))?;
        self.touched = touched;
        Ok(counts)
    }

    /// Adds ticks of no batch: the copy of a day.
    pub(crate) fn copy(&mut self, ticks: &[Tick], revision: i64) -> Result<()> {
        let ticks: Vec<&Tick> = ticks.iter().collect();
        let transaction = self.connection.transaction().map_err(|error| failed(COPYING, error))?;
        add(&transaction, &mut self.names, self.day, None, revision, &ticks)?;
        transaction.commit().map_err(|error| failed(COPYING, error))?;
        self.wal.after_commit(&self.connection).map_err(|error| failed(COPYING, error))
    }

    /// Looks after the log when something was written. A failure is not the caller's: the next write tries again.
    pub(crate) fn after_write(&mut self) {
        if let Err(error) = self.wal.after_commit(&self.connection) {
            tracing::warn!(%error, day = %self.day, "a checkpoint failed");
        }
    }

    /// Moves the log into the database; says whether that was possible.
    pub(crate) fn checkpoint(&mut self) -> rusqlite::Result<bool> {
        self.wal.empty(&self.connection)
    }

    /// Puts everything on disk and lets go of it.
    pub(crate) fn close(mut self) -> rusqlite::Result<()> {
        if !self.checkpoint()? {
            // Somebody else reads: the log stays, and must be on disk itself.
            self.sync_commits(true)?;
            self.connection.execute("UPDATE segment SET day = day", [])?;
        }
        self.connection.close().map_err(|(_, error)| error)
    }

    /// SQLite refuses to change this inside a transaction.
    fn sync_commits(&mut self, synced: bool) -> rusqlite::Result<()> {
        if self.synced != synced {
            self.connection.pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" })?;
            self.synced = synced;
        }
        Ok(())
    }
}

/// Adds ticks of one day, in any order. Gives what became of them, and how many entries it made in the log of what was
/// touched.
fn add(
    connection: &Connection,
    names: &mut Names,
    day: Day,
    base: Option<&Sealed>,
    revision: i64,
    ticks: &[&Tick],
) -> Result<(Counts, i64)> {
    let mut counts = Counts::default();
    let mut touched = 0;
    for (symbol, mut ticks) in by_symbol(ticks) {
        // Stable: of two with the same key, the first one stays.
        ticks.sort_by_key(|tick| tick.key());
        let sealed = base.map_or(Ok(Vec::new()), |base| base.keys(symbol, &ticks))?;
        let stored = insert(connection, names, day, revision, symbol, &ticks, &sealed)
            .map_err(|error| failed(COMMITTING, error))?;
        counts.stored += stored;
        counts.duplicate += ticks.len() as u64 - stored;
        touched += i64::from(stored > 0);
    }
    Ok((counts, touched))
}

/// Ticks of each symbol together: their rows are neighbours in the file.
fn by_symbol<'t>(ticks: &[&'t Tick]) -> HashMap<&'t Arc<str>, Vec<&'t Tick>> {
    let mut symbols: HashMap<&Arc<str>, Vec<&Tick>> = HashMap::new();
    for tick in ticks {
        symbols.entry(&tick.symbol).or_default().push(tick);
    }
    symbols
}

/// What became of the batch's ticks here, where it was applied before; of older batches that is forgotten.
fn known(connection: &Connection, id: BatchId) -> rusqlite::Result<Option<Counts>> {
    let sql = "SELECT seq, stored, duplicate FROM batch_source WHERE source = ?";
    let last = connection
        .prepare_cached(sql)?
        .query_row([id.source.0.as_bytes().as_slice()], |row| {
            let count = |at| row.get(at).map(i64::cast_unsigned);
            Ok((count(0)?, Counts { stored: count(1)?, merged: 0, duplicate: count(2)? }))
        })
        .optional()?;
    Ok(match last {
        Some((seq, counts)) if seq == id.seq => Some(counts),
        Some((seq, _)) if seq > id.seq => Some(Counts::default()),
        _ => None,
    })
}

fn remember(connection: &Connection, id: BatchId, counts: Counts) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO batch_source (source, seq, at, stored, duplicate) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let source = id.source.0.as_bytes().as_slice();
    statement.execute(params![
        source,
        id.seq.cast_signed(),
        Timestamp::now().0,
        counts.stored.cast_signed(),
        counts.duplicate.cast_signed(),
    ])?;
    Ok(())
}

/// Inserts the sorted ticks of one symbol, without those whose key is there or among the `sealed`; says how many it stored.
fn insert(
    connection: &Connection,
    names: &mut Names,
    day: Day,
    revision: i64,
    symbol: &Arc<str>,
    ticks: &[&Tick],
    sealed: &[TickKey],
) -> rusqlite::Result<u64> {
    let (Some(earliest), Some(latest)) = (ticks.first(), ticks.last()) else { return Ok(0) };
    let id = names.symbol(connection, symbol, earliest.time, latest.time)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO tick (symbol, ts, seq, form, bid, ask, volume, received) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO NOTHING",
    )?;
    statement.raw_bind_parameter(1, id)?;
    let mut stored = 0_i64;
    // The times of the first and last that were stored.
    let mut range: Option<(Timestamp, Timestamp)> = None;
    let mut last_form: Option<(&Arc<str>, Form, i64)> = None;
    for tick in ticks {
        if !sealed.is_empty() && sealed.binary_search(&tick.key()).is_ok() {
            continue;
        }
        let form = Form::of(tick);
        let form_id = match last_form {
            Some((source, last, id)) if last == form && *source == tick.source => id,
            _ => names.form(connection, &tick.source, form)?,
        };
        last_form = Some((&tick.source, form, form_id));
        let numbers = form.numbers(tick);
        statement.raw_bind_parameter(2, day.offset(tick.time))?;
        statement.raw_bind_parameter(3, tick.seq.cast_signed())?;
        statement.raw_bind_parameter(4, form_id)?;
        statement.raw_bind_parameter(5, numbers.bid)?;
        statement.raw_bind_parameter(6, numbers.ask)?;
        statement.raw_bind_parameter(7, numbers.volume)?;
        statement.raw_bind_parameter(8, numbers.received)?;
        if statement.raw_execute()? > 0 {
            stored += 1;
            range = Some((range.map_or(tick.time, |(first, _)| first), tick.time));
        }
    }
    if let Some((first, last)) = range {
        let sql = "UPDATE symbol SET count = count + ?2, first = min(first, ?3), last = max(last, ?4) WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![id, stored, first.0, last.0])?;
        touched::note(connection, revision, id, (day.offset(first), day.offset(last)))?;
    }
    Ok(stored.cast_unsigned())
}
