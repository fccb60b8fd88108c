//! Stores a batch of ticks: what is later than all that is there by COPY, the rest by a statement that leaves out repeats;
//! then the totals and the log of what was touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use tallybook_core::{Counts, DAY, Decimal, Error, ErrorKind, Result, Tick};
use tokio_postgres::types::ToSql;

use super::copy::copy;
use super::names::{Kind, NewNames};
use super::shape;
use crate::PostgresStore;
use crate::commit::OPERATION;
use crate::error::failed;
use crate::partitions::Day;

/// The latest of what is stored. Nobody adds to it meanwhile: the row `revision` is ours until the commit.
const LATEST: &str = "SELECT day, symbol, last FROM tick_day JOIN unnest($1::int8[], $2::int4[]) AS t (day, symbol) \
    USING (day, symbol)";
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
const TOTALS: &str = "INSERT INTO tick_day AS d (day, symbol, count, first, last) \
    SELECT * FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::int8[], $5::int8[]) \
    ON CONFLICT (day, symbol) DO UPDATE SET count = d.count + excluded.count, \
        first = LEAST(d.first, excluded.first), last = GREATEST(d.last, excluded.last)";
const TOUCH: &str = "INSERT INTO tick_touched (rev, day, symbol, first_time, first_seq, last_time, last_seq) \
    SELECT $1, * FROM unnest($2::int8[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])";
/// Every so many revisions each process sums up by symbol and day what was touched longer ago than as many: followers that
/// are that far behind read a little more, and the log stays short.
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

/// A tick with the numbers of its names and day.
pub(super) struct Numbered<'t> {
    pub(super) tick: &'t Tick,
    pub(super) day: i64,
    pub(super) symbol: i32,
    pub(super) source: i32,
}

/// The ticks of one symbol in one day: how many, the first and the last.
struct Range<'t> {
    count: i64,
    first: &'t Tick,
    last: &'t Tick,
}

/// By day and symbol.
type Ranges<'t> = BTreeMap<(i64, i32), Range<'t>>;

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
    let offered = ticks.len() as u64;
    let mut ticks: Vec<&Tick> = ticks.iter().collect();
    // Stable: of two with one key the first stays.
    ticks.sort_by(|a, b| (&a.symbol, a.key()).cmp(&(&b.symbol, b.key())));
    ticks.dedup_by(|later, first| (&later.symbol, later.key()) == (&first.symbol, first.key()));
    let days: BTreeSet<i64> = ticks.iter().map(|tick| tick.time.0.div_euclid(DAY)).collect();
    inserted.new_partitions = store.partitions.make_missing_days(transaction, "tick", days).await?;
    let symbols = store.names.ids(transaction, Kind::Symbol, &ticks, &mut inserted.new_names).await?;
    let sources = store.names.ids(transaction, Kind::Source, &ticks, &mut inserted.new_names).await?;
    let numbered = ticks.into_iter().zip(symbols).zip(sources);
    let ticks: Vec<Numbered<'_>> = numbered
        .map(|((tick, symbol), source)| Numbered { tick, day: tick.time.0.div_euclid(DAY), symbol, source })
        .collect();
    let touched = ranges(&ticks);

    let error = |error| failed(OPERATION, error);
    let latest = latest(transaction, &touched).await.map_err(error)?;
    let is_new = |tick: &Numbered<'_>| latest.get(&(tick.day, tick.symbol)).is_none_or(|last| tick.tick.time.0 > *last);
    let (new, others): (Vec<_>, Vec<_>) = ticks.into_iter().partition(is_new);
    let mut stored = 0;
    if !others.is_empty() {
        stored += compare_and_insert(transaction, &others).await.map_err(error)?;
    }
    if !new.is_empty() {
        stored += copy(transaction, &new).await.map_err(error)?;
        add_totals(transaction, &ranges(&new)).await.map_err(error)?;
    }
    let duplicate = offered
        .checked_sub(stored)
        .ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "PostgreSQL stored more ticks than it was sent"))?;
    inserted.counts = Counts { stored, merged: 0, duplicate };
    if stored > 0 {
        touch(store, transaction, &touched, revision).await.map_err(error)?;
    }
    Ok(inserted)
}

