//! What the writer thread does: commits, retention, checkpoints.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tallybook_core::{Ack, Batch, Condition, Error, ErrorKind, Outcome, Records, Result, Row, Table, Timestamp, Value};

use crate::connection::open_writer;
use crate::error::failed;
use crate::lock::FolderLock;
use crate::migrate::{self, Refusal};
use crate::sql::Statements;
use crate::wal::{Wal, WalLimits};
use crate::{moves, prune, rows, sql};

const OPENING: &str = "opening the store";
const COMMITTING: &str = "committing a batch";
const CLOSING: &str = "closing the store";

/// Sources that sent nothing for this long have ended; none sends again what it sent before.
const SOURCE_KEPT: i64 = 30 * tallybook_core::DAY;
/// Pages given back to the file system in one go, so that a commit that comes meanwhile waits for little.
const SHRINK_PAGES: u32 = 512;

/// The connection that writes, and what it has to remember.
#[derive(Debug)]
pub(crate) struct Engine {
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
        let revision = start(&connection).map_err(refused)?;
        Ok(Self { connection, revision, synced: false, wal, _lock: lock })
    }

    /// Applies a batch whole or not at all, and at most once.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<Outcome> {
        let revision = self.revision + 1;
        self.sync_commits(batch.ack == Ack::Durable).map_err(|error| failed(COMMITTING, error))?;
        let transaction = self.begin().map_err(|error| failed(COMMITTING, error))?;
        // Dropped on an error, the transaction rolls back.
        let outcome = apply(&transaction, batch, revision)?;
        transaction.commit().map_err(|error| {
            // Out of room, or of patience with another process, it certainly did not happen; after an I/O error the
            // batch may be in the log, whole, and come back with the next recovery.
            let certain = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            let error = failed(COMMITTING, error);
            if certain { error } else { error.applied_unknown() }
        })?;
        if outcome == Outcome::Applied {
            self.revision = revision;
        }
        Ok(outcome)
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

    /// Looks after the log when something was written. A failure is not the caller's: what was written stays written, and
    /// the next write tries again.
    pub(crate) fn after_write(&mut self) {
        if let Err(error) = self.wal.after_commit(&self.connection) {
            tracing::warn!(%error, "a checkpoint failed");
        }
    }

    /// Uses a pause; says whether there is nothing left to do until the next write.
    pub(crate) fn rest(&mut self) -> bool {
        let tried = prune::shrink(&self.connection, SHRINK_PAGES)
            .and_then(|shrunk| Ok(self.wal.when_idle(&self.connection)? && !shrunk));
        tried.unwrap_or_else(|error| {
            tracing::warn!(%error, "a checkpoint failed");
            false
        })
    }

    /// Puts everything on disk and lets go of it.
    pub(crate) fn close(mut self) -> Result<()> {
        let error = |error| failed(CLOSING, error);
        if !self.wal.when_idle(&self.connection).map_err(error)? {
            // Somebody else reads: the log stays, and must be on disk itself.
            self.sync_commits(true).map_err(error)?;
            self.connection.execute("UPDATE revision SET last = last", []).map_err(error)?;
        }
        self.connection.close().map_err(|(_, failure)| error(failure))
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
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

/// Forgets ended sources; gives the number of the last commit.
fn start(connection: &Connection) -> rusqlite::Result<i64> {
    connection.execute("DELETE FROM batch_source WHERE at < ?", [Timestamp::now().earlier(SOURCE_KEPT).0])?;
    connection.query_row("SELECT last FROM revision", [], |row| row.get(0))
}

fn apply(connection: &Connection, batch: &Batch, revision: i64) -> Result<Outcome> {
    let error = |error| failed(COMMITTING, error);
    if is_known(connection, batch).map_err(error)? {
        return Ok(Outcome::Duplicate);
    }
    batch.records.for_each_table(|table, rows| {
        let statements = sql::of(COMMITTING, table)?;
        fold(connection, statements, &rows, revision).map_err(error)
    })?;
    let Records { catalogue, dead_letters: _ } = &batch.records;
    moves::apply(connection, &catalogue.template_moves, revision).map_err(error)?;
    remember(connection, batch, revision).map_err(error)?;
    Ok(Outcome::Applied)
}

fn is_known(connection: &Connection, batch: &Batch) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT seq FROM batch_source WHERE source = ?")?;
    let last: Option<i64> = statement.query_row([batch.id.source.to_string()], |row| row.get(0)).optional()?;
    Ok(last.is_some_and(|last| batch.id.seq <= last.cast_unsigned()))
}

fn remember(connection: &Connection, batch: &Batch, revision: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO batch_source (source, seq, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (source) DO UPDATE SET seq = excluded.seq, at = excluded.at",
    )?;
    statement.execute(params![batch.id.source.to_string(), batch.id.seq.cast_signed(), Timestamp::now().0])?;
    connection.prepare_cached("UPDATE revision SET last = ?")?.execute([revision])?;
    Ok(())
}

fn fold(connection: &Connection, statements: &Statements, rows: &[Row], revision: i64) -> rusqlite::Result<()> {
    let revision = Value::Int(revision);
    let mut fold_known = statements.fold_known.as_deref().map(|sql| connection.prepare_cached(sql)).transpose()?;
    let mut fold = connection.prepare_cached(&statements.fold)?;
    let mut fold_sketch = statements.fold_sketch.as_deref().map(|sql| connection.prepare_cached(sql)).transpose()?;
    for row in rows {
        if let Some(fold_known) = &mut fold_known {
            rows::bind(fold_known, row.iter().chain([&revision]))?;
            if fold_known.raw_execute()? > 0 {
                continue;
            }
        }
        rows::bind(&mut fold, row.iter().chain([&revision]))?;
        fold.raw_execute()?;
        // Second, because the estimate above is of the sketch that was there.
        if let Some(fold_sketch) = &mut fold_sketch {
            rows::bind(fold_sketch, row)?;
            fold_sketch.raw_execute()?;
        }
    }
    Ok(())
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
            let transaction = engine.begin().unwrap();
            let found: i64 = transaction.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(found, level);
        }
    }
}
