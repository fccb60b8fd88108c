//! The named databases: small SQLite databases of others, each an engine of its own that is opened when it is asked for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tallybook_sqlite::{Access, Engine, Error, ErrorKind, Options, Result};

/// Databases that are open at the same time; the one that was not used for the longest time is closed for another.
const MAX_OPEN: usize = 64;
const MAX_NAME_BYTES: usize = 64;
/// Reads of one database at the same time.
const READERS: usize = 2;
const MAX_WAITING: usize = 256;
const MAX_ANSWER_BYTES: usize = 64 << 20;
const CACHE_KIB: i64 = 2 * 1024;

/// The databases in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Databases {
    folder: Arc<PathBuf>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    engines: HashMap<String, (Engine, u64)>,
    /// Rises with each use.
    used: u64,
    closed: bool,
}

impl Databases {
    /// The folder is made when the first database is.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder: Arc::new(folder), open: Arc::default() }
    }

    /// The engine of a database; `None` where there is none of that name, unless `make` says to make it. Blocks.
    ///
    /// # Errors
    /// `Statement` for a name that cannot be.
    pub(crate) fn get(&self, name: &str, make: bool) -> Result<Option<Engine>> {
        if !is_name(name) {
            let context =
                "a database is named with a to z, 0 to 9, _ and -, a letter or digit first, at most 64 of them";
            return Err(Error::new(ErrorKind::Statement, context));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.closed {
            return Err(Error::new(ErrorKind::Closed, "the server is stopping"));
        }
        open.used += 1;
        let used = open.used;
        if let Some((engine, last)) = open.engines.get_mut(name) {
            *last = used;
            return Ok(Some(engine.clone()));
        }
        let path = self.folder.join(format!("{name}.db"));
        if !make && !path.exists() {
            return Ok(None);
        }
        std::fs::create_dir_all(&*self.folder)
            .map_err(|error| Error::of_io(format!("{} cannot be made", self.folder.display()), &error))?;
        if open.engines.len() >= MAX_OPEN
            && let Some(oldest) = open.engines.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
        {
            // Whoever still uses it has a handle of its own; the last one of them closes it.
            open.engines.remove(&oldest);
        }
        let engine = Engine::open(&path, options())?;
        open.engines.insert(name.to_owned(), (engine.clone(), used));
        Ok(Some(engine))
    }

    /// Puts everything on disk and closes all. Blocks.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.closed = true;
        for (name, (engine, _)) in open.engines.drain() {
            if let Err(error) = engine.shutdown() {
                tracing::error!(%error, name, "a database could not be closed well");
            }
        }
    }
}

fn options() -> Options {
    Options {
        readers: READERS,
        // A database that was closed for another one may be in use for a moment longer: the lock tells.
        lock_note: Some("tallybook serve".to_owned()),
        max_waiting: MAX_WAITING,
        max_bytes: MAX_ANSWER_BYTES,
        access: Access::Sandboxed,
        writer_cache_kib: CACHE_KIB,
        reader_cache_kib: CACHE_KIB,
        ..Options::default()
    }
}

/// What is safe as the name of a file, on any file system.
fn is_name(name: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    name.len() <= MAX_NAME_BYTES
        && name.bytes().all(right)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["notes", "a", "0-a_b"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(65);
        for name in ["", ".", "..", "../x", "a/b", "a.db", "A", "-x", "_x", "x\0", "a b", "naïve", "x';--", &long] {
            assert!(!is_name(name), "{name}");
            let databases = Databases::new(PathBuf::from("/nonexistent"));
            assert_eq!(databases.get(name, true).unwrap_err().kind(), ErrorKind::Statement);
        }
    }

    #[test]
    fn the_one_that_was_not_used_for_the_longest_time_is_closed_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::new(folder.path().join("databases"));
        assert!(databases.get("missing", false).unwrap().is_none());
        for number in 0..=MAX_OPEN {
            let engine = databases.get(&format!("n{number}"), true).unwrap().unwrap();
            engine.execute("CREATE TABLE IF NOT EXISTS t (x)", ()).unwrap();
        }
        assert_eq!(databases.open.lock().unwrap().engines.len(), MAX_OPEN);
        let again = databases.get("n0", false).unwrap().unwrap();
        assert_eq!(again.query("SELECT count(*) FROM t", ()).unwrap().rows.len(), 1);
        databases.close();
        assert!(again.is_closed() && databases.get("n0", false).is_err());
    }
}
