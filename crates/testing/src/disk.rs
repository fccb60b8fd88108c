//! A small disk of its own, in memory, that can be full or read-only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use tempfile::TempDir;

/// A disk that is mounted at a temporary folder; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    mount_point: TempDir,
}

impl SmallDisk {
    /// A disk with room for `size_mib`.
    ///
    /// # Errors
    /// Where mounting is not permitted: the tests of disks run as root.
    pub fn new(size_mib: u32) -> Result<Self> {
        let mount_point = tempfile::Builder::new().prefix("tallybook-disk-").tempdir()?;
        let options = std::ffi::CString::new(format!("size={size_mib}m,mode=0700"))?;
        mount("tallybook-test", mount_point.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .context("cannot mount a small disk; the tests of full and read-only disks need to run as root")?;
        Ok(Self { mount_point })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Nothing can be written to it any more. Not while a file on it is open for writing.
    ///
    /// # Errors
    /// When a file on it is open for writing.
    pub fn make_read_only(&self) -> Result<()> {
        Ok(mount_remount(self.path(), MountFlags::RDONLY, "")?)
    }

    /// Takes all the room there is, to the last byte.
    ///
    /// # Errors
    /// When writing fails for another reason than that the disk is full.
    pub fn fill(&self) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler())?;
        let chunk = [0; 4096];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes all the room but the last `kib`.
    ///
    /// # Errors
    /// When writing fails for another reason than that the disk is full.
    pub fn fill_but(&self, kib: u64) -> Result<()> {
        self.fill()?;
        let filler = OpenOptions::new().write(true).open(self.filler())?;
        let taken = filler.metadata()?.len();
        Ok(filler.set_len(taken.saturating_sub(kib * 1024))?)
    }

    /// Gives back the room that [`Self::fill`] took.
    ///
    /// # Errors
    /// When the disk was not filled.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached: a server that was killed a moment ago may still hold it.
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
