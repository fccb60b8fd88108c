//! What there is to back up in a data folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::manifest::{Kind, Original};
use crate::{Error, Result};

/// The main database, which comes first.
const MAIN: &str = "tallybook.db";
/// Folders that are backed up, and the kinds of files in them.
const FOLDERS: &[(&str, &[(&str, Kind)])] = &[
    ("ticks", &[("db", Kind::Database), ("parquet", Kind::File)]),
    ("databases", &[("db", Kind::Database)]),
    ("artifacts", &[]),
];
/// Everything a restore makes in a data folder.
pub(crate) const RESTORED: &[&str] = &["ticks", "databases", "artifacts", MAIN];
/// A file that was changed less than this ago may be changed again without its time telling.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// One file to back up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its path in the data folder, with `/`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

/// The name of a database of others, if that is what lies at a path of a data folder.
pub(crate) fn database_name(path: &str) -> Option<&str> {
    path.strip_prefix("databases/")?.strip_suffix(".db")
}

/// Everything in the data folder, the main database first.
pub(crate) fn list(data_dir: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    if data_dir.join(MAIN).exists() {
        sources.push(Source { path: MAIN.to_owned(), kind: Kind::Database });
    }
    for (folder, kinds) in FOLDERS {
        walk(&data_dir.join(folder), folder, kinds, &mut sources)?;
    }
    Ok(sources)
}

fn walk(folder: &Path, path: &str, kinds: &[(&str, Kind)], found: &mut Vec<Source>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(folder, "read"))?,
    };
    let mut children: Vec<PathBuf> = Vec::new();
    for entry in entries {
        children.push(entry.map_err(Error::io(folder, "read"))?.path());
    }
    children.sort();
    for child in children {
        let Some(name) = child.file_name().and_then(|name| name.to_str()) else { continue };
        let path = format!("{path}/{name}");
        // A link could lead anywhere.
        let Ok(metadata) = fs::symlink_metadata(&child) else { continue };
        if metadata.is_dir() {
            walk(&child, &path, kinds, found)?;
        } else if metadata.is_file() {
            let extension = child.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let kind = match kinds.iter().find(|(known, _)| *known == extension) {
                Some((_, kind)) => Some(*kind),
                None => kinds.is_empty().then_some(Kind::File),
            };
            found.extend(kind.map(|kind| Source { path, kind }));
        }
    }
    Ok(())
}

/// What a file looks like, where that tells whether it is changed later: not of a database with something in its log, and
/// not just after a change.
pub(crate) fn look(path: &Path, kind: Kind) -> Option<Original> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if kind == Kind::Database && fs::metadata(Path::new(&log)).is_ok_and(|log| log.len() > 0) {
        return None;
    }
    let metadata = fs::metadata(path).ok()?;
    let modified = metadata.modified().ok()?;
    let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED_AFTER);
    let modified = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    settled.then(|| Original {
        bytes: metadata.len(),
        modified_ns: i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX),
    })
}
