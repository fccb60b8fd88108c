//! What is in a backup: the file `manifest.json`, written last.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tallybook_core::Timestamp;

use crate::files::Sum;
use crate::{Error, Result};

pub(crate) const FILE: &str = "manifest.json";
/// The form of a manifest. A greater one is of a newer Tallybook.
const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub format: u32,
    /// The Tallybook that took it.
    pub version: String,
    /// The moment it was begun, as RFC 3339.
    pub taken_at: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What is in it, by path.
    pub files: Vec<Entry>,
    /// Files that were in it, and are not kept as long as the others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub let_go: usize,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the data folder, with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of it, once restored.
    pub bytes: u64,
    /// SHA-256 of it, once restored, in hexadecimal digits.
    pub sha256: String,
    /// Whether it lies in the backup compressed, as `path` with `.zst`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compressed: bool,
    /// Bytes of the file in the backup.
    pub stored_bytes: u64,
    /// Whether it was unchanged since the backup before, and is one file with that one's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
    /// Rows of each table of a database.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
    /// What the original looked like, where it can be told later whether it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
}

/// What a file is, and so how it is copied and looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A SQLite database, copied as it is at one moment.
    Database,
    /// A file that is written once.
    File,
    /// What `pg_dump` makes of a PostgreSQL database.
    PostgresDump,
}

/// What tells a changed file from an unchanged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Its length.
    pub bytes: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Manifest {
    pub(crate) fn new(taken_at: Timestamp, begun: Instant, files: Vec<Entry>) -> Self {
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, version, taken_at: taken_at.to_string(), took_ms, files, let_go: 0 }
    }

    /// Reads a manifest, whoever wrote it: no path in it leads out of a folder.
    pub(crate) fn read(text: &[u8], place: &str) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|error| Error::corrupt(format!("the manifest of {place} cannot be read: {error}")))?;
        if manifest.format > FORMAT {
            return Err(Error::corrupt(format!(
                "{place} was made by a newer Tallybook ({}); use that one",
                manifest.version
            )));
        }
        if let Some(entry) = manifest.files.iter().find(|entry| !is_inside(&entry.path)) {
            return Err(Error::corrupt(format!(
                "the manifest of {place} names `{}`, which leads out of it",
                entry.path
            )));
        }
        manifest.taken_at()?;
        Ok(manifest)
    }

    /// As it is written.
    pub(crate) fn text(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| Error::corrupt(error.to_string()))
    }

    /// The moment it was begun.
    pub fn taken_at(&self) -> Result<Timestamp> {
        let refused = || Error::corrupt(format!("`{}` in a manifest is not a time", self.taken_at));
        Timestamp::parse(&self.taken_at).ok_or_else(refused)
    }

    /// Bytes of everything, once restored.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// Bytes that this backup takes by itself: without what it shares with the one before.
    pub fn own_bytes(&self) -> u64 {
        self.files.iter().filter(|entry| !entry.linked).map(|entry| entry.stored_bytes).sum()
    }
}

impl Entry {
    /// A file as it is, with nothing that is known of its original.
    pub(crate) fn new(path: &str, kind: Kind, sum: Sum) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            bytes: sum.bytes,
            sha256: sum.sha256,
            compressed: false,
            stored_bytes: 0,
            linked: false,
            rows: BTreeMap::new(),
            original: None,
        }
    }

    /// Its path in the backup.
    pub(crate) fn stored_path(&self) -> String {
        if self.compressed { format!("{}.zst", self.path) } else { self.path.clone() }
    }
}

/// What is not so is not written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_leads_out_of_its_folder_is_refused() {
        for path in ["/etc/passwd", "../x", "a/../../x", ""] {
            let text = format!(
                r#"{{"format": 1, "version": "0", "taken_at": "2026-11-26T00:00:00Z", "took_ms": 1, "files": [
                    {{"path": "{path}", "kind": "file", "bytes": 1, "sha256": "", "stored_bytes": 1}}]}}"#
            );
            let error = Manifest::read(text.as_bytes(), "here").unwrap_err();
            assert!(error.to_string().contains("leads out of it"), "{error}");
        }
    }

    #[test]
    fn a_manifest_of_another_form_is_refused() {
        for text in ["", "{}", "[]", r#"{"format": 2, "version": "9", "taken_at": "x", "took_ms": 1, "files": []}"#] {
            assert_eq!(
                Manifest::read(text.as_bytes(), "here").unwrap_err().kind(),
                tallybook_sqlite::ErrorKind::Corrupt
            );
        }
    }
}
