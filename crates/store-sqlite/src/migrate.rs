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
    // In one transaction with the record of them: a start that is killed leaves nothing half done.
    let runner = embedded::migrations::runner().set_grouped(true);
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    match applied(connection)? {
        Some(applied) if applied > known => return Err(Refusal::Newer(applied)),
        None if has_tables(connection)? => return Err(Refusal::Foreign),
        // Refinery writes even where there is nothing to do, which costs a command that is short some milliseconds.
        Some(applied) if applied == known && is_current(connection, &runner)? => return Ok(()),
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

/// Whether exactly the migrations of this binary were applied.
fn is_current(connection: &Connection, runner: &refinery::Runner) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("SELECT name, checksum FROM refinery_schema_history ORDER BY version")?;
    let applied: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut known: Vec<_> = runner.get_migrations().iter().collect();
    known.sort_unstable_by_key(|migration| migration.version());
    Ok(known.iter().map(|migration| (migration.name().to_owned(), migration.checksum().to_string())).eq(applied))
}

/// Whether there are tables besides the history, which is made before the first migration.
fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    let others = "SELECT count(*) > 0 FROM sqlite_schema WHERE tbl_name <> 'refinery_schema_history'";
    connection.query_row(others, [], |row| row.get(0))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use refinery::Target;

    use super::*;
    use crate::connection::open_writer;

    fn database(folder: &Path, name: &str) -> Connection {
        open_writer(&folder.join(name)).unwrap()
    }

    fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
        let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn an_old_database_that_is_migrated_has_the_schema_of_a_fresh_one_and_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = database(folder.path(), "old.db");
        embedded::migrations::runner().set_target(Target::Version(1)).run(&mut old).unwrap();
        old.execute("INSERT INTO service VALUES (1, 'shop', 1, 2, 3, 4, 5, 6)", []).unwrap();
        let before = schema(&old).len();
        run(&mut old).unwrap();
        let mut fresh = database(folder.path(), "fresh.db");
        run(&mut fresh).unwrap();
        assert!(before < schema(&old).len(), "there is more than one migration");
        assert_eq!(schema(&old), schema(&fresh));
        let found: String = old.query_row("SELECT name FROM services", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "shop");
    }

    #[test]
    fn a_start_that_was_killed_before_its_migrations_is_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let mut killed = database(folder.path(), "killed.db");
        embedded::migrations::runner().set_target(Target::Fake).run(&mut killed).unwrap();
        killed.execute("DELETE FROM refinery_schema_history", []).unwrap();
        run(&mut killed).unwrap();
        let mut fresh = database(folder.path(), "fresh.db");
        run(&mut fresh).unwrap();
        assert_eq!(schema(&killed), schema(&fresh));
    }

    #[test]
    fn a_database_of_this_schema_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = database(folder.path(), "current.db");
        run(&mut database).unwrap();
        database.pragma_update(None, "journal_mode", "WAL").unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        run(&mut database).unwrap();
        assert_eq!(folder.path().join("current.db-wal").metadata().unwrap().len(), 0);
    }
}
