//! What was counted since the last drain, by the hour (or day) in which it happened.

use std::collections::HashMap;
use std::time::Duration;

use tallybook_core::{DAY, HOUR, Timestamp};

use super::FoldOptions;
use super::names::NameId;
use super::shared::Pending;
use super::tally::{KeyRow, Tally};

/// The bucket a record goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Bucket {
    /// The hour that starts then, and its day.
    Hour(Timestamp),
    /// The day that starts then; its hours are pruned.
    Day(Timestamp),
    /// None: its day is pruned.
    None,
}

impl Bucket {
    /// The day it is in.
    pub(super) fn day(self) -> Option<Timestamp> {
        match self {
            Self::Hour(start) => Some(start.day()),
            Self::Day(start) => Some(start),
            Self::None => None,
        }
    }

    /// About how many rows a key or name makes that was counted in it: one for its service, one for all services, and
    /// its buckets.
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Hour(_) => 4,
            Self::Day(_) => 3,
            Self::None => 2,
        }
    }
}

/// The earliest moment a clock is trusted with: 2000-01-01.
const EARLIEST: u64 = 946_684_800_000_000_000;
/// How far a sender's clock may run ahead.
const MAX_AHEAD: i64 = 10 * 60 * 1_000_000_000;

/// Decides when a record happened, and whether that is still of interest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    received: Timestamp,
    latest: u64,
    first_hour: Timestamp,
    first_day: Timestamp,
    /// Records whose own time cannot be.
    pub(super) corrected: u64,
}

impl Clock {
    pub(super) fn new(received: Timestamp, options: &FoldOptions) -> Self {
        // Before 1970 there is nothing to count, and no window that starts at a moment there is.
        let received = received.max(Timestamp(0));
        let oldest = |retention: Duration| received.earlier(i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX));
        Self {
            received,
            latest: received.0.saturating_add(MAX_AHEAD) as u64,
            // The first window that starts inside the retention is the first that a prune leaves.
            first_hour: Timestamp(oldest(options.hour_retention).0.saturating_add(HOUR - 1)).hour(),
            first_day: Timestamp(oldest(options.day_retention).0.saturating_add(DAY - 1)).day(),
            corrected: 0,
        }
    }

    /// `own` (or `other` where the record does not say), unless that cannot be: then the time of receipt.
    #[inline]
    pub(super) fn time(&mut self, own: u64, other: u64) -> Timestamp {
        let time = if own == 0 { other } else { own };
        if (EARLIEST..=self.latest).contains(&time) {
            return Timestamp(time as i64);
        }
        self.corrected += 1;
        self.received
    }

    /// The bucket of a moment, and the moments around it that share it: from (included) to (not included).
    fn bucket(&self, time: Timestamp) -> (Bucket, Timestamp, Timestamp) {
        let (hour, day) = (time.hour(), time.day());
        if hour >= self.first_hour {
            (Bucket::Hour(hour), hour, Timestamp(hour.0.saturating_add(HOUR)))
        } else if day >= self.first_day {
            (Bucket::Day(day), day, self.first_hour.min(Timestamp(day.0.saturating_add(DAY))))
        } else {
            (Bucket::None, Timestamp(i64::MIN), self.first_hour.min(self.first_day))
        }
    }
}

/// Where the records of a name are counted: a window and a row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    window: u32,
    row: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { window: u32::MAX, row: u32::MAX }
    }
}

/// What was counted of one name in one bucket. `F` is what only this signal counts.
#[derive(Debug)]
pub(super) struct Row<F> {
    pub(super) name: NameId,
    pub(super) tally: Tally,
    /// The stamp of its latest record.
    pub(super) latest: u64,
    /// The group of records that was counted here last, and its place in the list of what that group touched.
    pub(super) group: u64,
    pub(super) touched: u32,
    /// By slot of the name's keys.
    pub(super) keys: Vec<KeyRow>,
    pub(super) facts: F,
}

impl<F> Row<F> {
    /// What is counted of the key in a slot, about to be added to; `slots` is how many the name has.
    #[inline]
    pub(super) fn key(&mut self, slot: u16, slots: usize, bucket: Bucket, pending: &mut Pending) -> &mut KeyRow {
        if usize::from(slot) >= self.keys.len() {
            self.make_room(slots, pending);
        }
        let key = &mut self.keys[usize::from(slot)];
        if key.tally.is_empty() {
            pending.rows += bucket.rows();
        }
        key
    }

