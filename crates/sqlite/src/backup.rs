//! A copy of a database as it is at one moment, taken while others read and write it, and looked at before it counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::connection::BUSY_TIMEOUT;
use crate::options::Cancel;
use crate::{Engine, Error, ErrorKind, Result};

/// Bytes copied in one go.
const STEP_BYTES: u64 = 1 << 20;
/// Bytes after which the copy is put on disk: all at once, at the end, would hold up the fsyncs of writers.
const SYNC_BYTES: u64 = 8 << 20;
/// The part of the time that a copy leaves the disk and the processor to others: as long again as it worked.
const PAUSE_FOR_WORK: u32 = 1;
/// The longest pause: a step that had to wait for the disk is not waited for again.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// A copy that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the file.
    pub bytes: u64,
    /// Rows of each table, the same in the original at that moment and in the copy.
    pub rows: BTreeMap<String, u64>,
}

/// Copies the database at `from`, as it is at one moment, into the new file `to`, which is on disk afterwards and sound.
/// Others read and write meanwhile, from this process or another. `progress` gets the bytes done and all bytes.
///
/// # Errors
/// `Corrupt` when the copy is not sound, which the original is then neither; `Full` when there is no room. What is at `to`
/// is of no use then.
pub fn copy_database(from: &Path, to: &Path, cancel: &Cancel, progress: &mut dyn FnMut(u64, u64)) -> Result<Copied> {
    if to.exists() {
        return Err(Error::new(
            ErrorKind::Statement,
            format!("{} exists already; a copy overwrites nothing", to.display()),
        ));
    }
    let original = Bystander::open(from)?;
    // Held to the end: all steps, and the counts, are of one moment, and no writer has the copy start over.
    original
        .connection
        .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
        .map_err(|error| of_file(error, from))?;
    let copied = copy_pages(&original.connection, to, cancel, progress);
    let counted = rows(&original.connection).map_err(|error| of_file(error, from));
    if !original.close()? && to.exists() {
        // Somebody began to write meanwhile, and nothing of this counts: once more, with the log.
        fs::remove_file(to).map_err(|error| Error::of_io(format!("{} cannot be removed", to.display()), &error))?;
        return copy_database(from, to, cancel, progress);
    }
    copied?;
    let counted = counted?;
    settle(to)?;
    let found = verify_database(to)?;
    if found != counted {
        let differs = counted.iter().find(|(table, count)| found.get(*table) != Some(count));
        let table = differs.map_or("its schema", |(table, _)| table.as_str());
        return Err(Error::new(ErrorKind::Corrupt, format!("the copy of {} differs in {table}", from.display())));
    }
    let bytes = sync(to)?;
    Ok(Copied { bytes, rows: found })
}

/// A connection to a file that others use: it reads, and leaves no trace beside the file.
struct Bystander<'p> {
    path: &'p Path,
    connection: Connection,
    /// What the file looked like, where nobody had it open: then it is taken as it is, without a log.
    still: Option<Looks>,
}

/// When it was changed last, and its length.
type Looks = (SystemTime, u64);

impl<'p> Bystander<'p> {
    fn open(path: &'p Path) -> Result<Self> {
        let still = still(path);
        let opened = if still.is_some() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(uri(path), flags)
        } else {
            // The log is there because somebody has the file open, or was cut off: it is theirs to empty and to remove. A
            // last connection would remove by its name what may be another file by then, of a day that was sealed meanwhile.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags).and_then(|connection| {
                connection.busy_timeout(BUSY_TIMEOUT)?;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                connection.pragma_update(None, "query_only", true)?;
                Ok(connection)
            })
        };
        let connection = opened.map_err(|error| of_file(error, path))?;
        Ok(Self { path, connection, still })
    }

    /// Says whether what was read was of one moment.
    fn close(self) -> Result<bool> {
        let Self { path, connection, still: before } = self;
        connection.close().map_err(|(_, error)| of_file(error, path))?;
        Ok(before.is_none() || still(path) == before)
    }
}

/// What a database looks like that nobody has open: one in WAL mode has a log beside it while somebody has, one in another
/// mode a journal while somebody writes.
fn still(path: &Path) -> Option<Looks> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    let file = fs::metadata(path).ok().filter(|_| !beside("-wal") && !beside("-journal"))?;
    Some((file.modified().ok()?, file.len()))
}

