//! What the store holds, and how a batch changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use tallybook_core::{
    BatchId, Change, Committed, Counts, ExecutionRecords, Following, Outcome, Records, Result, Row, SourceId, TABLES,
    Tick, TickKey, Timestamp, Value,
};

use crate::ticks::Ticks;

/// The values of a row's key columns, shared by the row's table and the list of changes.
pub(crate) type Key = Arc<[Value]>;

/// The rows that a batch has changed so far: their table's place in [`TABLES`], and their key.
pub(crate) type Touched = BTreeSet<(usize, Key)>;

#[derive(Debug)]
struct Stored {
    row: Row,
    revision: u64,
    /// Where the row stands in the list of changes.
    place: u64,
}

#[derive(Debug)]
enum Changed {
    /// The table's place in [`TABLES`], and the row's key.
    Row(usize, Key),
    Tick(Arc<str>, TickKey),
}

/// Rows and ticks that changed.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) changes: Vec<Change>,
    pub(crate) ticks: Vec<Tick>,
    /// The place of the last one.
    pub(crate) next: u64,
    pub(crate) more: bool,
}

#[derive(Debug)]
struct LastBatch {
    seq: u64,
    committed: Committed,
}

/// All rows and ticks, what changed when, and the last batch of each source.
#[derive(Debug)]
pub(crate) struct State {
    /// In the order of [`TABLES`].
    tables: Vec<BTreeMap<Key, Stored>>,
    pub(crate) ticks: Ticks,
    /// The last change of each row and tick by its place: rising revisions, within one the order of [`TABLES`], then of
    /// keys, then ticks as they came.
    changed: BTreeMap<u64, Changed>,
    last_place: u64,
    last_revision: u64,
    last_batch: HashMap<SourceId, LastBatch>,
    /// Until it takes records of its own.
    pub(crate) following: Option<Following>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tables: TABLES.iter().map(|_| BTreeMap::new()).collect(),
            ticks: Ticks::default(),
            changed: BTreeMap::new(),
            last_place: 0,
            last_revision: 0,
            last_batch: HashMap::new(),
            following: None,
        }
    }
}

impl State {
    /// Applies normalised rows by table, then moves, pings and ticks, unless the batch is known.
    pub(crate) fn apply(
        &mut self,
        id: BatchId,
        tables: Vec<(usize, Vec<Row>)>,
        records: &Records,
    ) -> Result<Committed> {
        let Records {
            catalogue,
            pings,
            ping_targets: _,
            alert_rules: _,
            probers: _,
            ticks,
            executions,
            dead_letters: _,
        } = records;
        if let Some(last) = self.last_batch.get(&id.source).filter(|last| id.seq <= last.seq) {
            // Of older batches the counts are forgotten.
            let counts = |counts| if id.seq == last.seq { counts } else { Counts::default() };
            let Committed { outcome: _, pings, ticks, executions } = last.committed;
            return Ok(Committed {
                outcome: Outcome::Duplicate,
                pings: counts(pings),
                ticks: counts(ticks),
                executions: counts(executions),
            });
        }
        self.following = None;
        let mut touched = Touched::new();
        let (mut unique, mut changed) = (0, 0);
        for (at, rows) in tables {
            let counts = ExecutionRecords::owns(TABLES[at]);
            for row in rows {
                let folded = self.fold(at, row, &mut touched);
                unique += u64::from(counts);
                changed += u64::from(counts && folded);
            }
        }
        for step in &catalogue.template_moves {
            self.move_template(step, &mut touched)?;
        }
        let pings = self.add_pings(pings, &mut touched)?;
        self.list_changes(touched);
        let committed = Committed {
            outcome: Outcome::Applied,
            pings,
            ticks: self.add_ticks(ticks),
            executions: executions.counts(unique, changed),
        };
        self.last_batch.insert(id.source, LastBatch { seq: id.seq, committed });
        Ok(committed)
    }

    pub(crate) fn get(&self, at: usize, key: &[Value]) -> Option<&Row> {
        self.tables[at].get(key).map(|stored| &stored.row)
    }

    /// The rows with `from <= key < to`, by key.
    pub(crate) fn between(&self, at: usize, from: &[Value], to: &[Value]) -> impl Iterator<Item = &Row> {
        self.tables[at].range::<[Value], _>((Included(from), Excluded(to))).map(|(_, stored)| &stored.row)
    }

    /// The distinct beginnings of keys, `len` values long, at the cost of one seek for each.
    pub(crate) fn beginnings(&self, at: usize, len: usize) -> Vec<Row> {
        let rows = &self.tables[at];
        let mut found = Vec::new();
        let mut next = rows.keys().next();
        while let Some(key) = next {
            let beginning = key[..len].to_vec();
            let mut behind = beginning.clone();
            // Sorts behind everything that can follow: a key holds no sketch.
            behind.push(Value::Sketch(Arc::default()));
            next = rows.range::<[Value], _>((Excluded(behind.as_slice()), Unbounded)).next().map(|(key, _)| key);
            found.push(beginning);
        }
        found
    }

