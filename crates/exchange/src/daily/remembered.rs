//! What a run says of its files to the next one, in a file beside them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tallybook_core::Timestamp;

const NAME: &str = ".tallybook-daily.json";

/// Which files may not be whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Days that this run adds to: should it die, what it was about to add is missing.
    pub(super) open: BTreeSet<Timestamp>,
    /// Days whose files are not whole.
    pub(super) behind: BTreeSet<Timestamp>,
}

impl Remembered {
    /// What the last run said; `None` where there was none.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(path(folder)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts it on disk.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let path = path(folder);
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(folder)?.sync_all()
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
