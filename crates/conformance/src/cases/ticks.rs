//! The promises of [`tallybook_core::TickStore`]: `t01` of reading, `t02` of keys.

use std::sync::Arc;

use tallybook_core::{
    Counts, DAY, Decimal, HOUR, Records, Store, SymbolSummary, Tick, TickFlags, TickKey, TickQuery, TimeRange,
    Timestamp,
};
use tallybook_store_memory::MemoryStore;

use super::store_cases;
use crate::Fixtures;
use crate::support::{ALWAYS, Sender, answer, day_counts, ticks, ticks_of};

store_cases! {
    t01_a_tick_comes_back_exactly,
    t01_a_tick_goes_to_the_day_of_its_own_time,
    t01_pages_follow_each_other_in_both_directions,
    t01_a_range_is_half_open_and_spans_days,
    t01_any_page_is_what_the_memory_store_shows,
    t01_symbols_are_texts_and_nothing_else,
    t01_symbols_are_counted_by_whole_days,
    t01_a_dropped_day_takes_no_other_with_it,
    t02_the_first_tick_with_a_key_stays,
    t02_ticks_of_one_moment_all_stay,
}

/// A tick of `EUR/USD`, which tells its moment and number by its prices.
pub(super) fn tick(time: i64, seq: u64) -> Tick {
    let (bid, ask) = (Decimal::new(time % 1_000_000_007, 5).ok(), Decimal::new(seq as i64 % 1_000_003, 3).ok());
    let quote = Tick::new("EUR/USD", Timestamp(time), bid, ask).numbered(seq);
    Tick { source: "lp1".into(), received: Timestamp(time + 1), ..quote }
}

pub(super) async fn commit_ticks(store: &Arc<dyn Store>, ticks: &[Tick]) -> Counts {
    let records = Records { ticks: ticks.to_vec(), ..Records::default() };
    answer(&**store, &Sender::new().batch(records)).await.ticks
}

pub(super) fn counts(stored: u64, duplicate: u64) -> Counts {
    Counts { stored, merged: 0, duplicate }
}

pub(super) async fn read(store: &Arc<dyn Store>, query: &TickQuery) -> Vec<Tick> {
    store.ticks(query).await.expect("the store lists ticks")
}

async fn t01_a_tick_comes_back_exactly(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(120);
    let mut expected = Vec::new();
    for (seq, text) in
        ["1.08500", "1.085", "0", "0.00", "-0.5", "999999999999999999", "0.000000000000000001"].into_iter().enumerate()
    {
        let price = Some(text.parse().expect("a decimal number"));
        let time = Timestamp(1_700_000_000_123_456_789);
        let tick = Tick { symbol: "exact".into(), time, seq: seq as u64, bid: price, ask: None, ..fixtures.tick() };
        expected.push(Tick { flags: TickFlags::of_sides(tick.bid, tick.ask), volume: price, ..tick });
    }
    assert_eq!(commit_ticks(store, &expected).await, counts(7, 0));
    let found = read(store, &ticks_of("exact")).await;
    assert_eq!(found, expected);
    assert_eq!(found[0].bid.map(|price| price.to_string()).as_deref(), Some("1.08500"));
}

async fn t01_a_tick_goes_to_the_day_of_its_own_time(store: &Arc<dyn Store>) {
    // One batch, from the future to the past, all of it received on one day.
    let times = [20_000 * DAY + 5, 2 * DAY, 2 * DAY - 1, DAY, 3 * HOUR, 0];
    let received = Timestamp(20_000 * DAY + 7);
    let batch = times.map(|time| Tick { received, ..tick(time, 1) });
    assert_eq!(commit_ticks(store, &batch).await, counts(6, 0));
    assert_eq!(commit_ticks(store, &[Tick { received, ..tick(DAY + 1, 1) }]).await, counts(1, 0));
    let expected = [(0, 2), (1, 3), (2, 1), (20_000, 1)].map(|(day, count)| (Timestamp(day * DAY), count));
    assert_eq!(day_counts(&**store).await, expected);
    let found: Vec<i64> = read(store, &ticks_of("EUR/USD")).await.iter().map(|tick| tick.time.0).collect();
    assert_eq!(found, [0, 3 * HOUR, DAY, DAY + 1, 2 * DAY - 1, 2 * DAY, 20_000 * DAY + 5]);
}

