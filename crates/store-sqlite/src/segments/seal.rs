//! A day becomes a Parquet file. It is copied and compared while others write; the writer thread has only the last step,
//! in which the file takes the place of the database, unless ticks came meanwhile.
//!
//! What makes a crash harmless: a database is laid over the Parquet file whose id it has as `base`. Beside any other one,
//! it has been sealed into that, and goes when the store is opened.

use std::path::Path;

use tallybook_core::{Error, ErrorKind, Result, Segment};

use super::copy::Original;
use super::day::Day;
use super::days::{Days, State};
use super::folder::{Folder, remove_if_there};
use super::sealed::Sealed;
use super::writers::Writers;
use crate::error::{failed, io_failed};
use crate::writer::Writer;

const SEALING: &str = "sealing a segment";
/// Copies that are made of a day to which ticks are added all the time.
const ATTEMPTS: usize = 3;

/// Seals a day; one that is sealed already, and to which nothing was added, stays as it is.
pub(crate) fn seal(days: &Days, writer: &Writer, day: Day) -> Result<Segment> {
    for _ in 0..ATTEMPTS {
        let Some(later) = copy(days, day).inspect_err(|_| discard(&days.folder.sealing(day)))? else {
            return present(days, day, SEALING);
        };
        if writer.run_blocking(SEALING, move |engine| publish(engine.segments, day, later))? {
            return present(days, day, SEALING);
        }
    }
    discard(&days.folder.sealing(day));
    Err(still_written(SEALING, day))
}

/// Writes the Parquet file under another name; says how many ticks of the database are in it, if any.
fn copy(days: &Days, day: Day) -> Result<Option<u64>> {
    let original = Original::open(days, day, SEALING)?;
    if original.later == 0 {
        return Ok(None);
    }
    let path = days.folder.sealing(day);
    Sealed::write(&path, original.revision()?, original.ticks()?)?;
    // Opened anew: what counts is what is on disk.
    original.compare(Sealed::open(&path)?.all())?;
    Ok(Some(original.later))
}

/// Puts the Parquet file in the place of the database; says whether that was possible, because nothing came meanwhile.
fn publish(writers: &mut Writers, day: Day, later: u64) -> Result<bool> {
    let days = writers.days().clone();
    let folder = &days.folder;
    writers.let_go(day).map_err(|error| failed(SEALING, error))?;
    days.alone(day, |state| {
        if later_ticks(&days, *state, day, SEALING)? != later {
            return Ok(false);
        }
        let moved = std::fs::rename(folder.sealing(day), folder.parquet(day)).and_then(|()| folder.sync(day));
        moved.map_err(|error| immovable(SEALING, folder, day, error))?;
        *state = State { database: false, parquet: true };
        let removed = folder.remove_database(day).and_then(|()| folder.sync(day));
        removed.map_err(|error| immovable(SEALING, folder, day, error))?;
        Ok(true)
    })
}

/// The ticks that are in the database at present. Its last connection is closed then, and its log empty.
pub(super) fn later_ticks(days: &Days, state: State, day: Day, operation: &'static str) -> Result<u64> {
    if !state.database {
        return Ok(0);
    }
    let path = days.folder.database(day);
    let reader = super::reader::DayReader::open(&path, day);
    reader.map_err(|refusal| refusal.into_error(operation, &path))?.count()
}

pub(super) fn present(days: &Days, day: Day, operation: &'static str) -> Result<Segment> {
    // Dropped in between, by somebody else.
    days.segment(day)?.ok_or_else(|| Error::invalid(operation, format!("there are no ticks of {day}")))
}

pub(super) fn still_written(operation: &'static str, day: Day) -> Error {
    let context = format!("ticks of {day} keep coming in; try again when they have ended");
    Error::new(ErrorKind::Unavailable, operation, context)
}

pub(super) fn immovable(operation: &'static str, folder: &Folder, day: Day, error: std::io::Error) -> Error {
    let what = format!("the files beside {} cannot be moved; check their permissions", folder.database(day).display());
    io_failed(operation, what, error)
}

/// Removes a copy that will not be used. One that stays goes when the store is opened.
pub(super) fn discard(path: &Path) {
    if let Err(error) = remove_if_there(path) {
        tracing::warn!(%error, file = %path.display(), "an unfinished copy of a segment could not be removed");
    }
}

/// Removes a whole day and says how many ticks it had.
pub(crate) fn drop_segment(writers: &mut Writers, day: Day) -> Result<u64> {
    const OPERATION: &str = "dropping a segment";
    let days = writers.days().clone();
    if days.state(day).is_none() {
        return Ok(0);
    }
    let count = days.segment(day)?.map_or(0, |segment| segment.count);
    writers.let_go(day).map_err(|error| failed(OPERATION, error))?;
    days.alone(day, |state| {
        let folder = &days.folder;
        let removed = remove_if_there(&folder.parquet(day))
            .and_then(|()| {
                state.parquet = false;
                folder.remove_database(day)
            })
            .and_then(|()| {
                state.database = false;
                folder.sync(day)
            });
        removed.map_err(|error| immovable(OPERATION, folder, day, error))
    })?;
    writers.forget(day);
    Ok(count)
}
