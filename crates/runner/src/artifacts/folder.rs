//! A folder as a tar archive: links as links, never what they lead to.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use super::{ArtifactError, ArtifactLimits};

/// Folders within folders; a path that is deeper was made to harm.
const MAX_DEPTH: usize = 128;

/// What became of a folder.
#[derive(Debug, Default)]
pub(super) struct Packed {
    entries: u64,
    bytes: u64,
    /// Pipes, sockets and devices.
    pub(super) left_out: u64,
}

/// Writes everything in `folder` to `out`. Every step is taken from an open folder and follows no link, so nothing that is
/// moved or linked meanwhile leads out of it.
pub(super) fn pack(
    folder: &OwnedFd,
    name: &str,
    out: impl Write,
    limits: ArtifactLimits,
) -> Result<Packed, ArtifactError> {
    let mut packer = Packer { archive: tar::Builder::new(out), name, limits, packed: Packed::default() };
    packer.folder(folder, Path::new(""), 0)?;
    packer.archive.finish().map_err(|error| packer.failed(Path::new(""), error))?;
    Ok(packer.packed)
}

struct Packer<'a, W: Write> {
    archive: tar::Builder<W>,
    name: &'a str,
    limits: ArtifactLimits,
    packed: Packed,
}

impl<W: Write> Packer<'_, W> {
    fn failed(&self, path: &Path, error: impl Into<io::Error>) -> ArtifactError {
        ArtifactError::Io { path: Path::new(self.name).join(path).display().to_string(), error: error.into() }
    }

    fn too_large(&self, limit: u64, unit: &'static str) -> ArtifactError {
        ArtifactError::TooLarge { path: self.name.to_owned(), limit, unit }
    }

    fn folder(&mut self, folder: &OwnedFd, path: &Path, depth: usize) -> Result<(), ArtifactError> {
        if depth > MAX_DEPTH {
            return Err(self.too_large(MAX_DEPTH as u64, "levels of folders"));
        }
        let entries = Dir::read_from(folder).map_err(|error| self.failed(path, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| self.failed(path, error))?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
            if names.len() as u64 > self.limits.max_entries {
                return Err(self.too_large(self.limits.max_entries, "entries"));
            }
        }
        // The same folder gives the same archive.
        names.sort();
        for name in names {
            self.packed.entries += 1;
            if self.packed.entries > self.limits.max_entries {
                return Err(self.too_large(self.limits.max_entries, "entries"));
            }
            let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let status = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| self.failed(&path, error))?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::RegularFile => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    let file =
                        openat(folder, &name, flags, Mode::empty()).map_err(|error| self.failed(&path, error))?;
                    self.file(file, &path)?;
                }
                FileType::Directory => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let inner =
                        openat(folder, &name, flags, Mode::empty()).map_err(|error| self.failed(&path, error))?;
                    let mut header = header(&status, tar::EntryType::Directory);
                    let appended = self.archive.append_data(&mut header, path.join(""), io::empty());
                    appended.map_err(|error| self.failed(&path, error))?;
                    self.folder(&inner, &path, depth + 1)?;
                }
                FileType::Symlink => {
                    let target = readlinkat(folder, &name, Vec::new()).map_err(|error| self.failed(&path, error))?;
                    let target = PathBuf::from(std::ffi::OsStr::from_bytes(target.to_bytes()));
                    let mut header = header(&status, tar::EntryType::Symlink);
                    let appended = self.archive.append_link(&mut header, &path, target);
                    appended.map_err(|error| self.failed(&path, error))?;
                }
                _ => self.packed.left_out += 1,
            }
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, path: &Path) -> Result<(), ArtifactError> {
        let status = fstat(&file).map_err(|error| self.failed(path, error))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            // It was another thing a moment ago.
            self.packed.left_out += 1;
            return Ok(());
        }
        let size = u64::try_from(status.st_size).unwrap_or(0);
        self.packed.bytes = self.packed.bytes.saturating_add(size);
        if self.packed.bytes > self.limits.max_bytes {
            return Err(self.too_large(self.limits.max_bytes, "bytes"));
        }
        let mut header = header(&status, tar::EntryType::Regular);
        header.set_size(size);
        // The archive says the size first: a file that grows is cut there, and one that shrinks is filled up.
        let content = File::from(file).take(size).chain(io::repeat(0)).take(size);
        self.archive.append_data(&mut header, path, content).map_err(|error| self.failed(path, error))
    }
}

/// Without owners: they mean nothing elsewhere.
fn header(status: &Stat, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(status.st_mode & 0o777);
    header.set_mtime(u64::try_from(status.st_mtime).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}
