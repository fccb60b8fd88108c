//! A sealed day becomes a database again, the way back of [`super::seal`]: the new database says that it is to replace the
//! Parquet file with the id it has as `base`. Where both are found, the file goes when the store is opened.

use tallybook_core::{Error, ErrorKind, Result, Segment, Tick};
use tallybook_sqlite::wal::WalLimits;

use super::copy::{Original, Rows};
use super::day::Day;
use super::days::{Days, State};
use super::folder::{Folder, beside, remove_if_there, remove_with_logs};
use super::reader::DayReader;
use super::seal::{discard, immovable, later_ticks, present, still_written};
use super::writer::DayWriter;
use super::writers::Writers;
use crate::error::{failed, io_failed};
use crate::writer::Writer;

const UNSEALING: &str = "unsealing a segment";
const ATTEMPTS: usize = 3;
/// Ticks that are written in one transaction.
const CHUNK: usize = 50_000;
/// The copy is written by itself, and its log emptied as it grows.
const LIMITS: WalLimits = WalLimits { passive_bytes: 16 << 20, truncate_bytes: 64 << 20 };

/// Turns a sealed day back; one that is not sealed stays as it is.
pub(crate) fn unseal(days: &Days, writer: &Writer, day: Day) -> Result<Segment> {
    for _ in 0..ATTEMPTS {
        let Some(later) = copy(days, day).inspect_err(|_| clear(&days.folder, day))? else {
            return present(days, day, UNSEALING);
        };
        if writer.run_blocking(UNSEALING, move |engine| publish(engine.segments, day, later))? {
            return present(days, day, UNSEALING);
        }
    }
    clear(&days.folder, day);
    Err(still_written(UNSEALING, day))
}

/// Writes the database under another name; says how many ticks of the present one are in it, if the day is sealed.
fn copy(days: &Days, day: Day) -> Result<Option<u64>> {
    let original = Original::open(days, day, UNSEALING)?;
    let Some(sealed) = &original.sealed else { return Ok(None) };
    let revision = original.revision()?;
    let path = days.folder.unsealing(day);
    let error = |error| failed(UNSEALING, error);
    remove_with_logs(&path).map_err(|error| immovable(UNSEALING, &days.folder, day, error))?;
    let refused = |refusal: super::database::Refusal| refusal.into_error(UNSEALING, &path);
    let mut copy = DayWriter::open(&path, day, Some(sealed.clone()), LIMITS).map_err(refused)?;
    copy.connection().execute("UPDATE segment SET unsealing = 1", []).map_err(error)?;
    let mut chunk: Vec<Tick> = Vec::new();
    for tick in original.ticks()? {
        chunk.push(tick?);
        if chunk.len() == CHUNK {
            copy.copy(&chunk, revision)?;
            chunk.clear();
        }
    }
    copy.copy(&chunk, revision)?;
    copy.close().map_err(error)?;
    let written = DayReader::open(&path, day).map_err(refused)?;
    original.compare(Rows::new(&written, day)?)?;
    drop(written);
    let synced = std::fs::File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|error| io_failed(UNSEALING, format!("{} cannot be put on disk", path.display()), error))?;
    Ok(Some(original.later))
}

/// Puts the database in the place of the Parquet file; says whether that was possible, because nothing came meanwhile.
fn publish(writers: &mut Writers, day: Day, later: u64) -> Result<bool> {
    let days = writers.days().clone();
    let folder = &days.folder;
    writers.let_go(day).map_err(|error| failed(UNSEALING, error))?;
    days.alone(day, |state| {
        if later_ticks(&days, *state, day, UNSEALING)? != later {
            return Ok(false);
        }
        // The log of the old database must not be taken for that of the new one.
        if beside(&folder.database(day), "-wal").exists() {
            let context = format!("another process reads the database of {day}; end it, then try again");
            return Err(Error::new(ErrorKind::Unavailable, UNSEALING, context));
        }
        let moved = std::fs::rename(folder.unsealing(day), folder.database(day)).and_then(|()| folder.sync(day));
        moved.map_err(|error| immovable(UNSEALING, folder, day, error))?;
        *state = State { database: true, parquet: false };
        let removed = remove_if_there(&folder.parquet(day)).and_then(|()| folder.sync(day));
        removed.map_err(|error| immovable(UNSEALING, folder, day, error))?;
        Ok(true)
    })
}

fn clear(folder: &Folder, day: Day) {
    let path = folder.unsealing(day);
    for part in [beside(&path, "-wal"), beside(&path, "-shm"), path] {
        discard(&part);
    }
}
