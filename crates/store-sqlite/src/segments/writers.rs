//! What the writer thread has to do with ticks: it groups them by day and adds each group to the file of that day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, params};
use tallybook_core::{Batch, Counts, Result, Tick};
use tallybook_sqlite::wal::WalLimits;

use super::database::Refusal;
use super::day::Day;
use super::days::Days;
use super::writer::{COMMITTING, DayWriter};
use crate::error::{failed, io_failed};

/// Days that are open for writing.
const OPEN_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Writers {
    days: Arc<Days>,
    limits: WalLimits,
    /// The one that was used last comes last.
    open: Vec<DayWriter>,
    /// Days that have ticks of commits which the main database may not know of.
    unrecorded: BTreeSet<Day>,
}

impl Writers {
    pub(crate) fn new(days: Arc<Days>, limits: WalLimits) -> Self {
        Self { days, limits, open: Vec::new(), unrecorded: BTreeSet::new() }
    }

    pub(crate) fn days(&self) -> &Arc<Days> {
        &self.days
    }

    /// Adds the ticks of a batch, file by file, each at most once. An error without the mark that it may have been applied
    /// came before any file was written.
    pub(crate) fn apply(&mut self, batch: &Batch, revision: i64) -> Result<Counts> {
        let days = by_day(&batch.records.ticks);
        for day in days.keys() {
            self.open(*day)?;
        }
        let mut counts = Counts::default();
        for (place, (day, ticks)) in days.iter().enumerate() {
            self.days.note(*day, revision);
            self.unrecorded.insert(*day);
            let added = self.open(*day).and_then(|writer| writer.apply(batch, ticks, revision));
            let added = added.map_err(|error| if place > 0 { error.applied_unknown() } else { error })?;
            counts.stored += added.stored;
            counts.duplicate += added.duplicate;
        }
        Ok(counts)
    }

    /// Writes down, in the transaction of a commit, which days it and those before it touched.
    pub(crate) fn record(&self, connection: &Connection) -> rusqlite::Result<()> {
        for day in &self.unrecorded {
            let Some(revisions) = self.days.revisions(*day) else { continue };
            let mut statement = connection.prepare_cached(
                "INSERT INTO segment (day, first_rev, rev) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (day) DO UPDATE SET first_rev = excluded.first_rev, rev = excluded.rev",
            )?;
            statement.execute(params![day.start().0, revisions.first, revisions.last])?;
        }
        Ok(())
    }

    /// That transaction was committed.
    pub(crate) fn recorded(&mut self) {
        self.unrecorded.clear();
    }

    pub(crate) fn after_write(&mut self) {
        for writer in &mut self.open {
            writer.after_write();
        }
    }

    /// Uses a pause: moves logs into their databases, closes all days but the one that was used last, and those that
    /// nobody reads any more. Says whether there is nothing left to do.
    pub(crate) fn rest(&mut self) -> bool {
        let last = self.open.pop();
        for writer in self.open.drain(..) {
            close(writer);
        }
        let mut done = self.days.close_idle(false) == 0;
        if let Some(mut writer) = last {
            done &= writer.checkpoint().unwrap_or_else(|error| {
                tracing::warn!(%error, day = %writer.day, "a checkpoint failed");
                false
            });
            self.open.push(writer);
        }
        done
    }

    /// Puts everything on disk and lets go of it.
    pub(crate) fn close(&mut self) -> rusqlite::Result<()> {
        self.days.close_idle(true);
        self.open.drain(..).map(DayWriter::close).fold(Ok(()), Result::and)
    }

    /// Lets go of one day, with all of it in its database and none in a log.
    pub(crate) fn let_go(&mut self, day: Day) -> rusqlite::Result<()> {
        match self.open.iter().position(|writer| writer.day == day) {
            Some(place) => self.open.remove(place).close(),
            None => Ok(()),
        }
    }

    /// A day was dropped.
    pub(crate) fn forget(&mut self, day: Day) {
        self.unrecorded.remove(&day);
    }

    /// The writer of a day, whose database is made if it is not there.
    fn open(&mut self, day: Day) -> Result<&mut DayWriter> {
        let writer = if let Some(place) = self.open.iter().position(|writer| writer.day == day) {
            self.open.remove(place)
        } else {
            while self.open.len() >= OPEN_MAX {
                close(self.open.remove(0));
            }
            self.open_anew(day)?
        };
        self.open.push(writer);
        let last = self.open.len() - 1;
        Ok(&mut self.open[last])
    }

    fn open_anew(&self, day: Day) -> Result<DayWriter> {
        let days = &self.days;
        days.check(day, COMMITTING)?;
        let path = days.folder.database(day);
        days.folder.make_room_for(day).map_err(|error| {
            let what =
                format!("no folder can be made for {}; check the permissions of the data folder", path.display());
            io_failed(COMMITTING, what, error)
        })?;
        let state = days.state(day).unwrap_or_default();
        if state.parquet && !state.database {
            // All of it is in the Parquet file, and a seal could not remove it.
            let removed = days.folder.remove_database(day);
            removed.map_err(|error| io_failed(COMMITTING, format!("{} cannot be removed", path.display()), error))?;
        }
        let base = if state.parquet { Some(days.sealed(day)?) } else { None };
        let open = || -> Result<DayWriter, Refusal> { DayWriter::open(&path, day, base.clone(), self.limits) };
        let opened = match open() {
            Err(refusal) if refusal.is_damage(&path) => {
                days.alone(day, |state| {
                    state.database = false;
                    days.folder.put_aside(day, &path, COMMITTING)
                })?;
                open()
            }
            opened => opened,
        };
        let writer = opened.map_err(|refusal| refusal.into_error(COMMITTING, &path))?;
        if !days.state(day).is_some_and(|state| state.database) {
            days.alone(day, |state| state.database = true);
        }
        Ok(writer)
    }
}

/// A failure costs nobody a tick: what is in the log stays there, and the next one who opens the file finds it.
fn close(writer: DayWriter) {
    let day = writer.day;
    if let Err(error) = writer.close() {
        tracing::warn!(%error, %day, "the database of a day could not be closed");
    }
}

fn by_day(ticks: &[Tick]) -> BTreeMap<Day, Vec<&Tick>> {
    let mut days: BTreeMap<Day, Vec<&Tick>> = BTreeMap::new();
    for run in ticks.chunk_by(|one, next| Day::of(one.time) == Day::of(next.time)) {
        days.entry(Day::of(run[0].time)).or_default().extend(run);
    }
    days
}

/// Removes what the main database knows of a day.
pub(crate) fn unlist(connection: &Connection, day: Day) -> Result<()> {
    let removed = connection.execute("DELETE FROM segment WHERE day = ?", [day.start().0]);
    removed.map(|_| ()).map_err(|error| failed("removing a segment", error))
}