async fn t01_pages_follow_each_other_in_both_directions(store: &Arc<dyn Store>) {
    let mut expected: Vec<Tick> = (0..60).map(|at| tick(at / 3 * (DAY / 5), at as u64 % 3)).collect();
    let (even, odd): (Vec<Tick>, Vec<Tick>) = expected.iter().cloned().partition(|tick| tick.seq != 1);
    commit_ticks(store, &odd).await;
    commit_ticks(store, &even).await;
    for newest_first in [false, true] {
        for limit in [1, 2, 7, 59, 60, 61] {
            let mut query = TickQuery { newest_first, limit, ..ticks_of("EUR/USD") };
            let mut found = Vec::new();
            loop {
                let page = read(store, &query).await;
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                query.after = Some(last.key());
                found.extend(page);
            }
            assert_eq!(found, expected, "in pages of {limit}");
        }
        expected.reverse();
    }
}

async fn t01_a_range_is_half_open_and_spans_days(store: &Arc<dyn Store>) {
    let all: Vec<Tick> = [0, DAY - 1, DAY, DAY + 1, 2 * DAY, 9 * DAY].map(|time| tick(time, 0)).to_vec();
    commit_ticks(store, &all).await;
    for (from, to, expected) in [
        (0, 9 * DAY, 0..5),
        (0, 9 * DAY + 1, 0..6),
        (DAY - 1, DAY, 1..2),
        (DAY - 1, DAY + 1, 1..3),
        (1, 2 * DAY + 1, 1..5),
        (3 * DAY, 8 * DAY, 0..0),
        (DAY, DAY, 0..0),
        (2 * DAY, DAY, 0..0),
        (i64::MIN, i64::MAX, 0..6),
        (i64::MAX, i64::MIN, 0..0),
    ] {
        let range = TimeRange { from: Timestamp(from), to: Timestamp(to) };
        for newest_first in [false, true] {
            let mut found = read(store, &TickQuery { range, newest_first, ..ticks_of("EUR/USD") }).await;
            if newest_first {
                found.reverse();
            }
            assert_eq!(found, all[expected.clone()], "{range:?}");
        }
    }
    let behind_all = TickKey { time: Timestamp(i64::MAX), seq: u64::MAX };
    let before_all = TickKey { time: Timestamp(i64::MIN), seq: 0 };
    for (after, newest_first, expected) in
        [(behind_all, false, 0), (behind_all, true, 6), (before_all, false, 6), (before_all, true, 0)]
    {
        let query = TickQuery { after: Some(after), newest_first, ..ticks_of("EUR/USD") };
        assert_eq!(read(store, &query).await.len(), expected, "{query:?}");
    }
}

async fn t01_any_page_is_what_the_memory_store_shows(store: &Arc<dyn Store>) {
    let mut fixtures = Fixtures::odd(121);
    let reference: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for _ in 0..4 {
        let batch: Vec<Tick> = (0..100).map(|_| fixtures.tick()).collect();
        assert_eq!(commit_ticks(store, &batch).await, commit_ticks(&reference, &batch).await);
    }
    let stored = ticks(&*reference).await;
    assert_eq!(ticks(&**store).await, stored);
    for _ in 0..150 {
        let query = fixtures.tick_query(&stored);
        assert_eq!(read(store, &query).await, read(&reference, &query).await, "{query:?}");
        let expected = reference.symbols(query.range).await.expect("the memory store lists symbols");
        assert_eq!(store.symbols(query.range).await.expect("the store lists symbols"), expected, "{query:?}");
    }
}

async fn t01_symbols_are_texts_and_nothing_else(store: &Arc<dyn Store>) {
    let longest = "\u{10ffff}".repeat(Tick::MAX_NAME_BYTES / 4);
    let mut names = vec!["../../x", "/etc/passwd", "'; DROP TABLE tick; --", "a", "A", "a ", "ä", "e\u{301}", "é", "%"];
    names.extend([".", "\n", "NUL", "🦀", longest.as_str()]);
    let batch: Vec<Tick> =
        names.iter().map(|&name| Tick { symbol: name.into(), source: name.into(), ..tick(5, 0) }).collect();
    commit_ticks(store, &batch).await;
    for expected in &batch {
        assert_eq!(read(store, &ticks_of(&expected.symbol)).await, std::slice::from_ref(expected));
    }
    let symbols = store.symbols(ALWAYS).await.expect("the store lists symbols");
    names.sort_unstable();
    assert_eq!(symbols.iter().map(|known| known.symbol.as_ref()).collect::<Vec<_>>(), names);
    for unknown in ["", "EUR/USD", "%a%", "\0"] {
        assert!(read(store, &ticks_of(unknown)).await.is_empty(), "{unknown:?}");
    }
}

