//! One process per data folder: a lock file beside the database says who it is.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::{Error, ErrorKind, Result};
use fs4::fs_std::FileExt as _;

/// Holds the folder until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "held, not read: closing the file lets go of the lock")] File);

impl FolderLock {
    /// Takes the lock beside `database` and writes the process id and `note` into it.
    ///
    /// # Errors
    /// `Busy` when another process has it, or the folder cannot be written to.
    pub fn take(database: &Path, note: &str) -> Result<Self> {
        let path = database.with_extension("lock");
        let folder = path.parent().unwrap_or(Path::new(".")).display().to_string();
        let unwritable = |error: std::io::Error| {
            let context = match error.kind() {
                std::io::ErrorKind::StorageFull => format!("the disk is full; make room for the data folder {folder}"),
                _ => format!("the data folder {folder} cannot be written to; make it writable or choose another one"),
            };
            Error::of_io(context, &error)
        };
        // Not truncated: until the lock is ours, what it says is another process's.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unwritable)?;
        if !file.try_lock_exclusive().map_err(unwritable)? {
            return Err(Error::new(ErrorKind::Busy, held(&mut file, &folder)));
        }
        file.set_len(0).map_err(unwritable)?;
        write!(file, "{}\n{note}\n", std::process::id()).map_err(unwritable)?;
        Ok(Self(file))
    }
}

fn held(file: &mut File, folder: &str) -> String {
    let mut content = String::new();
    // Where it cannot be read, the sentence does without.
    let _ = file.read_to_string(&mut content);
    let mut lines = content.lines().filter(|line| !line.is_empty());
    let holder = match (lines.next(), lines.next()) {
        (Some(pid), Some(note)) => format!("process {pid} ({note})"),
        (Some(pid), None) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    format!("{holder} uses the data folder {folder}; stop it, or choose another folder for this one")
}
