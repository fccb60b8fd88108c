//! The thread that writes the files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tallybook_core::{DAY, Store, Tick, TickQuery, TimeRange, Timestamp};
use tokio::runtime::Handle;

use super::append::append;
use super::remembered::Remembered;
use super::{DailyOptions, Message, Shared};
use crate::{FileError, FileWriter, InputFile, Page, Progress, read};

/// How often days that are behind are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The wait after an attempt to write a day anew that failed, and how many times its own length after each.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const REST: u32 = 4;
/// Ticks that are read of the store at a time.
const PAGE: usize = 20_000;

pub(super) struct Worker {
    store: Arc<dyn Store>,
    options: DailyOptions,
    shared: Arc<Shared>,
    runtime: Handle,
    remembered: Remembered,
    /// Days that were written anew: what ended before is in their files, what began after is not, and of what lies between
    /// it is not known.
    rewritten: HashMap<Timestamp, Between>,
    rewrite_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Between {
    from: u64,
    to: u64,
}

type Key = (Arc<str>, Timestamp, u64);

impl Worker {
    pub(super) fn new(store: Arc<dyn Store>, options: DailyOptions, shared: Arc<Shared>, runtime: Handle) -> Self {
        let (remembered, rewritten) = (Remembered::default(), HashMap::new());
        Self { store, options, shared, runtime, remembered, rewritten, rewrite_at: Instant::now() }
    }