    /// Puts a row in the place of one that is there.
    pub(crate) fn overwrite(&mut self, at: usize, row: Row, touched: &mut Touched) {
        let key = Key::from(&row[..TABLES[at].key_len()]);
        if let Some(stored) = self.tables[at].get_mut(&key) {
            stored.row = row;
            touched.insert((at, key));
        }
    }

    /// Puts a row in its place, whatever is there.
    pub(crate) fn put(&mut self, at: usize, row: Row, touched: &mut Touched) {
        let key = Key::from(&row[..TABLES[at].key_len()]);
        let place = self.tables[at].get(&key).map_or(0, |stored| stored.place);
        self.tables[at].insert(key.clone(), Stored { row, revision: 0, place });
        touched.insert((at, key));
    }

    /// Whether nothing was ever written.
    pub(crate) fn is_new(&self) -> bool {
        self.last_revision == 0
    }

    /// Lists rows as changed by one commit.
    pub(crate) fn list_changes(&mut self, touched: Touched) {
        self.last_revision += 1;
        for (at, key) in touched {
            self.list_change(at, key);
        }
    }

    pub(crate) fn add_ticks(&mut self, ticks: &[Tick]) -> Counts {
        let mut counts = Counts::default();
        for tick in ticks {
            if self.ticks.insert(tick, self.last_place + 1) {
                self.last_place += 1;
                self.changed.insert(self.last_place, Changed::Tick(tick.symbol.clone(), tick.key()));
                counts.stored += 1;
            } else {
                counts.duplicate += 1;
            }
        }
        counts
    }

    /// Removes everything. Places and revisions go on, so that who follows this store goes on as well.
    pub(crate) fn clear(&mut self) {
        let (last_place, last_revision) = (self.last_place, self.last_revision);
        *self = Self { last_place, last_revision, ..Self::default() };
    }

    /// Removes a day of ticks and says how many it had.
    pub(crate) fn drop_day(&mut self, day: Timestamp) -> u64 {
        let places = self.ticks.drop_day(day);
        for place in &places {
            self.changed.remove(place);
        }
        places.len() as u64
    }

    /// Inserts or merges a row; says whether that changed anything.
    pub(crate) fn fold(&mut self, at: usize, row: Row, touched: &mut Touched) -> bool {
        let table = TABLES[at];
        let key = Key::from(&row[..table.key_len()]);
        match self.tables[at].get_mut(&key) {
            Some(stored) => {
                if !table.merge(&mut stored.row, row) {
                    return false;
                }
            }
            None => {
                self.tables[at].insert(key.clone(), Stored { row, revision: 0, place: 0 });
            }
        }
        touched.insert((at, key));
        true
    }

    fn list_change(&mut self, at: usize, key: Key) {
        let Some(stored) = self.tables[at].get_mut(&key) else { return };
        self.changed.remove(&stored.place);
        self.last_place += 1;
        stored.place = self.last_place;
        stored.revision = self.last_revision;
        self.changed.insert(stored.place, Changed::Row(at, key));
    }

    pub(crate) fn rows(&self, at: usize) -> impl Iterator<Item = &Row> {
        self.tables[at].values().map(|stored| &stored.row)
    }

    /// Up to `limit` changes behind `place`; `None` for a place that no change has had yet.
    pub(crate) fn changes(&self, place: u64, limit: usize) -> Option<Page> {
        if place > self.last_place {
            return None;
        }
        let mut behind = self.changed.range((Excluded(place), Unbounded));
        let mut page = Page { next: place, ..Page::default() };
        for (&place, changed) in behind.by_ref().take(limit) {
            page.next = place;
            match changed {
                Changed::Row(at, key) => page.changes.extend(self.tables[*at].get(key).map(|stored| Change {
                    table: TABLES[*at],
                    revision: stored.revision,
                    row: stored.row.clone(),
                })),
                Changed::Tick(symbol, key) => page.ticks.extend(self.ticks.get(symbol, *key).cloned()),
            }
        }
        page.more = behind.next().is_some();
        Some(page)
    }

    /// How many changes lie behind `place`; `None` for a place that no change has had yet.
    pub(crate) fn behind(&self, place: u64) -> Option<u64> {
        let behind = || self.changed.range((Excluded(place), Unbounded)).count() as u64;
        (place <= self.last_place).then(behind)
    }

    /// Removes rows by their keys and says how many of them were there.
    pub(crate) fn remove(&mut self, at: usize, rows: &[Row]) -> u64 {
        let mut removed = 0;
        for stored in rows.iter().filter_map(|row| self.tables[at].remove(&row[..TABLES[at].key_len()])) {
            self.changed.remove(&stored.place);
            removed += 1;
        }
        removed
    }
}
