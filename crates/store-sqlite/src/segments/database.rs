//! The database of one day: how it is opened, made, and told apart from what is none of ours.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi};
use tallybook_core::{Error, ErrorKind};

use super::day::Day;
use crate::connection::{self, BUSY_TIMEOUT};
use crate::error::failed;

/// In their order; a file says in `user_version` how many it has.
const MIGRATIONS: [&str; 1] = [include_str!("../../../../migrations/sqlite-ticks/V1__ticks.sql")];

/// Small, because each symbol has a page of its own at the end of what it has, and each commit writes them all.
const PAGE_BYTES: u32 = 4096;
const WRITER_CACHE_KIB: i64 = 8 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is no database, or a damaged one.
    Damaged(rusqlite::Error),
    /// A newer binary wrote it.
    Newer,
    /// It holds something else than this day of ticks.
    Foreign,
    /// This process may not open it, or it is gone, or points to where nothing is.
    Denied(io::Error),
    /// The disk fails to read it.
    Unreadable(rusqlite::Error),
    /// It cannot be opened at present.
    Failed(rusqlite::Error),
}

/// What SQLite says where the disk fails to read; its other I/O errors may pass.
const UNREADABLE: [i32; 4] =
    [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_FSTAT, ffi::SQLITE_IOERR_CORRUPTFS];

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(ffi::Error { code: ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt, .. }) => Self::Damaged(error),
            Some(ffi::Error { extended_code, .. }) if UNREADABLE.contains(extended_code) => Self::Unreadable(error),
            _ => Self::Failed(error),
        }
    }
}

impl Refusal {
    /// Whether the file at `path` can never be used.
    pub(crate) fn is_damage(&self, path: &Path) -> bool {
        matches!(self, Self::Damaged(_)) || path.is_dir()
    }

    /// The same, knowing which file it is.
    fn of(self, path: &Path) -> Self {
        match self {
            Self::Failed(error) => {
                Self::denied(path, OpenOptions::new().read(true).write(true)).unwrap_or(Self::Failed(error))
            }
            other => other,
        }
    }

    /// Why the file at `path` cannot even be opened.
    pub(crate) fn denied(path: &Path, options: &OpenOptions) -> Option<Self> {
        let error = options.open(path).err()?;
        let lasting = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound);
        lasting.then_some(Self::Denied(error))
    }

    pub(crate) fn into_error(self, operation: &'static str, path: &Path) -> Error {
        let path = path.display();
        match self {
            Self::Damaged(error) => {
                Error::corrupt(operation, format!("{path} is damaged; restore it, or move it away")).with_source(error)
            }
            Self::Newer => Error::new(
                ErrorKind::Unsupported,
                operation,
                format!("{path} was written by a newer Tallybook; use that one, or move the file away"),
            ),
            Self::Foreign => Error::new(
                ErrorKind::Unsupported,
                operation,
                format!("{path} does not hold this day of ticks as Tallybook keeps it; move it away, then import it"),
            ),
            Self::Denied(error) => Error::new(
                ErrorKind::Unsupported,
                operation,
                format!("{path} cannot be opened; make it readable and writable"),
            )
            .with_source(error),
            Self::Unreadable(error) => Error::new(
                ErrorKind::Unsupported,
                operation,
                format!("{path} cannot be read: its disk fails; restore it, or move it away"),
            )
            .with_source(error),
            Self::Failed(error) => failed(operation, error),
        }
    }
}

/// The connection that writes; makes the database if it is not there, as an overlay of the Parquet file `base` if there
/// is one.
pub(crate) fn open_writer(path: &Path, day: Day, base: Option<&str>) -> Result<Connection, Refusal> {
    // One that is not there could not be made, which says nothing of it.
    writer(path, day, base)
        .map_err(|refusal| if fs::symlink_metadata(path).is_ok() { refusal.of(path) } else { refusal })
}

fn writer(path: &Path, day: Day, base: Option<&str>) -> Result<Connection, Refusal> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Only means something while the database is empty.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection::set_up(&connection, WRITER_CACHE_KIB)?;
    migrate(&mut connection, day, base)?;
    Ok(connection)
}

/// A connection that reads. It may write as far as SQLite is concerned, or else it would leave a log behind for every day
/// that was looked at.
pub(crate) fn open_reader(path: &Path, day: Day) -> Result<Connection, Refusal> {
    reader(path, day).map_err(|refusal| refusal.of(path))
}

fn reader(path: &Path, day: Day) -> Result<Connection, Refusal> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection::set_up(&connection, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    let version = version(&connection)?;
    if version > MIGRATIONS.len() {
        return Err(Refusal::Newer);
    }
    if version == 0 || day_of(&connection)? != day.start().0 {
        return Err(Refusal::Foreign);
    }
    Ok(connection)
}

fn migrate(connection: &mut Connection, day: Day, base: Option<&str>) -> Result<(), Refusal> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    let waiting = MIGRATIONS.get(version..).ok_or(Refusal::Newer)?;
    if version == 0 && has_tables(&transaction)? {
        return Err(Refusal::Foreign);
    }
    for migration in waiting {
        transaction.execute_batch(migration)?;
    }
    if version == 0 {
        transaction.execute("INSERT INTO segment (day, base) VALUES (?1, ?2)", (day.start().0, base))?;
    } else if day_of(&transaction)? != day.start().0 {
        return Err(Refusal::Foreign);
    }
    if !waiting.is_empty() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len().to_string())?;
    }
    Ok(transaction.commit()?)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version as usize)
}

fn day_of(connection: &Connection) -> Result<i64, Refusal> {
    let found = connection.query_row("SELECT day FROM segment", [], |row| row.get(0));
    found.map_err(|error| match error.sqlite_error_code() {
        // No such table.
        Some(ErrorCode::Unknown) => Refusal::Foreign,
        _ => error.into(),
    })
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM sqlite_schema", [], |row| row.get(0))
}
