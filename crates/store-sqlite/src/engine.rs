//! What the writer thread does: commits, retention, checkpoints.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tallybook_core::{
    Ack, Batch, Committed, Condition, Error, ErrorKind, ExecutionRecords, Outcome, Records, Result, Table, Timestamp,
};

use crate::connection::open_writer;
use crate::error::{commit_failed, failed};
use crate::lock::FolderLock;
use crate::migrate::{self, Refusal};
use crate::segments::{self, Day, Folder, Writers};
use crate::wal::{Wal, WalLimits};
use crate::{moves, pings, prune, sources, sql, write};

const OPENING: &str = "opening the store";
const COMMITTING: &str = "committing a batch";
const CLOSING: &str = "closing the store";

/// Pages given back to the file system in one go, so that a commit that comes meanwhile waits for little.
const SHRINK_PAGES: u32 = 512;

/// The connection that writes, and what it has to remember.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The files of ticks.
    pub(crate) segments: Writers,
    connection: Connection,
    revision: i64,
    /// Whether commits fsync at present.
    synced: bool,
    pub(crate) wal: Wal,
    /// Last, so that the connection is closed before another process may come in.
    _lock: FolderLock,
}

impl Engine {
    /// Opens the database at `path`, makes it if it is not there, and brings it to the schema of this binary.
    pub(crate) fn open(path: &Path, lock_note: &str, limits: WalLimits) -> Result<Self> {
        let lock = FolderLock::take(path, lock_note)?;
        let refused = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Error::corrupt(
                OPENING,
                format!("{} is not a database; move it away, or choose another data folder", path.display()),
            ),
            _ => failed(OPENING, error),
        };
        let mut connection = open_writer(path).map_err(refused)?;
        migrate::run(&mut connection).map_err(|refusal| match refusal {
            Refusal::Failed(error) => refused(error),
            Refusal::Newer(version) => Error::new(
                ErrorKind::Unsupported,
                OPENING,
                format!(
                    "{} was written by a newer Tallybook (schema {version}); use that one, or restore an older backup",
                    path.display()
                ),
            ),
            Refusal::Foreign => Error::new(
                ErrorKind::Unsupported,
                OPENING,
                format!("{} is another program's database; choose another data folder", path.display()),
            ),
            Refusal::Diverged(error) => Error::new(
                ErrorKind::Unsupported,
                OPENING,
                format!("{} has a schema that no release of Tallybook made", path.display()),
            )
            .with_source(error),
        })?;
        let wal = Wal::new(&connection, limits).map_err(refused)?;
        sources::forget_ended(&connection).map_err(refused)?;
        let segments = Writers::new(Arc::new(segments::recover(Folder::beside(path), &connection)?), limits);
        let last = connection.query_row("SELECT last FROM revision", [], |row| row.get(0));
        let revision = last.map_err(refused)?;
        Ok(Self { segments, connection, revision, synced: false, wal, _lock: lock })
    }

    /// Applies a batch whole or not at all, and at most once.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<Committed> {
        let revision = self.revision + 1;
        self.sync_commits(batch.ack == Ack::Durable).map_err(|error| failed(COMMITTING, error))?;
        let behavior = TransactionBehavior::Immediate;
        let transaction =
            self.connection.transaction_with_behavior(behavior).map_err(|error| failed(COMMITTING, error))?;
        // Dropped on an error, the transaction rolls back.
        let committed = apply(&transaction, &mut self.segments, batch, revision)?;
        transaction.commit().map_err(|error| unclear_with_ticks(batch, commit_failed(COMMITTING, error)))?;
        if committed.outcome == Outcome::Applied {
            self.revision = revision;
            self.segments.recorded();
        }
        Ok(committed)
    }

    /// See [`prune::prune`].
    pub(crate) fn prune(
        &mut self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        prune::prune(&self.connection, table, before, conditions, limit)
    }

    /// Removes a whole day of ticks and says how many it had.
    pub(crate) fn drop_segment(&mut self, day: Day) -> Result<u64> {
        let count = segments::drop_segment(&mut self.segments, day)?;
        segments::unlist(&self.connection, day)?;
        Ok(count)
    }

    /// Looks after the log when something was written. A failure is not the caller's: what was written stays written, and
    /// the next write tries again.
    pub(crate) fn after_write(&mut self) {
        if let Err(error) = self.wal.after_commit(&self.connection) {
            tracing::warn!(%error, "a checkpoint failed");
        }
        self.segments.after_write();
    }

    /// Uses a pause; says whether there is nothing left to do until the next write.
    pub(crate) fn rest(&mut self) -> bool {
        let tried = prune::shrink(&self.connection, SHRINK_PAGES)
            .and_then(|shrunk| Ok(self.wal.when_idle(&self.connection)? && !shrunk));
        let rested = tried.unwrap_or_else(|error| {
            tracing::warn!(%error, "a checkpoint failed");
            false
        });
        self.segments.rest() && rested
    }

    /// Puts everything on disk and lets go of it.
    pub(crate) fn close(mut self) -> Result<()> {
        let error = |error| failed(CLOSING, error);
        self.segments.close().map_err(error)?;
        if !self.wal.when_idle(&self.connection).map_err(error)? {
            // Somebody else reads: the log stays, and must be on disk itself.
            self.sync_commits(true).map_err(error)?;
            self.connection.execute("UPDATE revision SET last = last", []).map_err(error)?;
        }
        self.connection.close().map_err(|(_, failure)| error(failure))
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

/// Applies a batch within the transaction of the main database. Ticks come when everything else went well: a file that has
/// them cannot be rolled back with the others.
fn apply(connection: &Connection, segments: &mut Writers, batch: &Batch, revision: i64) -> Result<Committed> {
    let error = |error| failed(COMMITTING, error);
    let Records {
        catalogue,
        pings,
        ping_targets: _,
        alert_rules: _,
        probers: _,
        ticks: _,
        executions,
        dead_letters: _,
    } = &batch.records;
    batch.records.check(COMMITTING)?;
    if let Some(known) = sources::known(connection, batch.id).map_err(error)? {
        return Ok(known);
    }
    let (mut unique, mut changed) = (0, 0);
    batch.records.for_each_table(|table, rows| {
        let statements = sql::of(COMMITTING, table)?;
        let written = write::write(connection, &statements.fold, &rows, revision).map_err(error)?;
        if ExecutionRecords::owns(table) {
            unique += rows.len() as u64;
            changed += written;
        }
        Ok::<_, Error>(())
    })?;
    moves::apply(connection, &catalogue.template_moves, revision).map_err(error)?;
    let pings = pings::apply(COMMITTING, connection, pings, revision)?;
    let ticks = segments.apply(batch, revision)?;
    let executions = executions.counts(unique, changed);
    let committed = Committed { outcome: Outcome::Applied, pings, ticks, executions };
    let remember = || -> rusqlite::Result<()> {
        segments.record(connection)?;
        sources::remember(connection, batch.id, &committed)?;
        connection.prepare_cached("UPDATE revision SET last = ?")?.execute([revision])?;
        Ok(())
    };
    remember().map_err(|cause| unclear_with_ticks(batch, error(cause)))?;
    Ok(committed)
}

/// The files of the days have the ticks of a batch whose end in the main database failed.
fn unclear_with_ticks(batch: &Batch, error: Error) -> Error {
    if batch.records.ticks.is_empty() { error } else { error.applied_unknown() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_commit_syncs_the_log_and_a_written_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let limits = WalLimits { passive_bytes: 1 << 20, truncate_bytes: 1 << 22 };
        let mut engine = Engine::open(&folder.path().join("tallybook.db"), "a test", limits).unwrap();
        for (synced, level) in [(true, 2), (false, 1), (true, 2)] {
            engine.sync_commits(synced).unwrap();
            let found: i64 = engine.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(found, level);
        }
    }
}