    #[cold]
    fn make_room(&mut self, slots: usize, pending: &mut Pending) {
        pending.bytes += (slots - self.keys.len()) * size_of::<KeyRow>();
        self.keys.reserve_exact(slots - self.keys.len());
        self.keys.resize_with(slots, KeyRow::default);
    }
}

/// All rows of one bucket.
#[derive(Debug)]
pub(super) struct Window<F> {
    pub(super) bucket: Bucket,
    pub(super) rows: Vec<Row<F>>,
    by_name: hashbrown::HashMap<NameId, u32>,
}

#[derive(Debug)]
pub(super) struct Windows<F> {
    list: Vec<Window<F>>,
    by_bucket: HashMap<Bucket, u32>,
    /// The window of the latest record, and the moments that belong to it: from (included) to (not included).
    current: u32,
    from: Timestamp,
    to: Timestamp,
}

impl<F> Windows<F> {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            by_bucket: HashMap::new(),
            current: u32::MAX,
            from: Timestamp(i64::MAX),
            to: Timestamp(i64::MIN),
        }
    }

    /// Forgets which moments belong to the latest window: another clock may see them elsewhere.
    pub(super) fn forget_current(&mut self) {
        (self.from, self.to) = (Timestamp(i64::MAX), Timestamp(i64::MIN));
    }

    /// The window of a moment.
    #[inline]
    pub(super) fn at(&mut self, time: Timestamp, clock: &Clock) -> u32 {
        if time < self.from || time >= self.to {
            self.go_to(time, clock);
        }
        self.current
    }

    fn go_to(&mut self, time: Timestamp, clock: &Clock) {
        let (bucket, from, to) = clock.bucket(time);
        (self.from, self.to) = (from, to);
        self.current = *self.by_bucket.entry(bucket).or_insert_with(|| {
            self.list.push(Window { bucket, rows: Vec::new(), by_name: hashbrown::HashMap::new() });
            self.list.len() as u32 - 1
        });
    }

    /// The place of a name in a window, where it was last time or wherever it is.
    #[inline]
    pub(super) fn place(&self, window: u32, name: NameId, last: Place) -> Option<Place> {
        if last.window == window && self.row(last).is_some_and(|row| row.name == name) {
            return Some(last);
        }
        let row = *self.list[window as usize].by_name.get(&name)?;
        Some(Place { window, row })
    }

    /// A new row for a name.
    pub(super) fn add(&mut self, window: u32, name: NameId, pending: &mut Pending) -> Place
    where
        F: Default,
    {
        let held = &mut self.list[window as usize];
        let row = held.rows.len() as u32;
        // The entry in the index and what stands around the row count about as much again.
        pending.bytes += size_of::<Row<F>>() + 32;
        pending.rows += held.bucket.rows();
        held.by_name.insert(name, row);
        held.rows.push(Row {
            name,
            tally: Tally::default(),
            latest: 0,
            group: 0,
            touched: 0,
            keys: Vec::new(),
            facts: F::default(),
        });
        Place { window, row }
    }

    #[inline]
    fn row(&self, place: Place) -> Option<&Row<F>> {
        self.list.get(place.window as usize)?.rows.get(place.row as usize)
    }

    /// The row at a place that this gave since the last drain, and its bucket.
    #[inline]
    pub(super) fn row_mut(&mut self, place: Place) -> (&mut Row<F>, Bucket) {
        let window = &mut self.list[place.window as usize];
        (&mut window.rows[place.row as usize], window.bucket)
    }

    /// All rows of a name, each with its bucket.
    pub(super) fn rows_of(&mut self, name: NameId) -> impl Iterator<Item = (&mut Row<F>, Bucket)> {
        self.list.iter_mut().filter_map(move |window| {
            let row = *window.by_name.get(&name)?;
            Some((window.rows.get_mut(row as usize)?, window.bucket))
        })
    }

    /// Takes all windows.
    pub(super) fn drain(&mut self) -> Vec<Window<F>> {
        std::mem::replace(self, Self::new()).list
    }
}
