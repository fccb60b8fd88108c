//! A clock that a test sets, for the programs it starts: the time of day steps, and what counts from the start of the machine
//! does not.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// How far the clock is from the true one, which is read anew for each question.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Clock {
    /// A clock that is right.
    ///
    /// # Errors
    /// When libfaketime is not there.
    pub fn new() -> Result<Self> {
        let clock = Self { folder: tempfile::tempdir()?, library: library()? };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it to the true time and so many seconds.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // By a rename: nobody reads half of it.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}"))?;
        Ok(fs::rename(new, self.file())?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// What a program needs to have this clock, as variables of its environment.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

/// The one of Debian, for programs with threads.
fn library() -> Result<PathBuf> {
    let architectures = fs::read_dir("/usr/lib")?.flatten();
    let mut libraries = architectures.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|path| path.exists()).context("libfaketime is not there; `cargo xtask setup` installs it")
}
