//! What the store holds, and how a batch changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use tallybook_core::{
    BatchId, Change, Outcome, Record, Row, Rules, SourceId, TABLES, Table, Template, TemplateBucket, TemplateMove,
    Value,
};

/// The values of a row's key columns, shared by the row's table and the list of changes.
pub(crate) type Key = Arc<[Value]>;

#[derive(Debug)]
struct Stored {
    row: Row,
    revision: u64,
    /// Where the row stands in the list of changes.
    place: u64,
}

/// All rows, what changed when, and the last batch of each source.
#[derive(Debug)]
pub(crate) struct State {
    /// In the order of [`TABLES`].
    tables: Vec<BTreeMap<Key, Stored>>,
    /// The last change of each row by its place: rising revisions, within one the order of [`TABLES`], then of keys.
    changed: BTreeMap<u64, (usize, Key)>,
    last_place: u64,
    last_revision: u64,
    last_seq: HashMap<SourceId, u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tables: TABLES.iter().map(|_| BTreeMap::new()).collect(),
            changed: BTreeMap::new(),
            last_place: 0,
            last_revision: 0,
            last_seq: HashMap::new(),
        }
    }
}

/// The place of a table in [`TABLES`].
pub(crate) fn table_index(table: &Table) -> Option<usize> {
    TABLES.iter().position(|known| known.name == table.name)
}

impl State {
    /// Applies normalised rows by table, then moves, unless the batch is known.
    pub(crate) fn apply(&mut self, id: BatchId, tables: Vec<(usize, Vec<Row>)>, moves: &[TemplateMove]) -> Outcome {
        if self.last_seq.get(&id.source).is_some_and(|&last| id.seq <= last) {
            return Outcome::Duplicate;
        }
        self.last_seq.insert(id.source, id.seq);
        let mut touched = BTreeSet::new();
        for (at, rows) in tables {
            for row in rows {
                self.fold(at, row, &mut touched);
            }
        }
        for step in moves {
            self.move_template(step, &mut touched);
        }
        self.last_revision += 1;
        for (at, key) in touched {
            self.list_change(at, key);
        }
        Outcome::Applied
    }

    fn fold(&mut self, at: usize, row: Row, touched: &mut BTreeSet<(usize, Key)>) {
        let table = TABLES[at];
        let key = Key::from(&row[..table.key_len()]);
        match self.tables[at].get_mut(&key) {
            Some(stored) => match table.rules {
                Rules::Keep => return,
                Rules::Merge => table.merge(&mut stored.row, row),
            },
            None => {
                self.tables[at].insert(key.clone(), Stored { row, revision: 0, place: 0 });
            }
        }
        touched.insert((at, key));
    }

    fn move_template(&mut self, step: &TemplateMove, touched: &mut BTreeSet<(usize, Key)>) {
        if step.from == step.to {
            return;
        }
        // Both keys end with service, severity and template; a bucket's begins with its window.
        let from = [step.service.as_ref().into(), step.severity.as_str().into(), step.from.as_ref().into()];
        for table in [Template::TABLE, TemplateBucket::TABLE] {
            let (Some(at), Some(count)) = (table_index(table), table.position("count")) else { continue };
            let text = table.key_len() - 1;
            for mut key in beginnings(&self.tables[at], table.key_len() - from.len()) {
                key.extend(from.iter().cloned());
                let Some(stored) = self.tables[at].get_mut(key.as_slice()) else { continue };
                if stored.row[count] == Value::Int(0) {
                    continue;
                }
                let mut moved = stored.row.clone();
                moved[text] = step.to.as_ref().into();
                stored.row[count] = Value::Int(0);
                touched.insert((at, key.into()));
                self.fold(at, moved, touched);
            }
        }
    }

    fn list_change(&mut self, at: usize, key: Key) {
        let Some(stored) = self.tables[at].get_mut(&key) else { return };
        self.changed.remove(&stored.place);
        self.last_place += 1;
        stored.place = self.last_place;
        stored.revision = self.last_revision;
        self.changed.insert(stored.place, (at, key));
    }

    pub(crate) fn rows(&self, at: usize) -> impl Iterator<Item = &Row> {
        self.tables[at].values().map(|stored| &stored.row)
    }

    /// Up to `limit` changes behind `place`, the place of the last one, and whether there are more; `None` for a place
    /// that no change has had yet.
    pub(crate) fn changes(&self, place: u64, limit: usize) -> Option<(Vec<Change>, u64, bool)> {
        if place > self.last_place {
            return None;
        }
        let mut behind = self.changed.range((Excluded(place), Unbounded));
        let mut next = place;
        let mut changes = Vec::new();
        for (&place, (at, key)) in behind.by_ref().take(limit) {
            let Some(stored) = self.tables[*at].get(key) else { continue };
            changes.push(Change { table: TABLES[*at], revision: stored.revision, row: stored.row.clone() });
            next = place;
        }
        Some((changes, next, behind.next().is_some()))
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

/// The distinct beginnings of keys, `len` values long, at the cost of one seek for each.
fn beginnings(rows: &BTreeMap<Key, Stored>, len: usize) -> Vec<Row> {
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
