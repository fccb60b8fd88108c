//! Brings a database to the schema of this binary. The folder lock is held meanwhile: refinery takes none.

use rusqlite::{Connection, OptionalExtension as _};

mod embedded {
    refinery::embed_migrations!("../../migrations/sqlite");
}

/// Why a database cannot be used by this binary.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It was written by a newer one, with this schema version.
    Newer(i64),
    /// It holds tables that are not ours.
    Foreign,
    /// A migration failed.
    Failed(rusqlite::Error),
    /// What was migrated before is not what this binary knows.
    Diverged(refinery::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) fn run(connection: &mut Connection) -> Result<(), Refusal> {
    let runner = embedded::migrations::runner();
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    match applied(connection)? {
        Some(applied) if applied > known => return Err(Refusal::Newer(applied)),
        None if has_tables(connection)? => return Err(Refusal::Foreign),
        _ => {}
    }
    runner.run(connection).map(|_| ()).map_err(refusal)
}

/// The greatest version that was applied; `None` where none ever was.
fn applied(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let history = "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    if connection.query_row(history, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    connection.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// A failure of the database keeps its own code.
fn refusal(error: refinery::Error) -> Refusal {
    let refinery::error::Kind::Connection(_, source) = error.kind() else { return Refusal::Diverged(error) };
    match source.downcast_ref::<rusqlite::Error>() {
        Some(rusqlite::Error::SqliteFailure(code, message)) => {
            Refusal::Failed(rusqlite::Error::SqliteFailure(*code, message.clone()))
        }
        _ => Refusal::Diverged(error),
    }
}
