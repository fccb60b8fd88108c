//! What a follower knows who reads nothing but `changes`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tallybook_core::{Cursor, Row, Store, TABLES, Table, Value};

/// Rows by table and key, as the stream of changes told them; checks on the way what the stream promises.
#[derive(Debug)]
pub(crate) struct Follower {
    cursor: Cursor,
    last_revision: u64,
    tables: Vec<BTreeMap<Vec<Value>, Row>>,
}

impl Follower {
    pub(crate) fn new() -> Self {
        Self { cursor: Cursor::START, last_revision: 0, tables: TABLES.iter().map(|_| BTreeMap::new()).collect() }
    }

    /// Reads one page and says how many rows it had and whether more wait.
    pub(crate) async fn page(&mut self, store: &dyn Store, limit: usize) -> (usize, bool) {
        let page = store.changes(&self.cursor, limit).await.expect("the store lists changes");
        assert!(page.changes.len() <= limit, "{} changes where {limit} were asked for", page.changes.len());
        assert!(!page.changes.is_empty() || !page.more || limit == 0, "more changes wait, but none came");
        let read = page.changes.len();
        let mut keys = BTreeSet::new();
        for change in page.changes {
            assert!(change.revision >= self.last_revision, "revision {} after {}", change.revision, self.last_revision);
            self.last_revision = change.revision;
            let at = table_index(change.table);
            let key = change.row[..change.table.key_len()].to_vec();
            assert!(keys.insert((at, key.clone())), "`{}` {key:?} twice in one page", change.table.name);
            self.tables[at].insert(key, change.row);
        }
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

    /// What it knows, in the shape of [`crate::support::contents`].
    pub(crate) fn contents(&self) -> Vec<Vec<Row>> {
        self.tables.iter().map(|rows| rows.values().cloned().collect()).collect()
    }

    /// What it knows of the rows that are in `stored`: a pruned row is not taken back from followers.
    pub(crate) fn contents_within(&self, stored: &[Vec<Row>]) -> Vec<Vec<Row>> {
        let known = |at: usize, row: &Row| self.tables[at].get(&row[..TABLES[at].key_len()]).cloned();
        stored.iter().enumerate().map(|(at, rows)| rows.iter().filter_map(|row| known(at, row)).collect()).collect()
    }
}

fn table_index(table: &Table) -> usize {
    TABLES.iter().position(|known| known.name == table.name).expect("a change is of a table there is")
}
