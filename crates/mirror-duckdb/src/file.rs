//! Opening the file, and knowing it again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use duckdb::{AccessMode, Config, Connection};
use tallybook_core::{Error, ErrorKind};

use crate::error::{failed, held_by};

pub(crate) const OPENING: &str = "opening the DuckDB file";
/// What the mirror may use beside a server that has other things to do.
const MEMORY: &str = "1GiB";
const THREADS: i64 = 2;
/// What is written waits in the log of the file until it is so much.
const CHECKPOINT_AT: &str = "64MiB";

/// Why a file is not open.
#[derive(Debug)]
pub(crate) enum NotOpen {
    /// Somebody has it, who may let go of it.
    Held(String),
    Failed(Error),
}

impl NotOpen {
    pub(crate) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Held(who) => {
                let context = format!("{who} has {} open; it goes on as soon as that ends", path.display());
                Error::new(ErrorKind::Unavailable, OPENING, context)
            }
        }
    }
}

/// Opens the file to write; it is made if it is not there.
pub(crate) fn open_to_write(path: &Path) -> Result<Connection, NotOpen> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| {
            let context = format!("the folder {} cannot be made; choose another place", folder.display());
            NotOpen::Failed(Error::new(ErrorKind::Unavailable, OPENING, context).with_source(error))
        })?;
    }
    let config = base()
        .and_then(|config| config.threads(THREADS))
        .and_then(|config| config.max_memory(MEMORY))
        .and_then(|config| config.with("checkpoint_threshold", CHECKPOINT_AT))
        .and_then(|config| config.with("preserve_insertion_order", "false"));
    open(path, config)
}

/// Opens what is there, only to read.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, NotOpen> {
    open(path, base().and_then(|config| config.access_mode(AccessMode::ReadOnly)))
}

/// An empty database in memory, over which files can be read.
pub(crate) fn open_nothing() -> Result<Connection, NotOpen> {
    let opened = base().and_then(Connection::open_in_memory_with_flags);
    opened.map_err(|failure| NotOpen::Failed(failed(OPENING, &failure)))
}

/// Nothing is fetched from the network that nobody asked for.
fn base() -> duckdb::Result<Config> {
    Config::default().with("autoinstall_known_extensions", "false")
}

fn open(path: &Path, config: duckdb::Result<Config>) -> Result<Connection, NotOpen> {
    config.and_then(|config| Connection::open_with_flags(path, config)).map_err(|failure| match held_by(&failure) {
        Some(who) => NotOpen::Held(who),
        None => NotOpen::Failed(failed(OPENING, &failure)),
    })
}

/// Tells whether a file is as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

impl Stamp {
    /// Of the file and its log; `None` where there is no file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let of = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        let mut log = path.as_os_str().to_owned();
        log.push(".wal");
        Some(Self([Some(of(path)?), of(&PathBuf::from(log))]))
    }
}
