//! The folder of artifacts: files by the SHA-256 of their content, each there whole or not at all.

mod folder;
mod inside;
mod media_type;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

pub use inside::Root;

/// The level of zstd for folders: fast, as the command may wait for it.
const ZSTD_LEVEL: i32 = 3;
const COPY_BYTES: usize = 256 * 1024;
/// A name in the folder of artifacts is as long as a SHA-256 in hexadecimal.
const NAME_CHARS: usize = 64;
/// Unfinished files that are older were left by a process that died.
const UNFINISHED_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What an artifact may be.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactLimits {
    /// Bytes of one artifact, as it is kept and, of a folder, before it is compressed.
    pub max_bytes: u64,
    /// Files, folders and links in a folder.
    pub max_entries: u64,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, max_entries: 100_000 }
    }
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of the content, in hexadecimal; its name in the folder.
    pub sha256: String,
    /// Bytes that are kept.
    pub bytes: u64,
    /// From the content, not from the name.
    pub media_type: String,
    /// Whether it is a folder, as `tar.zst`.
    pub is_folder: bool,
    /// Entries of a folder that are neither files, folders nor links, and are not in it.
    pub left_out: u64,
}

/// Why an artifact was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It leads out of the folder artifacts may come from.
    #[error("{path} is outside of {root}; allow it with --artifact-root")]
    Outside {
        /// What was named.
        path: String,
        /// Where artifacts may come from.
        root: String,
    },
    /// It is not a file and not a folder.
    #[error("{path} is neither a file nor a folder")]
    NoFile {
        /// What was named.
        path: String,
    },
    /// A limit was passed.
    #[error("{path} is larger than {limit} {unit}")]
    TooLarge {
        /// What was named.
        path: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// There is no artifact of this content.
    #[error("there is no artifact {sha256}")]
    Missing {
        /// What was asked for.
        sha256: String,
    },
    /// What came is not what was announced.
    #[error("the content has SHA-256 {found}, and {expected} was announced")]
    Different {
        /// What was announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// The system said no.
    #[error("{path}: {error}")]
    Io {
        /// What was read or written.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

impl ArtifactError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |error| Self::Io { path: path.display().to_string(), error }
    }
}

/// What a sweep removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Artifacts.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Artifacts {
    folder: PathBuf,
    limits: ArtifactLimits,
}

impl Artifacts {
    /// The artifacts of a data folder; nothing is made before there is one.
    pub fn of(data_dir: &Path, limits: ArtifactLimits) -> Self {
        Self { folder: data_dir.join("artifacts"), limits }
    }

    /// Copies a file or a folder of `root` into the folder of artifacts.
    ///
    /// # Errors
    /// When it leads outside, is too large, is no file, or cannot be read or written.
    pub fn keep(&self, root: &Root, path: &str) -> Result<Kept, ArtifactError> {
        let (source, kind) = root.open(path)?;
        match kind {
            FileType::RegularFile => self.take(&mut File::from(source), path),
            FileType::Directory => {
                let mut unfinished = Unfinished::new(self)?;
                let mut packer =
                    zstd::Encoder::new(&mut unfinished, ZSTD_LEVEL).map_err(ArtifactError::io(&self.folder))?;
                let packed = folder::pack(&source, path, &mut packer, self.limits)?;
                packer.finish().map_err(ArtifactError::io(&self.folder))?;
                unfinished.check(path, self.limits.max_bytes)?;
                let kept = unfinished.finish(self)?;
                Ok(Kept { is_folder: true, left_out: packed.left_out, ..kept })
            }
            _ => Err(ArtifactError::NoFile { path: path.to_owned() }),
        }
    }

