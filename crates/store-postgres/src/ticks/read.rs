//! Ranges of ticks, totals, and days as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::GenericClient;
use tallybook_core::{
    DAY, Error, ErrorKind, Result, Segment, SymbolSummary, Tick, TickKey, TickQuery, TimeRange, Timestamp,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::shape;
use crate::PostgresStore;
use crate::commit::LOCK_COMMITS;
use crate::error::failed;

const READING: &str = "reading ticks";
const DROPPING: &str = "dropping a day of ticks";

/// `$1` symbol, `$2` and `$3` times, `$4` and `$5` the key behind which the page lies, `$6` the limit.
const OLDEST_FIRST: &str = r#"SELECT "time", seq, received, bid, ask, volume, source, shape FROM tick
    WHERE symbol = $1 AND "time" >= $2 AND "time" < $3 AND ("time", seq) > ($4, $5) ORDER BY "time", seq LIMIT $6"#;
const NEWEST_FIRST: &str = r#"SELECT "time", seq, received, bid, ask, volume, source, shape FROM tick
    WHERE symbol = $1 AND "time" >= $2 AND "time" < $3 AND ("time", seq) < ($4, $5)
    ORDER BY "time" DESC, seq DESC LIMIT $6"#;

/// See [`tallybook_core::TickStore::ticks`].
pub(crate) async fn ticks(store: &PostgresStore, query: &TickQuery) -> Result<Vec<Tick>> {
    let client = store.client(READING).await?;
    let error = |error| failed(READING, error);
    let Some(symbol) = store.names.symbol(&client, &query.symbol).await.map_err(error)? else {
        return Ok(Vec::new());
    };
    let TickQuery { symbol: name, range, after, newest_first, limit } = query;
    // The planner leaves out partitions by the times alone, so they follow the key.
    let key = |key: &TickKey| (key.time.0, i64::try_from(key.seq).unwrap_or(i64::MAX));
    let (sql, from, to, (time, seq)) = if *newest_first {
        let before = after.as_ref().map_or((i64::MAX, i64::MAX), key);
        (NEWEST_FIRST, range.from.0, range.to.0.min(before.0.saturating_add(1)), before)
    } else {
        let behind = after.as_ref().map_or((i64::MIN, -1), key);
        (OLDEST_FIRST, range.from.0.max(behind.0), range.to.0, behind)
    };
    let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
    let parameters: [&(dyn ToSql + Sync); 6] = [&symbol, &from, &to, &time, &seq, &limit];
    let statement = client.prepare_cached(sql).await.map_err(error)?;
    let rows = client.query(&statement, &parameters).await.map_err(error)?;
    read(store, &client, &rows, |_| name.clone()).await
}

/// Ticks from rows of `time, seq, received, bid, ask, volume, source, shape`.
pub(super) async fn read(
    store: &PostgresStore,
    client: &impl GenericClient,
    rows: &[Row],
    symbol: impl Fn(&Row) -> Arc<str>,
) -> Result<Vec<Tick>> {
    let error = |error| failed(READING, error);
    let sources = rows.iter().filter_map(|row| row.try_get::<_, i32>(6).ok());
    let sources = store.names.sources(client, sources).await.map_err(error)?;
    let tick = |row| tick(row, symbol(row), &sources).ok_or_else(|| Error::corrupt(READING, "a tick is damaged"));
    rows.iter().map(tick).collect()
}

fn tick(row: &Row, symbol: Arc<str>, sources: &HashMap<i32, Arc<str>>) -> Option<Tick> {
    let packed: i32 = row.try_get(7).ok()?;
    let number = |column: usize, at| match row.try_get::<_, Option<i64>>(column).ok()? {
        Some(mantissa) => shape::unpack(packed, at, mantissa).map(Some),
        None => Some(None),
    };
    Some(Tick {
        symbol,
        time: Timestamp(row.try_get(0).ok()?),
        seq: row.try_get::<_, i64>(1).ok()?.cast_unsigned(),
        received: Timestamp(row.try_get(2).ok()?),
        bid: number(3, 0)?,
        ask: number(4, 1)?,
        volume: number(5, 2)?,
        source: sources.get(&row.try_get::<_, i32>(6).ok()?)?.clone(),
        flags: shape::flags(packed),
    })
}

/// See [`tallybook_core::TickStore::symbols`].
pub(crate) async fn symbols(store: &PostgresStore, range: TimeRange) -> Result<Vec<SymbolSummary>> {
    let client = store.client(READING).await?;
    let error = |error| failed(READING, error);
    if range.from >= range.to {
        return Ok(Vec::new());
    }
    let (first, last) = (range.from.0.div_euclid(DAY), range.to.0.saturating_sub(1).div_euclid(DAY));
    let sql = "SELECT y.name, sum(d.count)::int8, min(d.first), max(d.last) FROM tick_day AS d \
        JOIN tick_symbol AS y ON y.id = d.symbol WHERE d.day BETWEEN $1 AND $2 GROUP BY y.name ORDER BY y.name";
    let statement = client.prepare_cached(sql).await.map_err(error)?;
    let rows = client.query(&statement, &[&first, &last]).await.map_err(error)?;
    let summary = |row: &Row| -> Result<SymbolSummary, tokio_postgres::Error> {
        Ok(SymbolSummary {
            symbol: row.try_get::<_, &str>(0)?.into(),
            count: row.try_get::<_, i64>(1)?.cast_unsigned(),
            first: Timestamp(row.try_get(2)?),
            last: Timestamp(row.try_get(3)?),
        })
    };
    rows.iter().map(|row| summary(row).map_err(error)).collect()
}

/// See [`tallybook_core::TickStore::segments`].
pub(crate) async fn segments(store: &PostgresStore) -> Result<Vec<Segment>> {
    let client = store.client(READING).await?;
    let error = |error| failed(READING, error);
    let sql = "SELECT day, sum(count)::int8, \
        coalesce(pg_total_relation_size(to_regclass('tick_' || day)), 0) FROM tick_day GROUP BY day ORDER BY day";
    let rows = client.query(sql, &[]).await.map_err(error)?;
    let segment = |row: &Row| -> Result<Segment, tokio_postgres::Error> {
        Ok(Segment {
            day: Timestamp(row.try_get::<_, i64>(0)?.saturating_mul(DAY)),
            count: row.try_get::<_, i64>(1)?.cast_unsigned(),
            bytes: row.try_get::<_, i64>(2)?.cast_unsigned(),
            sealed: false,
            late: 0,
            error: None,
        })
    };
    rows.iter().map(|row| segment(row).map_err(error)).collect()
}

/// See [`tallybook_core::TickStore::drop_segment`].
pub(crate) async fn drop_segment(store: &PostgresStore, day: Timestamp) -> Result<u64> {
    let mut client = store.client(DROPPING).await?;
    let error = |error| failed(DROPPING, error);
    let day = day.0.div_euclid(DAY);
    let transaction = client.transaction().await.map_err(error)?;
    // The lock of all commits: none may be at work in the partition that goes.
    transaction.execute(LOCK_COMMITS, &[]).await.map_err(error)?;
    let removed =
        "WITH gone AS (DELETE FROM tick_day WHERE day = $1 RETURNING count) SELECT sum(count)::int8 FROM gone";
    let removed: Option<i64> =
        transaction.query_one(removed, &[&day]).await.map_err(error)?.try_get(0).map_err(error)?;
    transaction.execute("DELETE FROM tick_touched WHERE day = $1", &[&day]).await.map_err(error)?;
    transaction.batch_execute(&format!("DROP TABLE IF EXISTS tick_{day}")).await.map_err(error)?;
    transaction.commit().await.map_err(error)?;
    store.partitions.forget();
    Ok(removed.unwrap_or(0).cast_unsigned())
}

/// What PostgreSQL does not do.
pub(crate) fn no_seal(store: &PostgresStore) -> Error {
    let operation = "sealing a day of ticks";
    if store.pool.is_closed() {
        return Error::new(ErrorKind::Unavailable, operation, "the store is closed");
    }
    let context = "PostgreSQL keeps its days as they are; only SQLite's segments can be sealed";
    Error::new(ErrorKind::Unsupported, operation, context)
}
