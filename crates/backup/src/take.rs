//! Taking a backup.

use std::fs;
use std::path::Path;
use std::time::Instant;

use tallybook_core::{DAY, Timestamp};
use tallybook_sqlite::{Cancel, ErrorKind, copy_database};

use crate::files::Sum;
use crate::keep::{Keep, prune};
use crate::manifest::{Entry, Kind, Manifest, Original};
use crate::source::{self, Source};
use crate::target::{Found, Target, Unfinished};
use crate::{Error, Result, files};

/// How often files that moved meanwhile (a day that was sealed) are looked for again.
const ATTEMPTS: usize = 5;
/// What a backup that was cut off left behind stays this long: another one may still be at it.
const UNFINISHED_KEPT: i64 = DAY;

/// How a backup is taken.
#[derive(Clone, Debug, Default)]
pub struct TakeOptions {
    /// Whether files are compressed with zstd.
    pub compress: bool,
    /// Which backups stay.
    pub keep: Keep,
    /// Ends it early; nothing of it stays.
    pub cancel: Cancel,
}

/// How far a backup or a restore is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file at hand.
    pub file: String,
    /// Files that are finished.
    pub files_done: usize,
    /// All files.
    pub files: usize,
    /// Bytes of this file that are copied.
    pub bytes_done: u64,
    /// Bytes of this file.
    pub bytes: u64,
}

/// Backs up a data folder, beside whoever works in it. Others are removed only after this one is there.
///
/// # Errors
/// Nothing has the backup's name then, and every other one is as it was. `Corrupt` when a database is damaged.
pub fn take(
    data_dir: &Path,
    target: &Target,
    options: &TakeOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Found> {
    let (time, begun) = (Timestamp::now(), Instant::now());
    let before = target.newest(None)?;
    let unfinished = target.begin(time)?;
    let mut taking = Taking { data_dir, options, before, unfinished: &unfinished, entries: Vec::new() };
    taking.everything(progress)?;
    let mut entries = taking.entries;
    if entries.is_empty() {
        let context =
            format!("there is nothing to back up in {}; name the data folder with DATA_DIR", data_dir.display());
        return Err(Error::new(ErrorKind::Statement, context));
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    finish(unfinished, target, &options.keep, &Manifest::new(time, begun, entries))
}

/// Gives a backup its name; then others may go.
pub(crate) fn finish(unfinished: Unfinished, target: &Target, keep: &Keep, manifest: &Manifest) -> Result<Found> {
    let found = unfinished.publish(manifest)?;
    let now = manifest.taken_at()?;
    target.clear(now.earlier(UNFINISHED_KEPT))?;
    prune(target, keep, now)?;
    Ok(found)
}

struct Taking<'t> {
    data_dir: &'t Path,
    options: &'t TakeOptions,
    before: Option<(Found, Manifest)>,
    unfinished: &'t Unfinished,
    entries: Vec<Entry>,
}

impl Taking<'_> {
    /// Copies everything there is, until nothing is there that was not copied: a seal moves the ticks of a day from one
    /// file to another meanwhile. To have both is harmless, since whoever opens them knows which one counts.
    fn everything(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let mut sources = source::list(self.data_dir)?;
            sources.retain(|source| !self.entries.iter().any(|entry| entry.path == source.path));
            if sources.is_empty() {
                return Ok(());
            }
            let files = self.entries.len() + sources.len();
            for source in sources {
                if self.options.cancel.is_cancelled() {
                    return Err(Error::new(ErrorKind::Cancelled, "the backup was cancelled"));
                }
                let files_done = self.entries.len();
                let mut tell = |bytes_done, bytes| {
                    progress(Progress { file: source.path.clone(), files_done, files, bytes_done, bytes });
                };
                match self.one(&source, &mut tell) {
                    Ok(entry) => self.entries.push(entry),
                    // Moved; the next attempt finds where to.
                    Err(_) if !self.data_dir.join(&source.path).exists() => {
                        discard(&self.unfinished.path.join(&source.path))?;
                        discard(&self.unfinished.path.join(format!("{}.zst", source.path)))?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(Error::new(ErrorKind::Busy, "files keep moving in the data folder; take the backup later"))
    }

    fn one(&self, source: &Source, progress: &mut dyn FnMut(u64, u64)) -> Result<Entry> {
        let from = self.data_dir.join(&source.path);
        // Before it is copied: what changes meanwhile is copied again next time.
        let original = source::look(&from, source.kind);
        if let Some(entry) = original.map_or(Ok(None), |original| self.link(source, original))? {
            progress(entry.bytes, entry.bytes);
            return Ok(entry);
        }
        let compress = self.options.compress && from.extension().is_none_or(|extension| extension != "parquet");
        let entry = Entry::new(&source.path, source.kind, Sum::default());
        let mut entry = Entry { compressed: compress, original, ..entry };
        let to = self.unfinished.path.join(entry.stored_path());
        files::make_room_for(&to)?;
        let (sum, stored_bytes) = match source.kind {
            Kind::File | Kind::PostgresDump => files::store(&from, &to, compress)?,
            Kind::Database if compress => {
                let plain = self.unfinished.path.join(&source.path);
                entry.rows = copy_database(&from, &plain, &self.options.cancel, progress)?.rows;
                let stored = files::store(&plain, &to, true)?;
                discard(&plain)?;
                stored
            }
            Kind::Database => {
                let copied = copy_database(&from, &to, &self.options.cancel, progress)?;
                entry.rows = copied.rows;
                (files::sum(&to, false)?, copied.bytes)
            }
        };
        progress(sum.bytes, sum.bytes);
        Ok(Entry { bytes: sum.bytes, sha256: sum.sha256, stored_bytes, ..entry })
    }

    /// Shares the file of the backup before, where the original has not changed since.
    fn link(&self, source: &Source, original: Original) -> Result<Option<Entry>> {
        let Some((found, manifest)) = &self.before else { return Ok(None) };
        let same = |entry: &&Entry| entry.path == source.path && entry.original == Some(original);
        let Some(entry) = manifest.files.iter().find(same) else { return Ok(None) };
        let from = found.path.join(entry.stored_path());
        if fs::metadata(&from).map_or(0, |file| file.len()) != entry.stored_bytes {
            // Somebody did something to it.
            return Ok(None);
        }
        let to = self.unfinished.path.join(entry.stored_path());
        files::make_room_for(&to)?;
        // Where the file system has no links, it is copied.
        Ok(fs::hard_link(&from, &to).is_ok().then(|| Entry { linked: true, ..entry.clone() }))
    }
}

fn discard(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, "removed")(error)),
        _ => Ok(()),
    }
}
