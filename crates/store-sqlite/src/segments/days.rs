//! The days there are, and reading them: shared by the writer thread, the readers and whoever seals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tallybook_core::{Error, ErrorKind, Result, TimeRange};

use super::day::Day;
use super::folder::Folder;
use super::reader::DayReader;
use super::sealed::{Sealed, SealedNames};
use super::view::DayView;

/// Connections that read and are kept for the next read, and opened Parquet files likewise.
const KEPT: usize = 32;
/// A connection that nobody used for this long is closed.
const KEPT_FOR: Duration = Duration::from_secs(60);
const READING: &str = "reading ticks";

/// Where the ticks of a day are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// In a database; beside a Parquet file, it holds what came after the seal.
    pub(crate) database: bool,
    /// In a Parquet file.
    pub(crate) parquet: bool,
}

/// The commits that added ticks to a day: none before `first`, none after `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revisions {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

#[derive(Debug)]
struct Entry {
    /// Readers share it; who moves the day's files has it alone.
    state: RwLock<State>,
    revisions: Mutex<Option<Revisions>>,
    /// What its Parquet file says, once that was read; nothing where its files were moved meanwhile.
    sealed_names: Mutex<Option<SealedNames>>,
    /// Why it is left alone: a file of it could not be used when the store was opened, and nothing may take the place of
    /// what is in it.
    left_out: Option<String>,
}

impl Entry {
    fn new(state: State, revisions: Option<Revisions>, left_out: Option<String>) -> Self {
        Self { state: RwLock::new(state), revisions: Mutex::new(revisions), sealed_names: Mutex::default(), left_out }
    }
}

#[derive(Debug)]
pub(crate) struct Days {
    pub(crate) folder: Folder,
    entries: RwLock<BTreeMap<Day, Arc<Entry>>>,
    /// Days that could not be used when they were asked last, each of which was logged once.
    unusable: Mutex<BTreeSet<Day>>,
    kept: Mutex<Kept>,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    readers: Vec<(Day, Instant, DayReader)>,
    sealed: Vec<(Day, Arc<Sealed>)>,
}

impl Days {
    pub(crate) fn new(
        folder: Folder,
        days: BTreeMap<Day, (State, Revisions)>,
        left_out: BTreeMap<Day, (String, Option<Revisions>)>,
    ) -> Self {
        let known = days.into_iter().map(|(day, (state, revisions))| (day, Entry::new(state, Some(revisions), None)));
        // Without files that can be used.
        let left_out = left_out
            .into_iter()
            .map(|(day, (why, revisions))| (day, Entry::new(State::default(), revisions, Some(why))));
        let entries = known.chain(left_out).map(|(day, entry)| (day, Arc::new(entry)));
        Self {
            folder,
            entries: RwLock::new(entries.collect()),
            unusable: Mutex::default(),
            kept: Mutex::default(),
            closing: AtomicBool::new(false),
        }
    }

    /// Ends seals and unseals that are under way.
    pub(crate) fn begin_to_close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The days that touch `range`, the earliest first.
    pub(crate) fn within(&self, range: TimeRange) -> Vec<Day> {
        if range.from >= range.to {
            return Vec::new();
        }
        let days = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        days.range(Day::of(range.from)..=Day::of(range.to.earlier(1))).map(|(day, _)| *day).collect()
    }

    /// All days, the earliest first.
    pub(crate) fn all(&self) -> Vec<Day> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Refuses a day that is left alone until the store is opened again.
    pub(crate) fn check(&self, day: Day, operation: &'static str) -> Result<()> {
        let Some(why) = self.entry(day).and_then(|entry| entry.left_out.clone()) else { return Ok(()) };
        let context = format!(
            "the ticks of {day} could not be used when the store was opened; mend the file or move it away, then start \
             again: {why}"
        );
        Err(Error::new(ErrorKind::Unsupported, operation, context))
    }

    pub(crate) fn state(&self, day: Day) -> Option<State> {
        self.entry(day).map(|entry| *shared(&entry))
    }

    pub(crate) fn revisions(&self, day: Day) -> Option<Revisions> {
        *lock(&self.entry(day)?.revisions)
    }

    /// Notes that the commit of `revision` is going to add ticks to a day. Before that is committed: a follower that sees
    /// the commit must look at the day.
    pub(crate) fn note(&self, day: Day, revision: i64) {
        let Some(entry) = self.entry(day) else { return };
        let mut revisions = lock(&entry.revisions);
        let first = revisions.map_or(revision, |known| known.first);
        *revisions = Some(Revisions { first, last: revision });
    }

