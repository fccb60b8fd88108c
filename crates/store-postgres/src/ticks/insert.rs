//! Stores a batch of ticks: one statement for the rows and their totals, one for the log of what was touched.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use tallybook_core::{Counts, DAY, Decimal, Error, ErrorKind, Result, Tick};
use tokio_postgres::types::ToSql;

use super::names::{Kind, NewNames};
use super::shape;
use crate::PostgresStore;
use crate::commit::OPERATION;
use crate::error::failed;
use crate::partitions::Day;

/// A repeat of a key changes nothing; totals count what was really added.
const INSERT: &str = r#"
    WITH added AS (
        INSERT INTO tick ("time", seq, received, bid, ask, volume, symbol, source, shape)
        SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int4[],
            $8::int4[], $9::int4[])
        ON CONFLICT (symbol, "time", seq) DO NOTHING
        RETURNING symbol, "time"
    ), totals AS (
        INSERT INTO tick_day AS d (day, symbol, count, first, last)
        SELECT "time" / 86400000000000, symbol, count(*), min("time"), max("time") FROM added GROUP BY 1, 2
        ON CONFLICT (day, symbol) DO UPDATE SET count = d.count + excluded.count,
            first = LEAST(d.first, excluded.first), last = GREATEST(d.last, excluded.last)
    )
    SELECT count(*) FROM added"#;
const TOUCH: &str = "INSERT INTO tick_touched (rev, day, symbol, first_time, first_seq, last_time, last_seq) \
    SELECT $1, * FROM unnest($2::int8[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])";
/// Every so many revisions, what was touched longer ago than as many is summed up by symbol and day: followers that are
/// that far behind read a little more, and the log stays short.
const COALESCE_EVERY: i64 = 2_000;
const COALESCE: &str = "
    WITH old AS (DELETE FROM tick_touched WHERE rev < $1 RETURNING *)
    INSERT INTO tick_touched (rev, day, symbol, first_time, first_seq, last_time, last_seq)
    SELECT max(rev), day, symbol, min(first_time), 0, max(last_time), 9223372036854775807 FROM old GROUP BY day, symbol";

/// What storing a batch of ticks came to.
#[derive(Debug, Default)]
pub(crate) struct Inserted {
    pub(crate) counts: Counts,
    /// To be remembered once the transaction is committed.
    pub(crate) new_partitions: Vec<Day>,
    /// Likewise.
    pub(crate) new_names: NewNames,
}

/// Stores `ticks` in the order of their keys.
pub(crate) async fn insert(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    ticks: &[Tick],
    revision: i64,
) -> Result<Inserted> {
    let mut inserted = Inserted::default();
    if ticks.is_empty() {
        return Ok(inserted);
    }
    let mut ticks: Vec<&Tick> = ticks.iter().collect();
    // Stable: of two with one key the first stays.
    ticks.sort_by(|a, b| (&a.symbol, a.key()).cmp(&(&b.symbol, b.key())));
    let days: BTreeSet<i64> = ticks.iter().map(|tick| tick.time.0.div_euclid(DAY)).collect();
    inserted.new_partitions = store.partitions.make_missing_days(transaction, "tick", days).await?;
    let symbols = store.names.ids(transaction, Kind::Symbol, &ticks, &mut inserted.new_names).await?;
    let sources = store.names.ids(transaction, Kind::Source, &ticks, &mut inserted.new_names).await?;

    let mantissas = |of: fn(&Tick) -> Option<Decimal>| -> Vec<Option<i64>> {
        ticks.iter().map(|tick| of(tick).map(Decimal::mantissa)).collect()
    };
    let times: Vec<i64> = ticks.iter().map(|tick| tick.time.0).collect();
    let seqs: Vec<i64> = ticks.iter().map(|tick| tick.seq.cast_signed()).collect();
    let received: Vec<i64> = ticks.iter().map(|tick| tick.received.0).collect();
    let (bids, asks) = (mantissas(|tick| tick.bid), mantissas(|tick| tick.ask));
    let volumes = mantissas(|tick| tick.volume);
    let shapes: Vec<i32> = ticks.iter().map(|tick| shape::pack(tick)).collect();
    let columns: [&(dyn ToSql + Sync); 9] =
        [&times, &seqs, &received, &bids, &asks, &volumes, &symbols, &sources, &shapes];
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(INSERT).await.map_err(error)?;
    let stored: i64 = transaction.query_one(&statement, &columns).await.map_err(error)?.try_get(0).map_err(error)?;
    let stored = stored.cast_unsigned();
    let duplicate = (ticks.len() as u64)
        .checked_sub(stored)
        .ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "PostgreSQL stored more ticks than it was sent"))?;
    inserted.counts = Counts { stored, merged: 0, duplicate };
    if stored > 0 {
        touch(transaction, &ticks, &symbols, revision).await.map_err(error)?;
    }
    Ok(inserted)
}

/// Writes down the first and last key of each symbol and day; the ticks are in the order of their keys.
async fn touch(
    transaction: &Transaction<'_>,
    ticks: &[&Tick],
    symbols: &[i32],
    revision: i64,
) -> Result<(), tokio_postgres::Error> {
    let mut ranges: BTreeMap<(i64, i32), (&Tick, &Tick)> = BTreeMap::new();
    for (tick, &symbol) in ticks.iter().zip(symbols) {
        let day = tick.time.0.div_euclid(DAY);
        ranges.entry((day, symbol)).and_modify(|(_, last)| *last = tick).or_insert((tick, tick));
    }
    let (days, symbols): (Vec<i64>, Vec<i32>) = ranges.keys().copied().unzip();
    let times = |of: fn(&(&Tick, &Tick)) -> i64| -> Vec<i64> { ranges.values().map(of).collect() };
    let (first_times, first_seqs) = (times(|range| range.0.time.0), times(|range| range.0.seq.cast_signed()));
    let (last_times, last_seqs) = (times(|range| range.1.time.0), times(|range| range.1.seq.cast_signed()));
    let statement = transaction.prepare_cached(TOUCH).await?;
    let columns: [&(dyn ToSql + Sync); 7] =
        [&revision, &days, &symbols, &first_times, &first_seqs, &last_times, &last_seqs];
    transaction.execute(&statement, &columns).await?;
    if revision % COALESCE_EVERY == 0 {
        transaction.execute(COALESCE, &[&(revision - COALESCE_EVERY)]).await?;
    }
    Ok(())
}