async fn t01_symbols_are_counted_by_whole_days(store: &Arc<dyn Store>) {
    let gold = |time| Tick { symbol: "XAU".into(), ..tick(time, 0) };
    commit_ticks(store, &[tick(5, 0), tick(DAY - 1, 0), tick(DAY, 0), tick(3 * DAY, 0), gold(7), gold(9 * DAY)]).await;
    let listed = async |from, to| {
        let range = TimeRange { from: Timestamp(from), to: Timestamp(to) };
        let symbols = store.symbols(range).await.expect("the store lists symbols");
        let row = |known: SymbolSummary| (known.symbol.to_string(), known.count, known.first.0, known.last.0);
        symbols.into_iter().map(row).collect::<Vec<_>>()
    };
    let euro = |count, first, last| ("EUR/USD".to_owned(), count, first, last);
    let gold = |count, first, last| ("XAU".to_owned(), count, first, last);
    // The range touches the first day, at its end.
    assert_eq!(listed(DAY - 1, DAY).await, [euro(2, 5, DAY - 1), gold(1, 7, 7)]);
    assert_eq!(listed(DAY - 1, DAY + 1).await, [euro(3, 5, DAY), gold(1, 7, 7)]);
    assert_eq!(listed(4 * DAY, i64::MAX).await, [gold(1, 9 * DAY, 9 * DAY)]);
    assert_eq!(listed(i64::MIN, i64::MAX).await, [euro(4, 5, 3 * DAY), gold(2, 7, 9 * DAY)]);
    assert_eq!(listed(DAY, DAY).await, []);
    assert_eq!(listed(4 * DAY, 8 * DAY).await, []);
}

async fn t01_a_dropped_day_takes_no_other_with_it(store: &Arc<dyn Store>) {
    let others = [tick(DAY - 1, 0), tick(2 * DAY, 0)];
    let gone = [tick(DAY, 0), tick(DAY, 1), Tick { symbol: "XAU".into(), ..tick(2 * DAY - 1, 0) }];
    commit_ticks(store, &[&others[..], &gone[..]].concat()).await;
    let dropped = async |day| store.drop_segment(Timestamp(day * DAY)).await.expect("the store drops a day");
    assert_eq!(dropped(1).await, 3);
    assert_eq!(ticks(&**store).await, others);
    assert_eq!((dropped(1).await, dropped(77).await), (0, 0), "nothing is left of it");
    // The day begins anew, and a key that was known is not.
    let anew = tick(DAY, 1);
    assert_eq!(commit_ticks(store, &[anew.clone(), others[0].clone()]).await, counts(1, 1));
    assert_eq!(ticks(&**store).await, [others[0].clone(), anew, others[1].clone()]);
}

async fn t02_the_first_tick_with_a_key_stays(store: &Arc<dyn Store>) {
    let first = tick(DAY, 3);
    let other =
        Tick { bid: tick(1, 1).bid, ask: None, source: "lp2".into(), flags: TickFlags::ONE_SIDED, ..tick(DAY, 3) };
    assert_eq!(commit_ticks(store, &[first.clone(), other.clone(), first.clone()]).await, counts(1, 2));
    assert_eq!(commit_ticks(store, &[other.clone(), tick(DAY, 4)]).await, counts(1, 1));
    assert_eq!(ticks(&**store).await, [first.clone(), tick(DAY, 4)]);
    // Other symbols have keys of their own.
    let gold = Tick { symbol: "XAU".into(), ..other };
    assert_eq!(commit_ticks(store, std::slice::from_ref(&gold)).await, counts(1, 0));
    assert_eq!(ticks(&**store).await, [first, tick(DAY, 4), gold]);
}

async fn t02_ticks_of_one_moment_all_stay(store: &Arc<dyn Store>) {
    let seqs = [0, 1, 2, 255, 256, 1 << 32, Tick::MAX_SEQ - 1, Tick::MAX_SEQ];
    let mut batch = seqs.map(|seq| tick(DAY, seq)).to_vec();
    batch.reverse();
    assert_eq!(commit_ticks(store, &batch).await, counts(8, 0));
    batch.reverse();
    assert_eq!(ticks(&**store).await, batch);
}
