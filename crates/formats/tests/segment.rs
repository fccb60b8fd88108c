//! Sealed segments: what is written is read, by symbol and range, and costs few bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{Decimal, ErrorKind, Tick, TickFlags, TickKey, TickQuery, TimeRange, Timestamp};
use tallybook_formats::segment::{self, SegmentFile};

const NOON: i64 = 1_700_049_600_000_000_000;
const EVERYTHING: TimeRange = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

/// A random walk of quotes with µs stamps, which arrive up to 20 ms later by a clock of nanoseconds.
fn feed(symbols: usize, ticks: usize) -> Vec<Tick> {
    let mut random = StdRng::seed_from_u64(7);
    let mut all = Vec::with_capacity(ticks);
    for symbol in 0..symbols {
        let name: Arc<str> = format!("SYM{symbol:03}").into();
        let (mut time, mut bid) = (NOON, 108_500 + symbol as i64 * 1_000);
        for _ in 0..ticks / symbols {
            // Exponential gaps of 1.5 s, which come to an hour.
            time += (-1_500_000.0 * (1.0 - random.random::<f64>()).ln()) as i64 * 1_000;
            bid += random.random_range(-5..=5);
            let ask = bid + random.random_range(1..=6);
            let (bid, ask) = (Decimal::new(bid, 5).ok(), Decimal::new(ask, 5).ok());
            all.push(Tick {
                symbol: name.clone(),
                time: Timestamp(time),
                seq: 0,
                bid,
                ask,
                volume: None,
                source: ["", "lp-1", "lp-2"][random.random_range(0..3)].into(),
                flags: TickFlags::of_sides(bid, ask).with(TickFlags::SEQ_ASSIGNED),
                received: Timestamp(time + random.random_range(200_000..20_000_000)),
            });
        }
    }
    all.sort_by(|a, b| (&a.symbol, a.key()).cmp(&(&b.symbol, b.key())));
    all.dedup_by(|a, b| a.symbol == b.symbol && a.key() == b.key());
    all
}

/// Every odd thing a tick can be.
fn odd_ticks() -> Vec<Tick> {
    let decimal = |text: &str| Some(text.parse::<Decimal>().unwrap());
    let tick = |symbol: &str, time, seq, bid, ask, volume| Tick {
        symbol: symbol.into(),
        time: Timestamp(time),
        seq,
        bid,
        ask,
        volume,
        source: "../../x".into(),
        flags: TickFlags::of_sides(bid, ask),
        received: Timestamp(time),
    };
    let (low, high) = (decimal("-999999999999999999"), decimal("999999999999999999"));
    vec![
        tick("'; DROP", 0, 0, low, high, decimal("0.000000000000000001")),
        tick("'; DROP", 0, Tick::MAX_SEQ, high, low, None),
        tick("A\nB", 1, 0, decimal("1.08500"), decimal("1.0851"), decimal("100.00")),
        tick("A\nB", NOON + 1, 3, decimal("0"), None, None),
        Tick { received: Timestamp(i64::MIN), ..tick("EURUSD", NOON, 0, None, decimal("-1.5"), None) },
        Tick { received: Timestamp(i64::MAX), ..tick("é", NOON + 999_999, 0, decimal("5"), decimal("7"), None) },
    ]
}

fn sealed(folder: &Path, ticks: &[Tick]) -> (PathBuf, SegmentFile) {
    let path = folder.join("ticks.parquet");
    let file = segment::write(&path, BTreeMap::new(), ticks.iter().cloned().map(Ok)).unwrap();
    (path, file)
}

fn query(symbol: &str, range: TimeRange) -> TickQuery {
    TickQuery { symbol: symbol.into(), range, after: None, newest_first: false, limit: usize::MAX }
}

#[test]
fn every_odd_tick_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = odd_ticks();
    let (_, file) = sealed(folder.path(), &ticks);
    assert_eq!(file.all().collect::<Result<Vec<_>, _>>().unwrap(), ticks);
    assert_eq!(file.count(), 6);
    assert_eq!(file.symbols().iter().map(|symbol| symbol.count).collect::<Vec<_>>(), [2, 2, 1, 1]);
    assert_eq!(file.symbols()[1].last, Timestamp(NOON + 1));
    assert_eq!(file.ticks(&query("é", EVERYTHING)).unwrap(), ticks[5..]);
    assert!(file.ticks(&query("nobody", EVERYTHING)).unwrap().is_empty());
}

#[test]
fn an_id_is_never_used_twice_and_metadata_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = BTreeMap::from([("revision".to_owned(), "17".to_owned())]);
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let first = segment::write(&one, metadata.clone(), odd_ticks().into_iter().map(Ok)).unwrap();
    let second = segment::write(&two, BTreeMap::new(), std::iter::empty()).unwrap();
    assert_ne!(first.id(), second.id());
    assert_eq!(second.count(), 0);
    let again = SegmentFile::open(&one).unwrap();
    assert_eq!((again.id(), again.metadata()), (first.id(), &metadata));
}

