//! Ticks that are new since a cursor: the key ranges that commits touched, read in the order of their revisions.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use tallybook_core::{Result, Tick};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::read;
use crate::PostgresStore;
use crate::changes::OPERATION;
use crate::error::failed;

/// Entries of the log that are looked at in one page.
const ENTRIES: i64 = 1_000;

const TOUCHED: &str = "SELECT t.rev, t.day, t.symbol, t.first_time, t.first_seq, t.last_time, t.last_seq, y.name \
    FROM tick_touched AS t JOIN tick_symbol AS y ON y.id = t.symbol \
    WHERE (t.rev, t.day, t.symbol) >= ($1, $2, $3) ORDER BY t.rev, t.day, t.symbol LIMIT $4";
const RANGE: &str = r#"SELECT "time", seq, received, bid, ask, volume, source, shape FROM tick
    WHERE symbol = $1 AND ("time", seq) > ($2, $3) AND ("time", seq) <= ($4, $5) AND "time" BETWEEN $2 AND $4
    ORDER BY "time", seq LIMIT $6"#;

/// How far a follower has read the log: up to this key of this entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TouchedCursor {
    rev: i64,
    day: i64,
    symbol: i32,
    time: i64,
    seq: i64,
}

/// An entry of the log.
struct Touched {
    at: TouchedCursor,
    first: (i64, i64),
    last: (i64, i64),
    symbol: Arc<str>,
}

impl TouchedCursor {
    /// The revision it is in.
    pub(crate) fn revision(&self) -> i64 {
        self.rev
    }
}

impl fmt::Display for TouchedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rev, day, symbol, time, seq } = self;
        write!(f, "{rev} {day} {symbol} {time} {seq}")
    }
}

impl FromStr for TouchedCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().and_then(|part| part.parse::<i64>().ok()).ok_or(());
        let (rev, day, symbol) = (next()?, next()?, i32::try_from(next()?).map_err(|_| ())?);
        let cursor = Self { rev, day, symbol, time: next()?, seq: next()? };
        if parts.next().is_some() { Err(()) } else { Ok(cursor) }
    }
}

/// Up to `limit` ticks behind the cursor, the cursor behind them, and whether there are more.
pub(crate) async fn changes(
    store: &PostgresStore,
    snapshot: &Transaction<'_>,
    mut cursor: TouchedCursor,
    limit: usize,
) -> Result<(Vec<Tick>, TouchedCursor, bool)> {
    let mut ticks = Vec::new();
    loop {
        let entries = entries(snapshot, cursor).await?;
        let full = entries.len() as i64 == ENTRIES;
        let mut moved = false;
        for Touched { at, first, last, symbol } in entries {
            // The entry the cursor is in goes on where it was left; another begins before its first key.
            let same = (at.rev, at.day, at.symbol) == (cursor.rev, cursor.day, cursor.symbol);
            let behind = if same { (cursor.time, cursor.seq) } else { (first.0, first.1 - 1) };
            if behind >= last {
                continue;
            }
            let room = limit - ticks.len();
            if room == 0 {
                return Ok((ticks, cursor, true));
            }
            // One more than there is room for, to know whether the entry ends here.
            let mut page = range(store, snapshot, at.symbol, behind, last, room.saturating_add(1), &symbol).await?;
            if page.len() > room {
                page.truncate(room);
                let (time, seq) = page.last().map_or(behind, |tick| (tick.time.0, tick.seq.cast_signed()));
                ticks.extend(page);
                return Ok((ticks, TouchedCursor { time, seq, ..at }, true));
            }
            cursor = TouchedCursor { time: last.0, seq: last.1, ..at };
            ticks.extend(page);
            moved = true;
        }
        if !full || !moved {
            return Ok((ticks, cursor, false));
        }
    }
}

async fn entries(snapshot: &Transaction<'_>, cursor: TouchedCursor) -> Result<Vec<Touched>> {
    let error = |error| failed(OPERATION, error);
    let statement = snapshot.prepare_cached(TOUCHED).await.map_err(error)?;
    let parameters: [&(dyn ToSql + Sync); 4] = [&cursor.rev, &cursor.day, &cursor.symbol, &ENTRIES];
    let rows = snapshot.query(&statement, &parameters).await.map_err(error)?;
    let touched = |row: &Row| -> Result<Touched, tokio_postgres::Error> {
        let at = TouchedCursor { rev: row.try_get(0)?, day: row.try_get(1)?, symbol: row.try_get(2)?, time: 0, seq: 0 };
        Ok(Touched {
            at,
            first: (row.try_get(3)?, row.try_get(4)?),
            last: (row.try_get(5)?, row.try_get(6)?),
            symbol: row.try_get::<_, &str>(7)?.into(),
        })
    };
    rows.iter().map(|row| touched(row).map_err(error)).collect()
}

async fn range(
    store: &PostgresStore,
    snapshot: &Transaction<'_>,
    symbol: i32,
    behind: (i64, i64),
    last: (i64, i64),
    limit: usize,
    name: &Arc<str>,
) -> Result<Vec<Tick>> {
    let error = |error| failed(OPERATION, error);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters: [&(dyn ToSql + Sync); 6] = [&symbol, &behind.0, &behind.1, &last.0, &last.1, &limit];
    let statement = snapshot.prepare_cached(RANGE).await.map_err(error)?;
    let rows = snapshot.query(&statement, &parameters).await.map_err(error)?;
    read::read(store, snapshot, &rows, |_| name.clone()).await
}
