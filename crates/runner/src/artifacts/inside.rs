//! Opens what lies inside a folder, and nothing else, whatever links lead out of it meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;

use super::ArtifactError;

/// A pipe without a writer would wait for one; a terminal would become ours.
const READ_ONLY: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The folder artifacts may come from, and the folder their names begin at.
#[derive(Clone, Debug)]
pub struct Root {
    allowed: PathBuf,
    cwd: PathBuf,
    /// The working directory as it was named, which may lead over links.
    named_cwd: PathBuf,
}

impl Root {
    /// Names begin at `cwd` and must not lead out of `root`.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn new(root: &Path, cwd: &Path) -> io::Result<Self> {
        Ok(Self { allowed: root.canonicalize()?, cwd: cwd.canonicalize()?, named_cwd: std::path::absolute(cwd)? })
    }

    /// What `path` names, open for reading, and what it is.
    pub(super) fn open(&self, path: &str) -> Result<(OwnedFd, FileType), ArtifactError> {
        let outside = || ArtifactError::Outside { path: path.to_owned(), root: self.allowed.display().to_string() };
        let named = self.cwd.join(Path::new(path).strip_prefix(&self.named_cwd).unwrap_or(Path::new(path)));
        // Links are left to the system; only what is written is made simple.
        let within = plain(&named).strip_prefix(&self.allowed).map_err(|_| outside())?.to_owned();
        let within = if within.as_os_str().is_empty() { Path::new(".").to_owned() } else { within };
        let opened = open_beneath(&self.allowed, &within).map_err(|error| match error {
            Errno::XDEV | Errno::LOOP => outside(),
            error => ArtifactError::Io { path: path.to_owned(), error: error.into() },
        })?;
        let status =
            fstat(&opened).map_err(|error| ArtifactError::Io { path: path.to_owned(), error: error.into() })?;
        Ok((opened, FileType::from_raw_mode(status.st_mode)))
    }
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

/// The system refuses every step that leads out of the root, in one call.
#[cfg(target_os = "linux")]
fn open_beneath(root: &Path, within: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, open, openat2};
    let folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(&folder, within, READ_ONLY, Mode::empty(), beneath) {
        // An old kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_checked(root, within),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: &Path, within: &Path) -> Result<OwnedFd, Errno> {
    open_checked(root, within)
}

/// No link is followed in the last step, and the folder it lies in is looked at before.
fn open_checked(root: &Path, within: &Path) -> Result<OwnedFd, Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let real = root.join(within).canonicalize().map_err(errno)?;
    if !real.starts_with(root) {
        return Err(Errno::XDEV);
    }
    rustix::fs::open(&real, READ_ONLY | OFlags::NOFOLLOW, Mode::empty())
}
