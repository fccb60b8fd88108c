//! The one error of this crate: what happened to which file.

use std::error::Error;
use std::path::{Path, PathBuf};

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct FileError {
    path: PathBuf,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl FileError {
    pub(crate) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into(), source: None }
    }

    /// What was being done, and the error underneath.
    pub(crate) fn because(path: &Path, what: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(path, what) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
