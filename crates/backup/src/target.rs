//! Where backups are kept: a folder that has one folder for each.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use tallybook_core::Timestamp;

use crate::manifest::{self, Kind, Manifest};
use crate::name::BackupName;
use crate::{Error, Result, files};

/// Behind the name of a backup that is being made.
const UNFINISHED: &str = ".unfinished";

/// A folder of backups.
#[derive(Clone, Debug)]
pub struct Target {
    folder: PathBuf,
}

/// A backup that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub name: BackupName,
    /// Where it is.
    pub path: PathBuf,
    /// What is in it, or why that cannot be said.
    pub manifest: Result<Manifest>,
}

impl Target {
    /// The folder need not be there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All backups, the newest first.
    pub fn list(&self) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = self
            .children()?
            .into_iter()
            .filter_map(|(name, path)| {
                let name = name.parse().ok()?;
                Some(Found { name, manifest: read_manifest(&path), path })
            })
            .collect();
        found.sort_by(|one, other| other.name.cmp(&one.name));
        Ok(found)
    }

    /// The newest backup that was begun at `at` or before; of those that can be read.
    pub fn newest(&self, at: Option<Timestamp>) -> Result<Option<(Found, Manifest)>> {
        for found in self.list()? {
            let Ok(manifest) = found.manifest.clone() else { continue };
            let taken_at = manifest.taken_at()?;
            if at.is_none_or(|at| taken_at <= at) {
                return Ok(Some((found, manifest)));
            }
        }
        Ok(None)
    }

    /// A folder of one's own, for a backup that has this time's name once it is finished.
    pub(crate) fn begin(&self, time: Timestamp) -> Result<Unfinished> {
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder, "made"))?;
        // Never one that was there and is gone: the name says which one is the newest.
        let names = self.children()?.into_iter().filter_map(|(name, _)| name_of(&name));
        let mut number = names.filter_map(|name| name.number_within(time)).max().unwrap_or(0) + 1;
        loop {
            let name = BackupName::new(time, number);
            let path = self.folder.join(format!(".{name}{UNFINISHED}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let unfinished = Unfinished { target: self.clone(), name: name.clone(), path, published: false };
                    // Looked at second: who finished meanwhile has let go of the first one.
                    if !self.folder.join(name.to_string()).exists() {
                        return Ok(unfinished);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "made")(error)),
            }
            number += 1;
        }
    }

    /// A folder of one's own, for a backup that has a name elsewhere already.
    pub(crate) fn begin_as(&self, name: &BackupName) -> Result<Unfinished> {
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder, "made"))?;
        let path = self.folder.join(format!(".{name}{UNFINISHED}"));
        fs::create_dir(&path).map_err(Error::io(&path, "made"))?;
        Ok(Unfinished { target: self.clone(), name: name.clone(), path, published: false })
    }

    /// Removes a backup. It loses its name first: half of one is none.
    pub(crate) fn remove(&self, found: &Found) -> Result<()> {
        let path = self.folder.join(format!(".{}{UNFINISHED}", found.name));
        fs::rename(&found.path, &path).map_err(Error::io(&found.path, "removed"))?;
        fs::remove_dir_all(&path).map_err(Error::io(&path, "removed"))
    }

    /// Removes what backups that were cut off left behind, `older_than` that moment.
    pub(crate) fn clear(&self, older_than: Timestamp) -> Result<()> {
        let limit = BackupName::new(older_than, 1);
        for (name, path) in self.children()? {
            if name.starts_with('.') && name_of(&name).is_some_and(|name| name < limit) {
                fs::remove_dir_all(&path).map_err(Error::io(&path, "removed"))?;
            }
        }
        Ok(())
    }

    fn children(&self) -> Result<Vec<(String, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io(&self.folder, "read"))?,
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io(&self.folder, "read"))?;
            if let Ok(name) = entry.file_name().into_string() {
                children.push((name, entry.path()));
            }
        }
        Ok(children)
    }
}

impl Found {
    /// Makes `stays` its manifest and removes every other file: also those that a removal left which was cut off.
    pub(crate) fn thin(&self, stays: &Manifest) -> Result<()> {
        let (file, new) = (self.path.join(manifest::FILE), self.path.join("manifest.new"));
        write_manifest(&new, stays)?;
        fs::rename(&new, &file).map_err(Error::io(&file, "written"))?;
        files::sync_folder(&self.path)?;
        let mut named: HashSet<PathBuf> = stays.files.iter().map(|entry| self.path.join(entry.stored_path())).collect();
        named.insert(file);
        files::remove_others(&self.path, &named)
    }

    /// Reads every file of it again, and compares it with its manifest; looks into databases as well.
    pub fn verify(&self) -> Result<Manifest> {
        let manifest = self.manifest.clone()?;
        for entry in &manifest.files {
            let path = self.path.join(entry.stored_path());
            let found = files::sum(&path, entry.compressed)?;
            if (found.bytes, &found.sha256) != (entry.bytes, &entry.sha256) {
                let context = format!("{} is not what was backed up; take another backup", path.display());
                return Err(Error::corrupt(context));
            }
            if entry.kind == Kind::Database && !entry.compressed {
                tallybook_sqlite::verify_database(&path)?;
            }
        }
        Ok(manifest)
    }
}

/// The name that a folder has, or will have once it is finished.
fn name_of(folder: &str) -> Option<BackupName> {
    folder.strip_prefix('.').and_then(|name| name.strip_suffix(UNFINISHED)).unwrap_or(folder).parse().ok()
}

/// On disk before it is done.
fn write_manifest(file: &Path, manifest: &Manifest) -> Result<()> {
    let text = manifest.text()?;
    let written = fs::write(file, text).and_then(|()| fs::File::open(file)?.sync_all());
    written.map_err(Error::io(file, "written"))
}

fn read_manifest(backup: &Path) -> Result<Manifest> {
    let path = backup.join(manifest::FILE);
    let text = fs::read(&path).map_err(Error::io(&path, "read"))?;
    Manifest::read(&text, &backup.display().to_string())
}

/// A backup that is being made; removed when it is dropped before it was published.
#[derive(Debug)]
pub(crate) struct Unfinished {
    target: Target,
    pub(crate) name: BackupName,
    pub(crate) path: PathBuf,
    published: bool,
}

impl Unfinished {
    /// Gives the backup its name, once everything of it is on disk.
    pub(crate) fn publish(mut self, manifest: &Manifest) -> Result<Found> {
        write_manifest(&self.path.join(manifest::FILE), manifest)?;
        files::sync_folders(&self.path)?;
        let path = self.target.folder.join(self.name.to_string());
        fs::rename(&self.path, &path).map_err(Error::io(&path, "made"))?;
        self.published = true;
        files::sync_folder(&self.target.folder)?;
        Ok(Found { name: self.name.clone(), path, manifest: Ok(manifest.clone()) })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "an unfinished backup could not be removed");
        }
    }
}