/// A file that nobody changes, as SQLite wants to be told of it.
fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            // A text takes all that is written to it.
            other => drop(write!(uri, "%{other:02X}")),
        }
    }
    uri + "?mode=ro&immutable=1"
}

fn copy_pages(original: &Connection, to: &Path, cancel: &Cancel, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let mut copy = Connection::open(to).map_err(|error| of_file(error, to))?;
    // What is not finished is of no use: no need to journal it, and it is put on disk below.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")?;
    let page_bytes: i64 = original.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let page_bytes = page_bytes.cast_unsigned().max(512);
    let pages = i32::try_from(STEP_BYTES / page_bytes).unwrap_or(1).max(1);
    let file = File::open(to).map_err(|error| Error::of_io(format!("{} cannot be read", to.display()), &error))?;
    let backup = Backup::new(original, &mut copy)?;
    let mut unsynced = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the copy was cancelled"));
        }
        let begun = Instant::now();
        let step = backup.step(pages).map_err(|error| of_file(error, to))?;
        let now = backup.progress();
        let bytes = |pages: i32| u64::from(pages.max(0).unsigned_abs()) * page_bytes;
        progress(bytes(now.pagecount - now.remaining), bytes(now.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => unsynced += STEP_BYTES,
            // Another process has the original to itself for a moment.
            _ => thread::sleep(MAX_PAUSE),
        }
        if unsynced >= SYNC_BYTES {
            file.sync_data().map_err(|error| Error::of_io(format!("{} cannot be written", to.display()), &error))?;
            unsynced = 0;
        }
        thread::sleep((begun.elapsed() * PAUSE_FOR_WORK).min(MAX_PAUSE));
    }
    drop(backup);
    copy.close().map_err(|(_, error)| of_file(error, to))
}

/// Has the copy be one file: it says of itself that it has a log, as the original has.
fn settle(copy: &Path) -> Result<()> {
    let connection = Connection::open(copy)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(Error::new(ErrorKind::Internal, format!("{} cannot be made one file", copy.display())));
    }
    connection.close().map_err(|(_, error)| error.into())
}

/// Puts a file and its name on disk, and gives its length.
fn sync(path: &Path) -> Result<u64> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(path).and_then(|file| {
        file.sync_all()?;
        File::open(parent)?.sync_all()?;
        Ok(file.metadata()?.len())
    });
    synced.map_err(|error| Error::of_io(format!("{} cannot be put on disk", path.display()), &error))
}

/// Reads a whole database, whoever uses it, and gives the rows of each table.
///
/// # Errors
/// `Corrupt` with the first thing that is wrong.
pub fn verify_database(path: &Path) -> Result<BTreeMap<String, u64>> {
    let database = Bystander::open(path)?;
    let checked = database.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    let checked = checked.map_err(|error| of_file(error, path));
    let rows = rows(&database.connection).map_err(|error| of_file(error, path));
    if !database.close()? {
        // Somebody began to write meanwhile: what was found may be of two moments.
        return verify_database(path);
    }
    let found = checked?;
    if found != "ok" {
        return Err(Error::new(ErrorKind::Corrupt, format!("{} is damaged: {found}", path.display())));
    }
    rows
}

/// The rows of each table that holds some itself.
fn rows(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name",
    )?;
    let tables = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let count = |table: String| {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
        connection.query_row(&sql, [], |row| Ok((table, row.get::<_, i64>(0)?.cast_unsigned())))
    };
    tables.into_iter().map(count).collect()
}

fn of_file(error: rusqlite::Error, path: &Path) -> Error {
    Error::from(error).in_front(&path.display().to_string())
}

impl Engine {
    /// Copies the database as it is now into the new file `to`; see [`copy_database`]. Writers and readers go on.
    pub fn backup_to(&self, to: &Path, cancel: &Cancel, progress: &mut dyn FnMut(u64, u64)) -> Result<Copied> {
        if self.is_closed() {
            return Err(Error::closed());
        }
        let copied = copy_database(self.path(), to, cancel, progress)?;
        self.note_backup();
        Ok(copied)
    }
}