    /// Writes anew what the last run did not finish, while nobody writes to the store.
    pub(super) fn begin(mut self) -> Result<Self, FileError> {
        let folder = self.options.folder.clone();
        let failed = |error: io::Error| FileError::because(&folder, "the folder of daily files cannot be used", error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let days = match Remembered::read(&folder).map_err(failed)? {
            Some(last) => last.open.union(&last.behind).copied().collect(),
            // The first run: the day that goes on begins with what the store holds of it.
            None => std::collections::BTreeSet::from([Timestamp::now().day()]),
        };
        for day in days {
            if let Err(error) = self.rewrite(day) {
                tracing::warn!(%error, "a daily file could not be written anew; it is tried again");
                self.fell_behind(day, &error.to_string());
            }
        }
        self.remember().map_err(failed)?;
        Ok(self)
    }

    /// Writes what comes until nobody sends any more.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Result<(), FileError> {
        loop {
            match messages.recv_timeout(LOOK_EVERY) {
                Ok(message) => self.take(&message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.catch_up();
        }
        self.rewrite_at = Instant::now();
        while self.catch_up() {}
        self.remembered.open.clear();
        let written = self.remember();
        let folder = &self.options.folder;
        written.map_err(|error| FileError::because(folder, "the folder of daily files cannot be used", error))?;
        match self.shared.state().last_error.clone().filter(|_| !self.remembered.behind.is_empty()) {
            Some(error) => Err(FileError::new(folder, format!("daily files are not whole: {error}"))),
            None => Ok(()),
        }
    }

    fn take(&mut self, message: &Message) {
        let mut days: BTreeMap<Timestamp, Vec<&Tick>> = BTreeMap::new();
        for tick in &message.batch.records.ticks {
            days.entry(tick.time.day()).or_default().push(tick);
        }
        for (day, ticks) in days {
            let count = ticks.len() as u64;
            if self.shared.state().behind.contains(&day) {
                self.shared.missed.fetch_add(count, Ordering::Relaxed);
                continue;
            }
            match self.add(day, ticks, message) {
                Ok(written) => drop(self.shared.written.fetch_add(written, Ordering::Relaxed)),
                Err(error) => {
                    self.shared.missed.fetch_add(count, Ordering::Relaxed);
                    let path = self.options.path(day);
                    tracing::error!(path = %path.display(), %error, "a daily file could not be written; it is written anew from the store");
                    self.fell_behind(day, &format!("{}: {error}", path.display()));
                }
            }
        }
        self.shared.queued.fetch_sub(message.batch.records.ticks.len() as u64, Ordering::Relaxed);
    }

    /// Adds ticks to the file of their day, and says how many it added.
    fn add(&mut self, day: Timestamp, mut ticks: Vec<&Tick>, message: &Message) -> io::Result<u64> {
        let path = self.options.path(day);
        let mut some_known = message.some_known;
        if let Some(between) = self.rewritten.get(&day) {
            if message.ended <= between.from {
                return Ok(0);
            }
            some_known |= message.began <= between.to;
        }
        if some_known {
            self.leave_out_known(&path, &mut ticks).map_err(io::Error::other)?;
        }
        if ticks.is_empty() {
            return Ok(0);
        }
        if self.remembered.open.insert(day) {
            self.remember()?;
        }
        append(&path, self.options.lines, &self.options.broker_id, &ticks)?;
        Ok(ticks.len() as u64)
    }

    /// Leaves out ticks that the file holds, and of two that are the same tick the second.
    fn leave_out_known(&self, path: &Path, ticks: &mut Vec<&Tick>) -> Result<(), FileError> {
        let mut unknown: HashSet<Key> = ticks.iter().map(|tick| key(tick)).collect();
        each_tick(path, self.input(path)?.as_ref(), |tick| {
            unknown.remove(&key(tick));
        })?;
        ticks.retain(|tick| unknown.remove(&key(tick)));
        Ok(())
    }

    /// The file, where there is one.
    fn input(&self, path: &Path) -> Result<Option<InputFile>, FileError> {
        if path.exists() {
            let found = crate::find(&[path.to_owned()], Some(self.options.kind()))?;
            return Ok(found.into_iter().next());
        }
        Ok(None)
    }

    /// Writes one day anew that is behind, if it is time for that; says whether there may be another.
    fn catch_up(&mut self) -> bool {
        if Instant::now() < self.rewrite_at {
            return false;
        }
        let Some(day) = self.shared.state().behind.first().copied() else { return false };
        let begun = Instant::now();
        let rewritten = self.rewrite(day);
        self.rewrite_at = Instant::now() + begun.elapsed() * REST;
        if let Err(error) = &rewritten {
            self.fell_behind(day, &error.to_string());
            self.rewrite_at += RETRY_AFTER;
            return false;
        }
        if let Err(error) = self.remember() {
            tracing::warn!(%error, "it could not be noted that a daily file is whole");
        }
        true
    }

    /// Writes the file of a day anew from the store.
    fn rewrite(&mut self, day: Timestamp) -> Result<(), FileError> {
        let path = self.options.path(day);
        let from = self.shared.state().tick();
        let mut there = 0_u64;
        let whole = self.input(&path)?;
        // A file that broke off says what it says.
        let _broken = each_tick(&path, whole.as_ref(), |_| there += 1);
        let unread = |error: tallybook_core::Error| FileError::because(&path, "the store cannot be read", error);
        let range = TimeRange { from: day, to: Timestamp(day.0.saturating_add(DAY)) };
        let symbols = self.runtime.block_on(self.store.symbols(range)).map_err(unread)?;
        let mut writer = FileWriter::<Tick>::create(&path, self.options.kind(), &self.options.broker_id)?;
        for symbol in symbols {
            let mut query = TickQuery { symbol: symbol.symbol, range, after: None, newest_first: false, limit: PAGE };
            loop {
                let page = self.runtime.block_on(self.store.ticks(&query)).map_err(unread)?;
                writer.push(&page)?;
                query.after = page.last().map(Tick::key);
                if page.len() < PAGE {
                    break;
                }
            }
        }
        if writer.records() < there {
            // Retention, or another store: what the file holds must not be lost.
            let what = format!("it holds {there} ticks, and the store only {}; it stays as it is", writer.records());
            tracing::warn!(path = %path.display(), "{what}");
        } else if writer.records() > 0 {
            writer.finish()?;
            self.shared.rewritten.fetch_add(1, Ordering::Relaxed);
        }
        let mut state = self.shared.state();
        let to = state.tick();
        state.behind.remove(&day);
        if state.behind.is_empty() {
            state.last_error = None;
        }
        drop(state);
        self.rewritten.insert(day, Between { from, to });
        Ok(())
    }

    fn fell_behind(&mut self, day: Timestamp, error: &str) {
        let mut state = self.shared.state();
        state.behind.insert(day);
        state.last_error = Some(error.into());
        drop(state);
        if let Err(error) = self.remember() {
            tracing::warn!(%error, "it could not be noted that a daily file is not whole");
        }
    }

    fn remember(&mut self) -> io::Result<()> {
        self.remembered.behind = self.shared.state().behind.clone();
        self.remembered.write(&self.options.folder)
    }
}

fn key(tick: &Tick) -> Key {
    (tick.symbol.clone(), tick.time, tick.seq)
}

/// Gives every tick of a file to `each`; of none where there is no file.
fn each_tick(path: &Path, file: Option<&InputFile>, mut each: impl FnMut(&Tick)) -> Result<(), FileError> {
    let Some(file) = file else { return Ok(()) };
    let mut bad = 0;
    read(file, Timestamp(0), &Progress::default(), |page: Page<Tick>| {
        bad += page.bad.len();
        page.records.iter().for_each(&mut each);
        ControlFlow::Continue(())
    })?;
    if bad > 0 {
        return Err(FileError::new(path, format!("{bad} records in it cannot be read")));
    }
    Ok(())
}