    /// Keeps everything that `source` gives; `name` is what errors call it.
    ///
    /// # Errors
    /// When it is too large or cannot be read or written.
    pub fn take(&self, source: &mut impl Read, name: &str) -> Result<Kept, ArtifactError> {
        let mut unfinished = Unfinished::new(self)?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => unfinished.write_all(&buffer[..length]).map_err(ArtifactError::io(&self.folder))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArtifactError::Io { path: name.to_owned(), error }),
            }
            unfinished.check(name, self.limits.max_bytes)?;
        }
        unfinished.finish(self)
    }

    /// Keeps what `source` gives when it is the content that was announced.
    ///
    /// # Errors
    /// As [`Self::take`], and when it is another content.
    pub fn take_expected(&self, source: &mut impl Read, sha256: &str) -> Result<Kept, ArtifactError> {
        let kept = self.take(source, sha256)?;
        if kept.sha256 != sha256 {
            return Err(ArtifactError::Different { expected: sha256.to_owned(), found: kept.sha256 });
        }
        Ok(kept)
    }

    /// The content, to be read from any place.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(&self, sha256: &str) -> Result<File, ArtifactError> {
        let path = self.path(sha256).ok_or_else(|| ArtifactError::Missing { sha256: sha256.to_owned() })?;
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArtifactError::Missing { sha256: sha256.to_owned() },
            _ => ArtifactError::Io { path: path.display().to_string(), error },
        })
    }

    /// Removes a content, if it is there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, sha256: &str) -> Result<(), ArtifactError> {
        let Some(path) = self.path(sha256) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ArtifactError::io(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Whether it is there.
    pub fn has(&self, sha256: &str) -> bool {
        self.path(sha256).is_some_and(|path| path.exists())
    }

    /// Removes what nobody names any more and that is older than `min_age` (an artifact is there before it is named); only
    /// counts it in a dry run.
    ///
    /// # Errors
    /// When the folder cannot be read or a file cannot be removed.
    pub fn sweep(&self, named: &HashSet<String>, min_age: Duration, dry_run: bool) -> Result<Swept, ArtifactError> {
        let mut swept = Swept::default();
        for shelf in read_dir(&self.folder)? {
            if !shelf.is_dir() {
                continue;
            }
            for path in read_dir(&shelf)? {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let unfinished = name.len() != NAME_CHARS;
                let min_age = if unfinished { min_age.max(UNFINISHED_MAX_AGE) } else { min_age };
                let metadata = fs::metadata(&path).map_err(ArtifactError::io(&path))?;
                let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if named.contains(name) || age.is_none_or(|age| age < min_age) {
                    continue;
                }
                if !dry_run {
                    fs::remove_file(&path).map_err(ArtifactError::io(&path))?;
                }
                swept.artifacts += u64::from(!unfinished);
                swept.bytes += metadata.len();
            }
        }
        Ok(swept)
    }

    /// Where the content lies, if it is there; `None` for what is no SHA-256, so that no name leads elsewhere.
    pub fn path(&self, sha256: &str) -> Option<PathBuf> {
        let is_name = sha256.len() == NAME_CHARS
            && sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        is_name.then(|| self.folder.join(&sha256[..2]).join(sha256))
    }
}

/// Empty where there is no folder.
fn read_dir(path: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ArtifactError::io(path))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().map_err(ArtifactError::io(path))
}

/// An artifact that is being written; removed when it is dropped unfinished.
struct Unfinished {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    bytes: u64,
    /// For the media type.
    head: Vec<u8>,
}

impl Unfinished {
    fn new(artifacts: &Artifacts) -> Result<Self, ArtifactError> {
        let folder = artifacts.folder.join("unfinished");
        fs::create_dir_all(&folder).map_err(ArtifactError::io(&folder))?;
        let file = tempfile::NamedTempFile::new_in(&folder).map_err(ArtifactError::io(&folder))?;
        Ok(Self { file, hash: Sha256::new(), bytes: 0, head: Vec::new() })
    }

    fn check(&self, path: &str, limit: u64) -> Result<(), ArtifactError> {
        if self.bytes > limit {
            return Err(ArtifactError::TooLarge { path: path.to_owned(), limit, unit: "bytes" });
        }
        Ok(())
    }

    /// On disk first, then under its name.
    fn finish(self, artifacts: &Artifacts) -> Result<Kept, ArtifactError> {
        let sha256 = hex::encode(self.hash.finalize());
        let path = artifacts.path(&sha256).expect("a SHA-256 is a name");
        let media_type = media_type::of(&self.head).to_owned();
        let kept = Kept { sha256, bytes: self.bytes, media_type, is_folder: false, left_out: 0 };
        if path.exists() {
            // Young again, so that no sweep takes it before it is named.
            let renewed = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            renewed.map_err(ArtifactError::io(&path))?;
            return Ok(kept);
        }
        let shelf = path.parent().expect("it lies on a shelf");
        fs::create_dir_all(shelf).map_err(ArtifactError::io(shelf))?;
        self.file.as_file().sync_all().map_err(ArtifactError::io(&path))?;
        self.file
            .persist(&path)
            .map_err(|error| ArtifactError::Io { path: path.display().to_string(), error: error.error })?;
        File::open(shelf).and_then(|shelf| shelf.sync_all()).map_err(ArtifactError::io(shelf))?;
        Ok(kept)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let bytes = &bytes[..written];
        let head = media_type::HEAD_BYTES.saturating_sub(self.head.len()).min(written);
        self.head.extend_from_slice(&bytes[..head]);
        self.hash.update(bytes);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
