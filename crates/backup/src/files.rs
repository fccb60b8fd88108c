//! Copying files with a checksum, compressed or not, onto the disk.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

const BUFFER_BYTES: usize = 1 << 16;
const ZSTD_LEVEL: i32 = 3;

/// What a stream came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Copies `from` into the new file `to`, compressed or not, and puts it on disk. Gives the sum of what was read, and the
/// bytes that were written.
pub(crate) fn store(from: &Path, to: &Path, compress: bool) -> Result<(Sum, u64)> {
    let mut reader = File::open(from).map_err(Error::io(from, "read"))?;
    let file = File::create_new(to).map_err(Error::io(to, "made"))?;
    let unwritten = Error::io(to, "written");
    let sum = if compress {
        let mut writer = zstd::Encoder::new(&file, ZSTD_LEVEL).map_err(&unwritten)?;
        let sum = copy(&mut reader, &mut writer).map_err(&unwritten)?;
        writer.finish().map_err(&unwritten)?;
        sum
    } else {
        copy(&mut reader, &mut &file).map_err(&unwritten)?
    };
    file.sync_all().map_err(&unwritten)?;
    Ok((sum, file.metadata().map_err(&unwritten)?.len()))
}

/// Copies `from`, which is compressed or not, into the new file `to`, uncompressed. Gives the sum of what was written.
pub(crate) fn load(from: &Path, compressed: bool, to: &Path) -> Result<Sum> {
    let file = File::create_new(to).map_err(Error::io(to, "made"))?;
    let unwritten = Error::io(to, "written");
    let sum = read(from, compressed, |reader| copy(reader, &mut &file).map_err(&unwritten))?;
    file.sync_all().map_err(&unwritten)?;
    Ok(sum)
}

/// The sum of a file, once it is uncompressed.
pub(crate) fn sum(from: &Path, compressed: bool) -> Result<Sum> {
    read(from, compressed, |reader| copy(reader, &mut io::sink()).map_err(Error::io(from, "read")))
}

fn read<T>(from: &Path, compressed: bool, work: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let mut file = File::open(from).map_err(Error::io(from, "read"))?;
    if compressed {
        let mut decoder = zstd::Decoder::new(file).map_err(Error::io(from, "uncompressed"))?;
        work(&mut decoder)
    } else {
        work(&mut file)
    }
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<Sum> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        to.write_all(part)?;
        bytes += part.len() as u64;
    }
    Ok(Sum { bytes, sha256: hex::encode(hash.finalize()) })
}

/// Makes renames and new files in a folder outlive a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder, "put on disk"))
}

/// Puts all folders below one on disk, and itself.
pub(crate) fn sync_folders(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let path = entry.map_err(Error::io(folder, "read"))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}

/// Removes every file below a folder that is not among `kept`.
pub(crate) fn remove_others(folder: &Path, kept: &HashSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let path = entry.map_err(Error::io(folder, "read"))?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            std::fs::remove_file(&path).map_err(Error::io(&path, "removed"))?;
        }
    }
    Ok(())
}

/// Makes the folder of a file.
pub(crate) fn make_room_for(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(Error::io(folder, "made")),
        None => Ok(()),
    }
}
