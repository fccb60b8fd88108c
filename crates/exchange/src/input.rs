//! The files that are read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::{FileError, FileKind, is_partial};

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its size as it lies there.
    pub bytes: u64,
    /// When it was changed, in nanoseconds since 1970; 0 where the file system does not say.
    pub modified: u64,
}

/// The files that `paths` name: each one itself, of a folder all in it and below it whose names say what they are, in the order
/// of their names. `kind` is what all of them are, where that is known better.
///
/// # Errors
/// There is no such file, or its name does not say what it is.
pub fn find(paths: &[PathBuf], kind: Option<FileKind>) -> Result<Vec<InputFile>, FileError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| FileError::because(path, "it cannot be read", error))?;
        if metadata.is_dir() {
            add_folder(path, kind, &mut files)?;
            continue;
        }
        let Some(kind) = kind.or_else(|| FileKind::of(path)) else {
            let what = "its name does not say what it is; say it with --format (csv, ndjson, json, parquet, sqlite), or \
                        call it .csv, .ndjson, .json, .parquet or .db, with .gz or .zst behind it";
            return Err(FileError::new(path, what));
        };
        files.push(file(path, kind, &metadata));
    }
    Ok(files)
}

fn add_folder(folder: &Path, kind: Option<FileKind>, files: &mut Vec<InputFile>) -> Result<(), FileError> {
    let unreadable = |error| FileError::because(folder, "the folder cannot be read", error);
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || is_partial(&path) {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|error| FileError::because(&path, "it cannot be read", error))?;
        if metadata.is_dir() {
            add_folder(&path, kind, files)?;
        } else if let Some(known) = FileKind::of(&path) {
            files.push(file(&path, kind.unwrap_or(known), &metadata));
        }
    }
    Ok(())
}

fn file(path: &Path, kind: FileKind, metadata: &fs::Metadata) -> InputFile {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    InputFile { path: path.to_owned(), kind, bytes: metadata.len(), modified }
}
