//! The SQLite store as a follower of another store: pages of changes are written over what is there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use tallybook_core::{
    Ack, Batch, BatchId, Change, Changes, Cursor, Follower, Following, Records, Result, Row, SourceId, Store as _,
    StoreId, TABLES, Table,
};

use crate::engine::Engine;
use crate::error::{commit_failed, failed};
use crate::sql::{self, quoted};
use crate::{SqliteStore, write};

const FOLLOWING: &str = "following a primary";

/// What the store is to others: a name, and perhaps a follower.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) id: StoreId,
    /// Whether it follows another store, which ends with the first record of its own.
    pub(crate) follows: bool,
    /// The last page it followed; the days remember it like a batch.
    pages: BatchId,
}

impl Role {
    pub(crate) fn read(connection: &Connection) -> Result<Self> {
        let id: rusqlite::Result<String> = connection.query_row("SELECT id FROM store_id", [], |row| row.get(0));
        Ok(Self {
            id: id.map_err(|error| failed(FOLLOWING, error))?.parse()?,
            follows: known(connection)?.is_some(),
            pages: BatchId { source: SourceId::mint(), seq: 0 },
        })
    }
}

/// The primary it follows, and how far.
fn known(connection: &Connection) -> Result<Option<Following>> {
    let sql = "SELECT primary_id, cursor FROM following";
    let found = connection.query_row(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let found = found.optional().map_err(|error| failed(FOLLOWING, error))?;
    found
        .map(|(primary, cursor)| Ok(Following { primary: primary.parse()?, cursor: Cursor(cursor.into()) }))
        .transpose()
}

/// From now on the store has records of its own.
pub(crate) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM following", [])?;
    Ok(())
}

fn remember(connection: &Connection, primary: StoreId, cursor: &Cursor) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO following (single, primary_id, cursor) VALUES (1, ?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![primary.to_string(), cursor.0])?;
    Ok(())
}

impl Engine<'_> {
    fn resume(&self, primary: StoreId) -> Result<Cursor> {
        Following::resume(known(self.connection)?, Some(self.role.id), *self.revision == 0, primary)
    }

    /// Writes a page over what is there. The days come first, on disk before the cursor is.
    fn absorb(&mut self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        Following::check(&self.resume(primary)?, from)?;
        let error = |error| failed(FOLLOWING, error);
        let Changes { changes, ticks, next, more: _ } = page;
        let revision = *self.revision + 1;
        // A number of its own for each attempt: which ticks a day has is told by their keys alone.
        self.role.pages.seq += 1;
        let id = self.role.pages;
        let batch = Batch { id, ack: Ack::Durable, records: Records { ticks, ..Records::default() } };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
        for (table, rows) in by_table(changes) {
            write::write(&transaction, &sql::of(FOLLOWING, table)?.overwrite, &rows, revision).map_err(error)?;
        }
        self.segments.apply(&batch, revision)?;
        let written = self.segments.record(&transaction).and_then(|()| remember(&transaction, primary, &next));
        written.map_err(error)?;
        transaction.execute("UPDATE revision SET last = ?", [revision]).map_err(error)?;
        transaction.commit().map_err(|error| commit_failed(FOLLOWING, error))?;
        *self.revision = revision;
        self.segments.recorded();
        self.role.follows = true;
        Ok(())
    }

    /// Removes everything. The revision goes on, so that cursors of those who follow this store stay good.
    fn clear(&mut self, primary: StoreId) -> Result<()> {
        let error = |error| failed(FOLLOWING, error);
        // What an interrupted call leaves must not pass for records that were followed.
        forget(self.connection).map_err(error)?;
        for day in self.segments.days().all() {
            self.drop_segment(day)?;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
        for table in TABLES {
            transaction.execute(&format!("DELETE FROM {}", quoted(table.name)), []).map_err(error)?;
        }
        remember(&transaction, primary, &Cursor::START).map_err(error)?;
        transaction.commit().map_err(|error| commit_failed(FOLLOWING, error))?;
        self.role.follows = true;
        Ok(())
    }
}

/// The rows of each table, by key: neighbours in the file together.
fn by_table(changes: Vec<Change>) -> Vec<(&'static Table, Vec<Row>)> {
    let mut tables: BTreeMap<&str, (&'static Table, Vec<Row>)> = BTreeMap::new();
    for Change { table, revision: _, row } in changes {
        tables.entry(table.name).or_insert_with(|| (table, Vec::new())).1.push(row);
    }
    let sorted = |(table, mut rows): (&'static Table, Vec<Row>)| {
        let key = table.key_len();
        rows.sort_unstable_by(|a, b| a[..key].cmp(&b[..key]));
        (table, rows)
    };
    tables.into_values().map(sorted).collect()
}

#[async_trait]
impl Follower for SqliteStore {
    fn describe(&self) -> String {
        format!("SQLite {} at {}", rusqlite::version(), self.path().display())
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        self.writer().run(FOLLOWING, move |engine| engine.resume(primary)).await
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        let from = from.clone();
        self.writer().run_durable(FOLLOWING, move |engine| engine.absorb(primary, &from, page)).await
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        self.alone_on_writer(FOLLOWING, move |engine| engine.clear(primary)).await
    }

    async fn release(&self) -> Result<()> {
        self.close().await
    }
}
