//! Putting a backup back: looked at first, and never over anything.

use std::fs;
use std::path::{Path, PathBuf};

use tallybook_sqlite::{ErrorKind, FolderLock, verify_database};

use crate::manifest::{Entry, Kind};
use crate::source::RESTORED;
use crate::target::Found;
use crate::{Error, Progress, Result, files};

/// Where a restore works, in the folder it restores to.
const STAGING: &str = ".restoring";

/// What a restore came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Files that were put back.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// Puts a backup into the data folder `to`, which is made if it is not there. Every file is compared with its checksum and
/// every database looked through before the first one gets its place; the main database gets its place last.
///
/// # Errors
/// Before anything has its place: `Statement` when the folder holds data already, `Busy` when somebody uses it, `Corrupt`
/// when the backup is not what it was.
pub fn restore(found: &Found, to: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Restored> {
    let manifest = found.manifest.clone()?;
    if manifest.files.iter().any(|entry| entry.kind == Kind::PostgresDump) {
        let context = format!("{} is of PostgreSQL; restore it with USE_DB=postgres", found.name);
        return Err(Error::new(ErrorKind::Statement, context));
    }
    fs::create_dir_all(to).map_err(Error::io(to, "made"))?;
    // No server may start in it meanwhile.
    let lock = FolderLock::take(&to.join("tallybook.db"), "tallybook restore")?;
    refuse_to_overwrite(to)?;
    let staging = Staging::new(to)?;
    let count = manifest.files.len();
    for (files_done, entry) in manifest.files.iter().enumerate() {
        let mut tell = |bytes_done| {
            let file = entry.path.clone();
            progress(Progress { file, files_done, files: count, bytes_done, bytes: entry.bytes });
        };
        tell(0);
        one(found, entry, &staging.0)?;
        tell(entry.bytes);
    }
    files::sync_folders(&staging.0)?;
    for name in RESTORED {
        let from = staging.0.join(name);
        if from.exists() {
            let place = to.join(name);
            fs::rename(&from, &place).map_err(Error::io(&place, "made"))?;
        }
    }
    files::sync_folder(to)?;
    drop(staging);
    drop(lock);
    Ok(Restored { files: count, bytes: manifest.bytes() })
}

fn refuse_to_overwrite(folder: &Path) -> Result<()> {
    let taken = RESTORED.iter().copied().chain(["tallybook.db-wal"]).find(|name| folder.join(name).exists());
    match taken {
        Some(taken) => {
            let context = format!(
                "{} has {taken} already, and a restore overwrites nothing; name another folder with --to, or move it away",
                folder.display()
            );
            Err(Error::new(ErrorKind::Statement, context))
        }
        None => Ok(()),
    }
}

fn one(found: &Found, entry: &Entry, staging: &Path) -> Result<()> {
    let to = staging.join(&entry.path);
    files::make_room_for(&to)?;
    let from = found.path.join(entry.stored_path());
    let sum = files::load(&from, entry.compressed, &to)?;
    if (sum.bytes, &sum.sha256) != (entry.bytes, &entry.sha256) {
        let context = format!("{} is not what was backed up; restore another backup with --at", from.display());
        return Err(Error::corrupt(context));
    }
    if entry.kind == Kind::Database && verify_database(&to)? != entry.rows {
        return Err(Error::corrupt(format!("{} has other rows than were backed up", from.display())));
    }
    Ok(())
}

/// Removed when it is dropped: what is still in it was not restored.
struct Staging(PathBuf);

impl Staging {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(STAGING);
        if path.exists() {
            // Left by one that was cut off; nobody else is at it, since the folder is locked.
            fs::remove_dir_all(&path).map_err(Error::io(&path, "removed"))?;
        }
        fs::create_dir(&path).map_err(Error::io(&path, "made"))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "what a restore left behind could not be removed");
        }
    }
}
