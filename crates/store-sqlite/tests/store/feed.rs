//! Ticks for the tests, and what a store says of them.

use std::path::{Path, PathBuf};

use tallybook_core::{
    Committed, Cursor, DAY, Decimal, Records, Store as _, Tick, TickQuery, TickStore as _, TimeRange, Timestamp,
};
use tallybook_store_sqlite::SqliteStore;

use crate::support::Sender;

/// 2023-11-14, 00:00 UTC.
pub(crate) const MIDNIGHT: i64 = 1_699_920_000_000_000_000;
pub(crate) const EVER: TimeRange = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

pub(crate) fn tick(symbol: &str, time: i64, seq: u64, bid: &str) -> Tick {
    let bid: Decimal = bid.parse().unwrap();
    let ask = bid.checked_add(Decimal::new(15, bid.scale()).unwrap());
    Tick {
        volume: Decimal::new(1_000, 0).ok(),
        source: "LP1".into(),
        received: Timestamp(time + 1_500_000),
        ..Tick::new(symbol, Timestamp(time), Some(bid), ask).numbered(seq)
    }
}

/// A random walk, a tick each 20 ms, that goes round `symbols` symbols.
pub(crate) fn walk(start: i64, ticks: u64, symbols: u64) -> Vec<Tick> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut prices = vec![108_500_i64; usize::try_from(symbols).unwrap()];
    let one = |seq: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let symbol = seq % symbols;
        let price = &mut prices[usize::try_from(symbol).unwrap()];
        *price += (state % 11).cast_signed() - 5;
        let time = start + seq.cast_signed() * 20_000_000 + (state % 19_000).cast_signed() * 1_000;
        let mut tick = tick(&format!("PAIR{symbol:03}"), time, seq, &Decimal::new(*price, 5).unwrap().to_string());
        tick.received = Timestamp(time + 200_000 + (state % 3_000_000).cast_signed());
        tick
    };
    (0..ticks).map(one).collect()
}

pub(crate) async fn commit(store: &SqliteStore, ticks: Vec<Tick>) -> Committed {
    Sender::new().commit_records(store, Records { ticks, ..Records::default() }).await.1
}

/// All ticks, by symbol and key.
pub(crate) async fn stored(store: &SqliteStore) -> Vec<Tick> {
    let mut all = Vec::new();
    for summary in store.symbols(EVER).await.unwrap() {
        let query =
            TickQuery { symbol: summary.symbol, range: EVER, after: None, newest_first: false, limit: usize::MAX };
        let ticks = store.ticks(&query).await.unwrap();
        assert_eq!(ticks.len() as u64, summary.count);
        all.extend(ticks);
    }
    all
}

/// What a follower comes to hold, by symbol and key.
pub(crate) async fn followed(store: &SqliteStore) -> Vec<Tick> {
    let (mut cursor, mut all) = (Cursor::START, Vec::new());
    loop {
        let page = store.changes(&cursor, 100).await.unwrap();
        all.extend(page.ticks);
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    all.sort_by_key(key);
    all.dedup();
    all
}

pub(crate) fn sorted(mut ticks: Vec<Tick>) -> Vec<Tick> {
    ticks.sort_by_key(key);
    ticks
}

fn key(tick: &Tick) -> (std::sync::Arc<str>, tallybook_core::TickKey) {
    (tick.symbol.clone(), tick.key())
}

/// A file of the day that is so many days after [`MIDNIGHT`], of at most 16.
pub(crate) fn file(folder: &Path, days: i64, extension: &str) -> PathBuf {
    folder.join("ticks/2023/11").join(format!("ticks_2023-11-{}.{extension}", 14 + days))
}

pub(crate) fn day(days: i64) -> i64 {
    MIDNIGHT + days * DAY
}

/// The names of all files below `ticks/`.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let month = folder.join("ticks/2023/11");
    let mut names: Vec<String> =
        std::fs::read_dir(month).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
