//! The follower: keeps pages, remembers how far it is, and lets go of the file when it has caught up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use duckdb::{Connection, params};
use tallybook_core::shape::Shape;
use tallybook_core::{Changes, Cursor, Error, ErrorKind, Follower, Following, Result, StoreId};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::error::failed;
use crate::file::{NotOpen, OPENING, Stamp, open_to_write};
use crate::page;
use crate::schema::{self, FINGERPRINT, STATE};

pub(crate) const FOLLOWING: &str = "following a primary into DuckDB";
/// Whoever reads the file keeps it for so long at most, until that counts as a failure.
const HELD_MAX: Duration = Duration::from_secs(60);
/// The same for the first look at it: whoever waits for that, such as the start of a server, is not kept from going on.
const HELD_AT_FIRST_MAX: Duration = Duration::from_secs(1);
/// The time between two tries.
const HELD_LOOK: Duration = Duration::from_millis(50);

/// A DuckDB file that follows a primary.
pub struct DuckDbMirror {
    place: PathBuf,
    version: String,
    file: Arc<Mutex<File>>,
}

/// The file, open or not.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    open: Option<Connection>,
    /// What was known when it was closed, and how to tell whether that still holds.
    left: Option<(Stamp, Option<Following>)>,
}

impl fmt::Debug for DuckDbMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuckDbMirror").field("place", &self.place).finish_non_exhaustive()
    }
}

impl DuckDbMirror {
    /// Makes the file with its tables and views if it is not there, and closes it until something is to be kept.
    ///
    /// # Errors
    /// One sentence: `Unavailable` where another process has the file, `Corrupt` where it is no DuckDB database.
    pub async fn open(path: &Path) -> Result<Self> {
        let file = File { path: path.to_owned(), open: None, left: None };
        let mut mirror = Self { place: path.to_owned(), version: String::new(), file: Arc::new(Mutex::new(file)) };
        mirror.version = mirror
            .in_file_within(HELD_AT_FIRST_MAX, |file| {
                let version = file.connection()?.version().map_err(|failure| failed(OPENING, &failure))?;
                file.close();
                Ok(version.trim_start_matches('v').to_owned())
            })
            .await?;
        Ok(mirror)
    }

    /// Runs `work` with the file open, on a thread that may block. A failure closes it: what DuckDB holds in memory is
    /// worth nothing then, and what it has on disk is whole.
    pub(crate) async fn in_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.in_file_within(HELD_MAX, work).await
    }

    async fn in_file_within<T: Send + 'static>(
        &self,
        held_max: Duration,
        work: impl FnOnce(&mut File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut file = self.file.clone().lock_owned().await;
        loop {
            let opened;
            (file, opened) = blocking(file, File::open).await?;
            match opened {
                Ok(()) => break,
                Err(NotOpen::Held(_)) if begun.elapsed() < held_max => sleep(HELD_LOOK).await,
                Err(reason) => return Err(reason.into_error(&self.place)),
            }
        }
        let (_, done) = blocking(file, move |file| {
            let done = work(file);
            if done.is_err() {
                file.open = None;
            }
            done
        })
        .await?;
        done
    }
}

async fn blocking<T: Send + 'static>(
    mut file: OwnedMutexGuard<File>,
    work: impl FnOnce(&mut File) -> T + Send + 'static,
) -> Result<(OwnedMutexGuard<File>, T)> {
    let done = spawn_blocking(move || {
        let done = work(&mut file);
        (file, done)
    });
    let lost =
        |error| Error::new(ErrorKind::Internal, FOLLOWING, "the thread that had the file is gone").with_source(error);
    done.await.map_err(lost)
}

impl File {
    fn open(&mut self) -> Result<(), NotOpen> {
        if self.open.is_none() {
            self.left = None;
            let connection = open_to_write(&self.path)?;
            make(&connection).map_err(|failure| NotOpen::Failed(failed(OPENING, &failure)))?;
            self.open = Some(connection);
        }
        Ok(())
    }

    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.open.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, FOLLOWING, "the file is not open"))
    }

    /// Others can read it from here on; everything is in the file itself, not in its log.
    fn close(&mut self) {
        let Some(connection) = self.open.take() else { return };
        let known = following(&connection);
        drop(connection);
        self.left = Stamp::of(&self.path).zip(known.ok());
    }

    /// Where `primary` is followed from, if the file is as it was when it was closed.
    fn cursor_as_left(&self, primary: StoreId) -> Option<Result<Cursor>> {
        let (stamp, known) = self.left.as_ref().filter(|_| self.open.is_none())?;
        (Stamp::of(&self.path).as_ref() == Some(stamp)).then(|| resume(known.clone(), primary))
    }

    /// Does all of it or nothing, on a connection that is thrown away where that fails.
    fn in_transaction<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection()?;
        let run = |sql| connection.execute_batch(sql).map_err(|failure| failed(FOLLOWING, &failure));
        run("BEGIN TRANSACTION")?;
        let done = work(connection)?;
        run("COMMIT")?;
        Ok(done)
    }
}

