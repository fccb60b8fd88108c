//! What is done with the connection that writes: commits and retention.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tallybook_core::{
    Batch, Committed, Condition, EndedSources, Error, ErrorKind, ExecutionRecords, Outcome, Records, Result, StoreId,
    Table, Timestamp,
};
use tallybook_sqlite::Opening;
use tallybook_sqlite::wal::WalLimits;

use crate::error::{commit_failed, failed};
use crate::follow::Role;
use crate::migrate::{self, Refusal};
use crate::segments::{self, Day, Folder, Writers};
use crate::{follow, moves, pings, prune, sources, sql, write};

pub(crate) const OPENING: &str = "opening the store";
const COMMITTING: &str = "committing a batch";

/// What whoever writes has to remember.
#[derive(Debug)]
pub(crate) struct State {
    /// The files of ticks.
    pub(crate) segments: Writers,
    /// Of the last commit.
    revision: i64,
    role: Role,
    ended_sources: EndedSources,
}

/// The main database while it is written to.
pub(crate) struct Engine<'w> {
    pub(crate) segments: &'w mut Writers,
    pub(crate) connection: &'w mut Connection,
    pub(crate) revision: &'w mut i64,
    pub(crate) role: &'w mut Role,
    ended_sources: &'w EndedSources,
}

impl State {
    /// Brings the database at `path` to the schema of this binary, and the files of ticks to what it says of them.
    pub(crate) fn prepare(opening: &mut Opening, path: &Path, limits: WalLimits) -> Result<Self> {
        let connection = opening.connection();
        migrate::run(connection).map_err(|refusal| match refusal {
            Refusal::Failed(error) => refused(path, error),
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
        let segments = Writers::new(Arc::new(segments::recover(Folder::beside(path), connection)?), limits);
        let last = connection.query_row("SELECT last FROM revision", [], |row| row.get(0));
        let revision = last.map_err(|error| refused(path, error))?;
        let role = Role::read(connection)?;
        Ok(Self { segments, revision, role, ended_sources: EndedSources::default() })
    }

    /// The name of the store.
    pub(crate) fn id(&self) -> StoreId {
        self.role.id
    }

    pub(crate) fn with<'w>(&'w mut self, connection: &'w mut Connection) -> Engine<'w> {
        let Self { segments, revision, role, ended_sources } = self;
        Engine { segments, connection, revision, role, ended_sources }
    }
}

fn refused(path: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::corrupt(
            OPENING,
            format!("{} is not a database; move it away, or choose another data folder", path.display()),
        ),
        _ => failed(OPENING, error),
    }
}

impl Engine<'_> {
    /// Applies a batch whole or not at all, and at most once.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<Committed> {
        let revision = *self.revision + 1;
        let behavior = TransactionBehavior::Immediate;
        let transaction =
            self.connection.transaction_with_behavior(behavior).map_err(|error| failed(COMMITTING, error))?;
        // Dropped on an error, the transaction rolls back.
        if self.ended_sources.are_due() {
            sources::forget_ended(&transaction).map_err(|error| failed(COMMITTING, error))?;
        }
        let committed = apply(&transaction, self.segments, batch, revision)?;
        if self.role.follows && committed.outcome == Outcome::Applied {
            follow::forget(&transaction).map_err(|cause| unclear_with_ticks(batch, failed(COMMITTING, cause)))?;
        }
        transaction.commit().map_err(|error| unclear_with_ticks(batch, commit_failed(COMMITTING, error)))?;
        if committed.outcome == Outcome::Applied {
            *self.revision = revision;
            self.segments.recorded();
            self.role.follows = false;
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
        prune::prune(self.connection, table, before, conditions, limit)
    }

    /// Removes a whole day of ticks and says how many it had.
    pub(crate) fn drop_segment(&mut self, day: Day) -> Result<u64> {
        let count = segments::drop_segment(self.segments, day)?;
        segments::unlist(self.connection, day)?;
        Ok(count)
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