#[test]
fn rising_numbers_are_deltas_noise_is_split_by_bytes_and_all_is_zstd() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.parquet");
    segment::write(&path, BTreeMap::new(), feed(4, 4_000).into_iter().map(Ok)).unwrap();
    let file = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let group = file.metadata().row_group(0);
    let column = |name: &str| group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
    assert!(group.columns().iter().all(|column| matches!(column.compression(), Compression::ZSTD(_))));
    for (encoding, names) in [
        (Encoding::DELTA_BINARY_PACKED, &["time", "seq", "bid_mantissa"][..]),
        (Encoding::BYTE_STREAM_SPLIT, &["received_delay"]),
    ] {
        for name in names {
            assert!(column(name).encodings().any(|found| found == encoding), "{name} is not {encoding}");
        }
    }
}

#[test]
fn ticks_out_of_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut ticks = odd_ticks();
    ticks.swap(0, 1);
    let refused = segment::write(&folder.path().join("x"), BTreeMap::new(), ticks.into_iter().map(Ok)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("is not in order"), "{refused}");
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = sealed(folder.path(), &feed(4, 2_000));
    let whole = std::fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(SegmentFile::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    for _ in 0..100 {
        let mut damaged = whole.clone();
        let place = random.random_range(0..whole.len());
        damaged[place] ^= 1 << random.random_range(0..8);
        std::fs::write(&path, damaged).unwrap();
        // It may still be readable; it must answer.
        if let Ok(file) = SegmentFile::open(&path) {
            let _answer = file.all().collect::<Result<Vec<_>, _>>();
        }
    }
    assert_eq!(SegmentFile::open(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn pages_of_a_large_symbol_are_those_of_a_plain_list_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    // Two symbols of two row groups each.
    let ticks = feed(2, 300_000);
    let (_, file) = sealed(folder.path(), &ticks);
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..12 {
        let symbol = format!("SYM{:03}", round % 2);
        let ours: Vec<_> = ticks.iter().filter(|tick| tick.symbol.as_ref() == symbol).collect();
        let mut bounds = [random.random_range(0..ours.len()), random.random_range(0..ours.len())];
        bounds.sort_unstable();
        let range = TimeRange { from: ours[bounds[0]].time, to: ours[bounds[1]].time };
        let after = (round % 3 == 0).then(|| ours[usize::midpoint(bounds[0], bounds[1])].key());
        let newest_first = round % 4 < 2;
        let limit = if round % 5 == 0 { usize::MAX } else { 1_000 };
        let asked = TickQuery { symbol: symbol.as_str().into(), range, after, newest_first, limit };
        let mut expected: Vec<Tick> = ours
            .into_iter()
            .filter(|tick| range.from <= tick.time && tick.time < range.to)
            .filter(|tick| after.is_none_or(|after| if newest_first { tick.key() < after } else { tick.key() > after }))
            .cloned()
            .collect();
        if newest_first {
            expected.reverse();
        }
        expected.truncate(limit);
        assert!(file.ticks(&asked).unwrap() == expected, "{asked:?}");
    }
    assert!(file.all().collect::<Result<Vec<_>, _>>().unwrap() == ticks);
    let range = TimeRange { from: ticks[150].time, to: ticks[170].time };
    let keys: Vec<TickKey> = ticks[150..170].iter().map(Tick::key).collect();
    assert_eq!(file.keys("SYM000", range).unwrap(), keys);
    assert_eq!(file.keys("SYM009", range).unwrap(), []);
}

#[test]
fn many_symbols_that_share_row_groups_come_back_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    // Whole groups, one of whose symbols may be cut by a group's end, and a single tick of some.
    let mut ticks = feed(700, 140_000);
    ticks.retain(|tick| !tick.symbol.ends_with('7') || tick.time.0 % 7 == 0);
    let (_, file) = sealed(folder.path(), &ticks);
    assert!(file.all().collect::<Result<Vec<_>, _>>().unwrap() == ticks);
}

#[test]
fn threads_that_read_one_file_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = feed(8, 20_000);
    let (path, file) = sealed(folder.path(), &ticks);
    // Readers go on although the file is gone.
    std::fs::remove_file(path).unwrap();
    let (file, ticks) = (&file, &ticks);
    std::thread::scope(|scope| {
        for symbol in 0..8 {
            scope.spawn(move || {
                let expected = &ticks[symbol * 2_500..(symbol + 1) * 2_500];
                for _ in 0..5 {
                    assert!(file.ticks(&query(&format!("SYM{symbol:03}"), EVERYTHING)).unwrap() == expected);
                }
            });
        }
    });
}

#[test]
fn a_tick_of_a_random_walk_with_microseconds_costs_at_most_8_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = feed(128, 300_000);
    let (path, file) = sealed(folder.path(), &ticks);
    assert_eq!(file.count(), ticks.len() as u64);
    let bytes = std::fs::metadata(path).unwrap().len() as f64 / ticks.len() as f64;
    println!("{bytes:.2} bytes a tick");
    assert!(bytes <= 8.0, "{bytes:.2} bytes a tick");
    assert!(file.all().map(Result::unwrap).eq(ticks));
}
