//! The spool: what runs do, on disk before it is anywhere else.
//!
//! A run appends its events to a file of its own in `DATA_DIR/spool`, which it locks while it lives. Whoever holds the store
//! (a server, or the run itself) reads the file and takes the events over; the file is removed once the last event is in the
//! store. So there is one way for every event, whether or not a server is there, near or far.

mod adopt;
mod frame;
mod read;
mod refused;
mod write;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tallybook_core::Execution;

pub use adopt::{Adopted, adopt};
pub use read::SpoolReader;
pub use refused::{Aside, RefusedSpool};
pub(crate) use write::{SpoolWriter, Stored};

const EXTENSION: &str = "spool";

/// The folder of all spools.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// The spools of a data folder; the folder is made with the first of them.
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("spool") }
    }

    /// The executions whose events lie here.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn ids(&self) -> io::Result<Vec<String>> {
        self.ids_of(EXTENSION)
    }

    /// The executions that have a file of this kind.
    fn ids_of(&self, kind: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == kind)
                && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
                && Execution::id_defect(id).is_none()
            {
                ids.push(id.to_owned());
            }
        }
        // Identifiers of version 7: the oldest first.
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether events of this execution lie here.
    pub fn has(&self, id: &str) -> bool {
        self.file(id).exists()
    }

    /// Removes what is taken over.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        for path in [self.cancel_file(id), self.file(id)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the run of this execution could begin to spool now; leaves nothing behind.
    ///
    /// # Errors
    /// When there is no room for a spool, or none can be written.
    pub fn try_out(&self, id: &str) -> io::Result<()> {
        SpoolWriter::try_out(self, id)
    }

    /// Asks a run to end.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub fn ask_to_cancel(&self, id: &str) -> io::Result<()> {
        File::create(self.cancel_file(id)).map(drop)
    }

    /// Whether a run was asked to end.
    pub fn is_asked_to_cancel(&self, id: &str) -> bool {
        self.cancel_file(id).exists()
    }

    /// Changes the time of the folder, so that whoever looks at that comes at once.
    pub(crate) fn knock(&self) {
        // Whoever does not hear it comes a moment later.
        let _ = File::open(&self.folder).and_then(|folder| folder.set_modified(SystemTime::now()));
    }

    /// When a spool came, went or knocked last; `None` where there is no folder.
    pub fn changed_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.folder).and_then(|metadata| metadata.modified()).ok()
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }

    fn cancel_file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.cancel"))
    }
}

#[cfg(test)]
mod tests;