    /// Changes where the ticks of a day are, with nobody reading it meanwhile; `work` may move its files.
    pub(crate) fn alone<T>(&self, day: Day, work: impl FnOnce(&mut State) -> T) -> T {
        let entry = {
            let mut days = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            days.entry(day).or_insert_with(|| Arc::new(Entry::new(State::default(), None, None))).clone()
        };
        let mut state: RwLockWriteGuard<'_, State> = entry.state.write().unwrap_or_else(PoisonError::into_inner);
        // They would go on reading files that are no more, and keep their logs.
        self.forget(day);
        *lock(&entry.sealed_names) = None;
        let answer = work(&mut state);
        if !state.database && !state.parquet {
            self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&day);
        }
        answer
    }

    /// Whether a day may have ticks of `symbol`, as far as that is known without opening it.
    pub(crate) fn may_hold(&self, day: Day, symbol: &str) -> bool {
        let Some(entry) = self.entry(day) else { return false };
        let state = shared(&entry);
        state.database || lock(&entry.sealed_names).as_ref().is_none_or(|names| names.may_hold(symbol))
    }

    /// Reads a day; `None` where there is none.
    pub(crate) fn with<T>(&self, day: Day, work: impl FnOnce(&DayView<'_>) -> Result<T>) -> Result<Option<T>> {
        self.check(day, READING)?;
        self.read(day, work).map_err(|error| {
            if !error.needs_mending() {
                return error;
            }
            let files = self.folder.database(day).with_extension("*");
            let context = format!("the ticks of {day} in {} cannot be read", files.display());
            Error::new(error.kind(), READING, context).with_source(error)
        })
    }

    /// The same for whoever goes on with the other days: the answer itself may be that this one needs mending.
    pub(crate) fn with_if_usable<T>(
        &self,
        day: Day,
        work: impl FnOnce(&DayView<'_>) -> Result<T>,
    ) -> Result<Result<Option<T>>> {
        let answer = self.with(day, work);
        let mut unusable = lock(&self.unusable);
        match answer {
            Err(error) if error.needs_mending() => {
                if unusable.insert(day) {
                    tracing::error!(%error, %day, "a day of ticks is passed over until its files are mended; the others go on");
                }
                Ok(Err(error))
            }
            Ok(answer) => {
                unusable.remove(&day);
                Ok(Ok(answer))
            }
            Err(error) => Err(error),
        }
    }

    fn read<T>(&self, day: Day, work: impl FnOnce(&DayView<'_>) -> Result<T>) -> Result<Option<T>> {
        let Some(entry) = self.entry(day) else { return Ok(None) };
        let state = shared(&entry);
        let database = if state.database { Some(self.lend(day)?) } else { None };
        let sealed = if state.parquet { Some(self.sealed(day)?) } else { None };
        if let Some(sealed) = &sealed {
            let mut names = lock(&entry.sealed_names);
            if names.is_none() {
                *names = SealedNames::of(sealed.symbols());
            }
        }
        let view = DayView { day, state: *state, database: database.as_ref(), sealed: sealed.as_deref() };
        let answer = work(&view)?;
        if let Some(database) = database {
            self.give_back(day, database);
        }
        Ok(Some(answer))
    }

    /// The opened Parquet file of a day that has one.
    pub(crate) fn sealed(&self, day: Day) -> Result<Arc<Sealed>> {
        if let Some((_, sealed)) = self.kept().sealed.iter().find(|(of, _)| *of == day) {
            return Ok(sealed.clone());
        }
        let sealed = Arc::new(Sealed::open(&self.folder.parquet(day))?);
        let mut kept = self.kept();
        if kept.sealed.len() >= KEPT {
            kept.sealed.remove(0);
        }
        kept.sealed.push((day, sealed.clone()));
        Ok(sealed)
    }

    /// Closes connections that nobody used for a while, or all of them. Says how many are left.
    pub(crate) fn close_idle(&self, all: bool) -> usize {
        let mut kept = self.kept();
        kept.readers.retain(|(_, used, _)| !all && used.elapsed() < KEPT_FOR);
        kept.readers.len()
    }

    fn lend(&self, day: Day) -> Result<DayReader> {
        let found = {
            let mut kept = self.kept();
            let place = kept.readers.iter().rposition(|(of, ..)| *of == day);
            place.map(|place| kept.readers.remove(place))
        };
        if let Some((_, _, reader)) = found {
            return Ok(reader);
        }
        let path = self.folder.database(day);
        DayReader::open(&path, day).map_err(|refusal| refusal.into_error(READING, &path))
    }

    fn give_back(&self, day: Day, reader: DayReader) {
        let mut kept = self.kept();
        kept.readers.retain(|(_, used, _)| used.elapsed() < KEPT_FOR);
        if kept.readers.len() >= KEPT {
            kept.readers.remove(0);
        }
        kept.readers.push((day, Instant::now(), reader));
    }

    fn forget(&self, day: Day) {
        let mut kept = self.kept();
        kept.readers.retain(|(of, ..)| *of != day);
        kept.sealed.retain(|(of, _)| *of != day);
    }

    fn entry(&self, day: Day) -> Option<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&day).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shared(entry: &Entry) -> RwLockReadGuard<'_, State> {
    entry.state.read().unwrap_or_else(PoisonError::into_inner)
}