/// Makes the tables, unless they are there as they should be. Others are thrown away: everything is in the primary.
fn make(connection: &Connection) -> duckdb::Result<()> {
    let tables = |name: &str| {
        let sql = "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary \
                   AND schema_name = 'main' AND (table_name = ?1 OR ?1 = '' AND ends_with(table_name, '_raw'))";
        connection.query_row(sql, [name], |row| row.get::<_, u64>(0))
    };
    if tables(STATE)? == 1 && tables("")? >= Shape::all().count() as u64 {
        let schemas = format!("SELECT count(*) FROM {STATE} WHERE schema = ?");
        let same = connection.query_row(&schemas, [FINGERPRINT.as_str()], |row| row.get::<_, u64>(0));
        if same.is_ok_and(|rows| rows == 1) {
            return Ok(());
        }
    }
    connection.execute_batch("BEGIN TRANSACTION")?;
    make_anew(connection)?;
    connection.execute_batch("COMMIT")
}

fn make_anew(connection: &Connection) -> duckdb::Result<()> {
    for statement in schema::drop().into_iter().chain(schema::create()) {
        connection.execute_batch(&statement)?;
    }
    connection.execute(&format!("INSERT INTO {STATE} VALUES (NULL, NULL, ?)"), [FINGERPRINT.as_str()])?;
    Ok(())
}

fn following(connection: &Connection) -> Result<Option<Following>> {
    let sql = format!("SELECT primary_id, cursor FROM {STATE}");
    let columns = |row: &duckdb::Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?));
    let kept = connection.query_row(&sql, [], columns).map_err(|failure| failed(FOLLOWING, &failure))?;
    let (Some(primary), Some(cursor)) = kept else { return Ok(None) };
    Ok(Some(Following { primary: primary.parse()?, cursor: Cursor(cursor.into()) }))
}

fn remember(connection: &Connection, primary: StoreId, cursor: &Cursor) -> Result<()> {
    let sql = format!("UPDATE {STATE} SET primary_id = ?, cursor = ?");
    let kept = connection.execute(&sql, params![primary.to_string(), cursor.0.as_ref()]);
    kept.map(drop).map_err(|failure| failed(FOLLOWING, &failure))
}

/// The rows are in the transaction of the cursor, so without a cursor there are none.
fn resume(known: Option<Following>, primary: StoreId) -> Result<Cursor> {
    Following::resume(known, None, true, primary)
}

#[async_trait]
impl Follower for DuckDbMirror {
    fn describe(&self) -> String {
        format!("DuckDB {} in {}", self.version, self.place.display())
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        let was_open = {
            let file = self.file.lock().await;
            if let Some(cursor) = file.cursor_as_left(primary) {
                return cursor;
            }
            file.open.is_some()
        };
        let known = self.in_file(move |file| {
            // Somebody has removed it; what is open is a file that no one can find any more.
            if Stamp::of(&file.path).is_none() {
                file.open = None;
                file.open().map_err(|reason| reason.into_error(&file.path))?;
            }
            let known = following(file.connection()?)?;
            if !was_open {
                // There may be nothing to keep.
                file.close();
            }
            Ok(known)
        });
        resume(known.await?, primary)
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        let from = from.clone();
        self.in_file(move |file| {
            let checked = resume(following(file.connection()?)?, primary);
            let kept = checked.and_then(|kept| Following::check(&kept, &from));
            if let Err(error) = kept {
                file.close();
                return Err(error);
            }
            file.in_transaction(|connection| {
                page::keep(connection, &page)?;
                remember(connection, primary, &page.next)
            })?;
            if !page.more {
                file.close();
            }
            Ok(())
        })
        .await
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        self.in_file(move |file| {
            file.in_transaction(|connection| {
                make_anew(connection).map_err(|failure| failed(FOLLOWING, &failure))?;
                remember(connection, primary, &Cursor::START)
            })?;
            file.close();
            Ok(())
        })
        .await
    }

    async fn release(&self) -> Result<()> {
        blocking(self.file.clone().lock_owned().await, File::close).await.map(drop)
    }
}
