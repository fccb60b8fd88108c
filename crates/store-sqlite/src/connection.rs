//! What the store's connections have beside what every connection has.

use rusqlite::Connection;
use tallybook_sqlite::connection;

use crate::functions;

pub(crate) use connection::BUSY_TIMEOUT;

/// Sets up a connection that was not opened by the engine.
pub(crate) fn set_up(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection::set_up(connection, cache_kib)?;
    functions::register(connection)
}

/// A database to test with.
#[cfg(test)]
pub(crate) fn open_writer(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    set_up(&connection, 1_024)?;
    Ok(connection)
}

/// With 4096, a flush that touches keys all over the catalogue costs a fifth more.
const PAGE_BYTES: u32 = 8_192;

/// How the main database is opened.
pub(crate) fn options() -> tallybook_sqlite::Options {
    tallybook_sqlite::Options {
        page_bytes: PAGE_BYTES,
        on_open: functions::register,
        ..tallybook_sqlite::Options::default()
    }
}