/// The ticks are in the order of their keys.
fn ranges<'t>(ticks: &[Numbered<'t>]) -> Ranges<'t> {
    let mut ranges = Ranges::new();
    for Numbered { tick, day, symbol, .. } in ticks {
        let range = ranges.entry((*day, *symbol)).or_insert(Range { count: 0, first: tick, last: tick });
        range.count += 1;
        range.last = tick;
    }
    ranges
}

/// The time of the latest stored tick of each day and symbol that has some.
async fn latest(
    transaction: &Transaction<'_>,
    ranges: &Ranges<'_>,
) -> Result<BTreeMap<(i64, i32), i64>, tokio_postgres::Error> {
    let (days, symbols): (Vec<i64>, Vec<i32>) = ranges.keys().copied().unzip();
    let statement = transaction.prepare_cached(LATEST).await?;
    let rows = transaction.query(&statement, &[&days, &symbols]).await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

/// Stores the ticks whose keys are not there; says how many.
async fn compare_and_insert(
    transaction: &Transaction<'_>,
    ticks: &[Numbered<'_>],
) -> Result<u64, tokio_postgres::Error> {
    let mantissas = |of: fn(&Tick) -> Option<Decimal>| -> Vec<Option<i64>> {
        ticks.iter().map(|tick| of(tick.tick).map(Decimal::mantissa)).collect()
    };
    let times: Vec<i64> = ticks.iter().map(|tick| tick.tick.time.0).collect();
    let seqs: Vec<i64> = ticks.iter().map(|tick| tick.tick.seq.cast_signed()).collect();
    let received: Vec<i64> = ticks.iter().map(|tick| tick.tick.received.0).collect();
    let (bids, asks) = (mantissas(|tick| tick.bid), mantissas(|tick| tick.ask));
    let volumes = mantissas(|tick| tick.volume);
    let symbols: Vec<i32> = ticks.iter().map(|tick| tick.symbol).collect();
    let sources: Vec<i32> = ticks.iter().map(|tick| tick.source).collect();
    let shapes: Vec<i32> = ticks.iter().map(|tick| shape::pack(tick.tick)).collect();
    let columns: [&(dyn ToSql + Sync); 9] =
        [&times, &seqs, &received, &bids, &asks, &volumes, &symbols, &sources, &shapes];
    let statement = transaction.prepare_cached(INSERT).await?;
    let stored: i64 = transaction.query_one(&statement, &columns).await?.try_get(0)?;
    Ok(stored.cast_unsigned())
}

/// Counts ticks all of which were added.
async fn add_totals(transaction: &Transaction<'_>, added: &Ranges<'_>) -> Result<(), tokio_postgres::Error> {
    let (days, symbols): (Vec<i64>, Vec<i32>) = added.keys().copied().unzip();
    let counts: Vec<i64> = added.values().map(|range| range.count).collect();
    let firsts: Vec<i64> = added.values().map(|range| range.first.time.0).collect();
    let lasts: Vec<i64> = added.values().map(|range| range.last.time.0).collect();
    let statement = transaction.prepare_cached(TOTALS).await?;
    transaction.execute(&statement, &[&days, &symbols, &counts, &firsts, &lasts]).await?;
    Ok(())
}

/// Writes down the first and last key of each symbol and day.
async fn touch(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    touched: &Ranges<'_>,
    revision: i64,
) -> Result<(), tokio_postgres::Error> {
    let (days, symbols): (Vec<i64>, Vec<i32>) = touched.keys().copied().unzip();
    let keys = |of: fn(&Range<'_>) -> i64| -> Vec<i64> { touched.values().map(of).collect() };
    let (first_times, first_seqs) = (keys(|range| range.first.time.0), keys(|range| range.first.seq.cast_signed()));
    let (last_times, last_seqs) = (keys(|range| range.last.time.0), keys(|range| range.last.seq.cast_signed()));
    let statement = transaction.prepare_cached(TOUCH).await?;
    let columns: [&(dyn ToSql + Sync); 7] =
        [&revision, &days, &symbols, &first_times, &first_seqs, &last_times, &last_seqs];
    transaction.execute(&statement, &columns).await?;
    // Not every commit has ticks, so no revision in particular can be waited for.
    if revision - store.coalesced.load(Ordering::Relaxed) >= COALESCE_EVERY {
        store.coalesced.store(revision, Ordering::Relaxed);
        transaction.execute(COALESCE, &[&(revision - COALESCE_EVERY)]).await?;
    }
    Ok(())
}
