//! Gives free pages back, empties logs, and has SQLite look at how its tables grew.

use std::fs;
use std::path::{Path, PathBuf};

use tallybook_sqlite::{Engine, Error, FolderLock, Options, Result, rusqlite::Connection};

use crate::databases::named;

/// What became of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optimized {
    /// The file.
    pub path: PathBuf,
    /// Its length before, with its log.
    pub before_bytes: u64,
    /// Its length after, with its log.
    pub after_bytes: u64,
}

/// Looks after the main database and those of others. `progress` gets each file, its place and their number.
///
/// # Errors
/// `Busy` when a process works in the folder: it does the same by itself when it is idle.
pub fn optimize(data_dir: &Path, progress: &mut dyn FnMut(&Path, usize, usize)) -> Result<Vec<Optimized>> {
    let main = data_dir.join("tallybook.db");
    if !main.exists() {
        let context = format!("there is no {}; name the data folder with DATA_DIR", main.display());
        return Err(Error::new(tallybook_sqlite::ErrorKind::Statement, context));
    }
    let _alone = FolderLock::take(&main, "tallybook optimize")?;
    let mut all = vec![main];
    all.extend(named(data_dir));
    let count = all.len();
    let mut done = Vec::new();
    for (place, path) in all.into_iter().enumerate() {
        progress(&path, place, count);
        let before_bytes = bytes(&path);
        // The main one has the statistics that its migrations gave it: its lists are tested with them.
        one(&path, place > 0)?;
        done.push(Optimized { before_bytes, after_bytes: bytes(&path), path });
    }
    Ok(done)
}

fn one(path: &Path, statistics: bool) -> Result<()> {
    let engine = Engine::open(path, Options { lock_note: None, ..Options::default() })?;
    let work = move |connection: &mut Connection| {
        if statistics {
            connection.execute_batch("PRAGMA optimize = 0x10002")?;
        }
        let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        Ok::<_, tallybook_sqlite::rusqlite::Error>(())
    };
    engine.write(work)??;
    engine.checkpoint()?;
    engine.shutdown()
}

fn bytes(database: &Path) -> u64 {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    length(database) + length(Path::new(&log))
}
