//! How every connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a statement waits for another process: a backup, or somebody with the `sqlite3` tool.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// None: it makes a flush a twentieth cheaper, but every connection's share counts as memory of the process, and a disk
/// that fails to read would kill it.
const MMAP_BYTES: i64 = 0;
/// The file is cut back to this size when it starts over.
pub const WAL_BYTES_KEPT: i64 = 64 << 20;
/// Two statements for each table, and what lists ask for.
const STATEMENTS_CACHED: usize = 128;

/// Free pages are given back when the writer says so.
const INCREMENTAL: i64 = 2;

/// The one connection that writes; makes the database if it is not there.
pub(crate) fn open_writer(database: &Path, page_bytes: u32, cache_kib: i64) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Both only mean something while the database is empty; the second writes, and waits for the disk, each time it is set.
    connection.pragma_update(None, "page_size", page_bytes)?;
    let auto_vacuum: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if auto_vacuum != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let reason = "the file system does not support a write-ahead log".to_owned();
        return Err(rusqlite::Error::SqliteFailure(refused, Some(reason)));
    }
    set_up(&connection, cache_kib)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn open_reader(database: &Path, cache_kib: i64) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    set_up(&connection, cache_kib)?;
    Ok(connection)
}

/// What is the same on every connection, also on those that are opened elsewhere.
pub fn set_up(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    // The writer decides when, see `wal`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(())
}
