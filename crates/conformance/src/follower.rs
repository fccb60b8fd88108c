//! What a follower knows who reads nothing but `changes`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybook_core::{Cursor, Row, Store, TABLES, Tick, TickKey, Value};

use crate::support::Contents;

/// Rows by table and key, and ticks by symbol and key, as the stream of changes told them; checks on the way what the stream promises.
#[derive(Debug)]
pub(crate) struct Follower {
    cursor: Cursor,
    last_revision: u64,
    tables: Vec<BTreeMap<Vec<Value>, Row>>,
    ticks: BTreeMap<(Arc<str>, TickKey), Tick>,
}

impl Follower {
    pub(crate) fn new() -> Self {
        Self {
            cursor: Cursor::START,
            last_revision: 0,
            tables: TABLES.iter().map(|_| BTreeMap::new()).collect(),
            ticks: BTreeMap::new(),
        }
    }

    /// Reads one page and says how many rows it had (ticks may come again and do not count) and whether more wait.
    pub(crate) async fn page(&mut self, store: &dyn Store, limit: usize) -> (usize, bool) {
        let page = store.changes(&self.cursor, limit).await.expect("the store lists changes");
        assert!(page.changes.len() <= limit, "{} changes where {limit} were asked for", page.changes.len());
        assert!(page.ticks.len() <= limit, "{} ticks where {limit} were asked for", page.ticks.len());
        let none = page.changes.is_empty() && page.ticks.is_empty();
        assert!(!none || !page.more || limit == 0, "more changes wait, but none came");
        let read = page.changes.len();
        let mut keys = BTreeSet::new();
        for change in page.changes {
            assert!(change.revision >= self.last_revision, "revision {} after {}", change.revision, self.last_revision);
            self.last_revision = change.revision;
            let at = change.table.place("following a store").expect("a change is of a table there is");
            let key = change.row[..change.table.key_len()].to_vec();
            assert!(keys.insert((at, key.clone())), "`{}` {key:?} twice in one page", change.table.name);
            self.tables[at].insert(key, change.row);
        }
        self.ticks.extend(page.ticks.into_iter().map(|tick| ((tick.symbol.clone(), tick.key()), tick)));
        // As it comes back from wherever a follower keeps it.
        self.cursor = Cursor(Cow::Owned(page.next.0.into_owned()));
        (read, page.more)
    }

    /// Reads to the end of the stream and says how many rows came.
    pub(crate) async fn catch_up(&mut self, store: &dyn Store, limit: usize) -> usize {
        let mut all = 0;
        loop {
            let (read, more) = self.page(store, limit).await;
            all += read;
            if !more {
                return all;
            }
        }
    }

    /// What it knows.
    pub(crate) fn contents(&self) -> Contents {
        Contents {
            rows: self.tables.iter().map(|rows| rows.values().cloned().collect()).collect(),
            ticks: self.ticks.values().cloned().collect(),
        }
    }

    /// What it knows of what is in `stored`: a pruned row or a dropped tick is not taken back from followers.
    pub(crate) fn contents_within(&self, stored: &Contents) -> Contents {
        let row = |at: usize, row: &Row| self.tables[at].get(&row[..TABLES[at].key_len()]).cloned();
        let rows = |(at, rows): (usize, &Vec<Row>)| rows.iter().filter_map(|known| row(at, known)).collect();
        let tick = |tick: &Tick| self.ticks.get(&(tick.symbol.clone(), tick.key())).cloned();
        Contents {
            rows: stored.rows.iter().enumerate().map(rows).collect(),
            ticks: stored.ticks.iter().filter_map(tick).collect(),
        }
    }
}
