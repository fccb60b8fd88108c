//! The two ways of a tick into its table: by COPY where it is later than all that is there, else by a statement that
//! compares.

mod support;

use support::proxy::Proxy;
use support::{Database, batch, everything, open};
use tallybook_core::{
    Counts, DAY, Decimal, Outcome, Records, SourceId, Store as _, Tick, TickFlags, TickStore as _, Timestamp,
};
use tallybook_store_postgres::PostgresStore;

const SECOND: i64 = 1_000_000_000;

/// With a number that says in which of a kind it is.
fn tick(symbol: &str, source: &str, time: i64, at: u64) -> Tick {
    let number = |mantissa, scale| Decimal::new(mantissa, scale).ok();
    let [bid, ask, volume] = match at % 4 {
        0 => [number(999_999_999_999_999_999, 8), None, None],
        1 => [None, number(-1, 0), number(0, 3)],
        2 => [number(108_515, 5), number(108_516, 5), None],
        _ => [number(-999_999_999_999_999_999, 18), number(5, 1), number(1, 18)],
    };
    Tick {
        symbol: symbol.into(),
        time: Timestamp(time),
        seq: if at % 4 == 3 { Tick::MAX_SEQ } else { at },
        bid,
        ask,
        volume,
        source: source.into(),
        flags: TickFlags::of_sides(bid, ask),
        received: Timestamp(time + 1),
    }
}

fn of(ticks: &[Tick]) -> Records {
    Records { ticks: ticks.to_vec(), ..Records::default() }
}

fn counts(stored: usize, duplicate: usize) -> Counts {
    Counts { stored: stored as u64, merged: 0, duplicate: duplicate as u64 }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_later_than_all_that_is_there_are_copied_and_no_others() {
    let database = Database::new();
    let url = database.url().await.expect("a database");
    let proxy = Proxy::start(&url).await;
    let store = open(&proxy.through(&url)).await;
    let source = SourceId::mint();
    // Every second second, more than goes into one part.
    let new: Vec<Tick> = (1..=6_000).map(|at| tick("EURUSD", "lp", 2 * at * SECOND, 0)).collect();
    let between: Vec<Tick> =
        new.iter().map(|tick| Tick { time: Timestamp(tick.time.0 - SECOND), ..tick.clone() }).collect();
    let later = tick("EURUSD", "lp", 12_001 * SECOND, 0);
    let sent = [
        // A sequence number, what is sent, what becomes of it, and whether any of it is copied.
        (1, &new[..], Outcome::Applied, counts(6_000, 0), true),
        (1, &new, Outcome::Duplicate, counts(6_000, 0), false),
        (2, &new, Outcome::Applied, counts(0, 6_000), false),
        (3, &between, Outcome::Applied, counts(6_000, 0), false),
        (4, &[new[0].clone(), later], Outcome::Applied, counts(1, 1), true),
    ];
    for (seq, ticks, outcome, counts, copied) in sent {
        proxy.count();
        let committed = store.commit(batch(source, seq, of(ticks))).await.expect("committed");
        assert_eq!((committed.outcome, committed.ticks), (outcome, counts), "batch {seq}");
        let parts = proxy.copied();
        assert_eq!((parts > 0, parts > 1), (copied, copied && ticks.len() > 2), "batch {seq}: {parts} messages");
    }
    assert_eq!(everything(&store).await.1.len(), 12_001);
}

/// What ends or changes the data of COPY as text, an SQL string, a row or an array.
fn hostile_names() -> Vec<String> {
    let names = [
        "\\.",
        "\\N",
        "a\tb\nc\r",
        "'; DROP TABLE tick; --",
        "$1",
        "%s",
        "{\"a\",NULL}",
        "(,)",
        " ",
        "PGCOPY\n",
        "\u{202e}\u{301}\u{10ffff}",
        "\u{1}\u{7f}",
    ];
    names.into_iter().map(str::to_owned).chain(["x".repeat(Tick::MAX_NAME_BYTES)]).collect()
}

/// The ticks of a store, and how many each day has.
async fn held(store: &PostgresStore) -> (Vec<Tick>, Vec<(Timestamp, u64)>) {
    let days = store.segments().await.expect("the days").into_iter().map(|day| (day.day, day.count)).collect();
    (everything(store).await.1, days)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_store_the_same_rows_whatever_the_names_hold() {
    let (names, last) = (hostile_names(), 8);
    let mut ticks = Vec::new();
    for (nth, symbol) in names.iter().enumerate() {
        let source = &names[names.len() - 1 - nth];
        for day in 0..2 {
            ticks.extend((1..=last).map(|at| tick(symbol, source, day * DAY + at as i64 * SECOND, at)));
        }
    }
    let latest: Vec<Tick> = ticks.iter().filter(|tick| tick.time.0 % DAY == last as i64 * SECOND).cloned().collect();
    let mut stores = Vec::new();
    for first in [&[][..], &latest] {
        let database = Database::new();
        let url = database.url().await.expect("a database");
        let proxy = Proxy::start(&url).await;
        let store = open(&proxy.through(&url)).await;
        let source = SourceId::mint();
        store.commit(batch(source, 1, of(first))).await.expect("committed");
        for (seq, stored) in [(2, ticks.len() - first.len()), (3, 0)] {
            proxy.count();
            let committed = store.commit(batch(source, seq, of(&ticks))).await.expect("committed");
            assert_eq!(committed.ticks, counts(stored, ticks.len() - stored));
            assert_eq!(proxy.copied() > 0, first.is_empty() && stored > 0);
        }
        stores.push((held(&store).await, database));
    }
    let [(copied, _), (compared, _)] = &stores[..] else { panic!("two stores") };
    assert_eq!(copied, compared);
    let mut expected = ticks;
    expected.sort_by(|a, b| (&a.symbol, a.key()).cmp(&(&b.symbol, b.key())));
    assert_eq!(copied.0, expected);
}
