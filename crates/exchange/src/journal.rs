//! How far an import has come, on disk: one that was cut off goes on there. Only a help: the store itself takes no record twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tallybook_core::{Timestamp, hash_bytes};

use crate::{FileError, InputFile};

/// The shortest time between two notes.
const EVERY: Duration = Duration::from_millis(200);

/// How much of a file is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its size and the time of its last change: another file under the same name is another file.
    bytes: u64,
    modified: u64,
    /// Whether all of it is.
    pub whole: bool,
    /// Records, good and bad, from its beginning on.
    pub items: u64,
    /// The last one of them: its name, time and number. Where the store does not hold it, it is not the store of before.
    pub last: Option<(String, Timestamp, u64)>,
}

impl Done {
    /// So many records of a file, up to the `last`, or all of them.
    pub fn new(items: u64, last: Option<(String, Timestamp, u64)>, whole: bool) -> Self {
        Self { whole, items, last, ..Self::default() }
    }
}

/// What is done of an import.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    files: BTreeMap<String, Done>,
    noted: Instant,
}

impl Journal {
    /// The journal of an import of these files to `destination`, in the folder `imports` of `data_dir`.
    pub fn open(data_dir: &Path, destination: &str, files: &[InputFile]) -> Self {
        let mut identity = destination.to_owned();
        for file in files {
            identity.push('\0');
            identity.push_str(&name_of(file));
        }
        let path = data_dir.join("imports").join(format!("{:016x}.json", hash_bytes(identity.as_bytes())));
        // One that cannot be read is none: everything is read again, and changes nothing.
        let files = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path, files, noted: Instant::now() }
    }

    /// Whether an import was cut off.
    pub fn is_continued(&self) -> bool {
        !self.files.is_empty()
    }

    /// What is done of a file, if it is the same as then.
    pub fn done(&self, file: &InputFile) -> Option<&Done> {
        self.files.get(&name_of(file)).filter(|done| (done.bytes, done.modified) == (file.bytes, file.modified))
    }

    /// Forgets what was done.
    pub fn begin_again(&mut self) {
        self.files.clear();
    }

    /// Notes what is done of a file; writes it down now and then.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&mut self, file: &InputFile, done: Done) -> Result<(), FileError> {
        self.files.insert(name_of(file), Done { bytes: file.bytes, modified: file.modified, ..done });
        if self.noted.elapsed() >= EVERY {
            self.write().map_err(|error| FileError::because(&self.path, "the progress cannot be noted", error))?;
        }
        Ok(())
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.noted = Instant::now();
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.files)?)?;
        fs::rename(&new, &self.path)
    }

    /// The import is at its end: the next one reads everything.
    ///
    /// # Errors
    /// The journal cannot be removed.
    pub fn finish(self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::because(&self.path, "it cannot be removed", error))
            }
            _ => Ok(()),
        }
    }
}

fn name_of(file: &InputFile) -> String {
    let path = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
    path.to_string_lossy().into_owned()
}
