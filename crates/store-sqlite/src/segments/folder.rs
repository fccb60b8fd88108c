//! The folder of segments on disk: `ticks/YYYY/MM/ticks_YYYY-MM-DD.db` and `.parquet`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use tallybook_core::{Error, Result, Timestamp};

use super::day::Day;
use crate::error::io_failed;

const OPERATION: &str = "opening the store";
/// How every SQLite database begins.
const DATABASE_MAGIC: &[u8] = b"SQLite format 3\0";
/// How every Parquet file ends.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Which files a day has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) database: bool,
    pub(crate) parquet: bool,
    /// A log beside the database: it was not closed.
    pub(crate) log: bool,
    /// Why one of them cannot be read.
    pub(crate) unreadable: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder beside the main database; it need not be there.
    pub(crate) fn beside(database: &Path) -> Self {
        Self { root: database.parent().unwrap_or(Path::new(".")).join("ticks") }
    }

    pub(crate) fn database(&self, day: Day) -> PathBuf {
        self.file(day, "db")
    }

    pub(crate) fn parquet(&self, day: Day) -> PathBuf {
        self.file(day, "parquet")
    }

    /// Where the database that an unseal makes is written.
    pub(crate) fn unsealing(&self, day: Day) -> PathBuf {
        self.file(day, "db.unsealing")
    }

    /// Where the Parquet file that a seal makes is written.
    pub(crate) fn sealing(&self, day: Day) -> PathBuf {
        self.file(day, "parquet.sealing")
    }

    fn file(&self, day: Day, extension: &str) -> PathBuf {
        day.stem(&self.root).with_extension(extension)
    }

    /// Makes the month's folder, and sees to it that it outlives a loss of power.
    pub(crate) fn make_room_for(&self, day: Day) -> io::Result<()> {
        let file = day.stem(&self.root);
        let month = file.parent().unwrap_or(&self.root);
        if month.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(month)?;
        month.ancestors().skip(1).take(3).try_for_each(sync_folder)
    }

    /// Makes renames and removals among the day's files outlive a loss of power.
    pub(crate) fn sync(&self, day: Day) -> io::Result<()> {
        day.stem(&self.root).parent().map_or(Ok(()), sync_folder)
    }

    /// The bytes of the day's files.
    pub(crate) fn bytes(&self, day: Day) -> u64 {
        let database = self.database(day);
        let files = [self.parquet(day), beside(&database, "-wal"), database];
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }

    /// Removes a database that nobody has open. Its log goes first: alone, it could be taken for that of a later one.
    pub(crate) fn remove_database(&self, day: Day) -> io::Result<()> {
        remove_with_logs(&self.database(day))
    }

    /// Moves a damaged file, with its log, out of the way. What is in it can still be saved by hand.
    pub(crate) fn put_aside(&self, day: Day, path: &Path, operation: &'static str) -> Result<()> {
        let now = Timestamp::now().to_string();
        let moment: String = now.split('.').next().unwrap_or_default().replace(['-', ':'], "");
        let put = format!("{}.corrupt-{moment}Z", path.display());
        let moved = move_if_there(&beside(path, "-wal"), Path::new(&format!("{put}-wal")))
            .and_then(|()| remove_if_there(&beside(path, "-shm")))
            .and_then(|()| fs::rename(path, &put))
            .and_then(|()| self.sync(day));
        moved.map_err(|error| {
            Error::corrupt(operation, format!("{} is damaged and cannot be renamed; move it away", path.display()))
                .with_source(error)
        })?;
        tracing::error!(file = %path.display(), %put, "a damaged file of ticks was put aside; restore it from a backup");
        Ok(())
    }

    /// All days, with what they have. What a seal or unseal that was cut off left unfinished is removed, a file that is no
    /// database is put aside, and one that cannot be read is left alone.
    pub(crate) fn scan(&self) -> Result<BTreeMap<Day, Files>> {
        let mut days = BTreeMap::new();
        for year in children(&self.root)? {
            for month in children(&year)? {
                for file in children(&month)? {
                    self.look_at(&file, &mut days)?;
                }
            }
        }
        days.retain(|_, files: &mut Files| files.database || files.parquet || files.unreadable.is_some());
        Ok(days)
    }

    fn look_at(&self, file: &Path, days: &mut BTreeMap<Day, Files>) -> Result<()> {
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let Some((date, extension)) = name.strip_prefix("ticks_").and_then(|name| name.split_once('.')) else {
            return Ok(());
        };
        // Only a file that is where it belongs.
        let Some(day) = Day::parse(date).filter(|day| self.file(*day, extension) == file) else { return Ok(()) };
        let files = days.entry(day).or_default();
        match extension {
            "parquet" | "db" => match is_sound(file, extension) {
                Ok(true) if extension == "db" => files.database = true,
                Ok(true) => files.parquet = true,
                Ok(false) => self.put_aside(day, file, OPERATION)?,
                Err(error) => files.unreadable = Some(unreadable(file, error).to_string()),
            },
            "db-wal" => files.log = true,
            "parquet.sealing" | "db.unsealing" | "db.unsealing-wal" | "db.unsealing-shm" => {
                fs::remove_file(file).map_err(|error| unreadable(file, error))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a file is what its extension says; an empty database is one, too: SQLite makes it before it writes to it.
fn is_sound(path: &Path, extension: &str) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(false);
    }
    if extension == "db" {
        return Ok(metadata.len() == 0 || starts_with(&file, DATABASE_MAGIC)?);
    }
    // Looks at the end: a file that was cut off has none.
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(PARQUET_MAGIC.len() as u64)))?;
    starts_with(&file, PARQUET_MAGIC)
}

fn starts_with(file: &File, magic: &[u8]) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.take(magic.len() as u64).read_to_end(&mut bytes)?;
    Ok(bytes == magic)
}

/// `x.db-wal` beside `x.db`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn remove_with_logs(database: &Path) -> io::Result<()> {
    remove_if_there(&beside(database, "-wal"))?;
    remove_if_there(&beside(database, "-shm"))?;
    remove_if_there(database)
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(missing_is_fine)
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).or_else(missing_is_fine)
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of `data` is the empty path.
    File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
}

/// What is in a folder; nothing in what is none.
fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unreadable(folder, error)),
    };
    let mut children = Vec::new();
    for entry in entries {
        children.push(entry.map_err(|error| unreadable(folder, error))?.path());
    }
    Ok(children)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    io_failed(OPERATION, format!("{} cannot be read or cleared; check its permissions", path.display()), error)
}
