//! What is written in any format is read as it was.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use proptest::prelude::*;
use tallybook_core::{Decimal, Ping, Tick, TickFlags, Timestamp};
use tallybook_formats::{Encoder, Format, Readable, Reader, Writable, feed_json};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn written<R: Writable>(format: Format, records: &[R], piece: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(format);
    let mut bytes = Vec::new();
    for records in records.chunks(piece) {
        bytes.extend(encoder.push(records));
    }
    bytes.extend(encoder.finish());
    bytes
}

fn decimal() -> impl Strategy<Value = Decimal> {
    let most = 10_i64.pow(18) - 1;
    (prop_oneof![-most..=most, -10_i64..=10], 0_u8..=18)
        .prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap())
}

/// Names with whatever CSV, JSON and SQL trip over.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{6}",
        "[ -~]{1,12}",
        "[\u{1}-\u{10ffff}]{1,8}",
        Just("\"".to_owned()),
        Just("a,\"b\"\r\nc".to_owned()),
        Just("\n".to_owned()),
        Just("\u{feff}x".to_owned()),
        Just("'; DROP".to_owned()),
    ]
}

fn tick() -> impl Strategy<Value = Tick> {
    let sides = prop_oneof![
        (decimal(), decimal()).prop_map(|(bid, ask)| (Some(bid), Some(ask))),
        decimal().prop_map(|bid| (Some(bid), None)),
        decimal().prop_map(|ask| (None, Some(ask))),
    ];
    let times = (0_i64..7_258_118_400_000_000_000, any::<i64>().prop_map(|time| time / 2));
    let names = (name(), prop_oneof![Just(String::new()), name()]);
    (names, times, 0..=Tick::MAX_SEQ, any::<bool>(), sides, proptest::option::of(decimal())).prop_map(
        |((symbol, source), (time, received), seq, assigned, (bid, ask), volume)| {
            let mut flags = TickFlags::of_sides(bid, ask);
            if assigned && seq > 0 {
                flags = flags.with(TickFlags::SEQ_ASSIGNED);
            }
            let (symbol, source) = (symbol.as_str().into(), source.as_str().into());
            let (time, received) = (Timestamp(time), Timestamp(received));
            Tick { symbol, time, seq, bid, ask, volume, source, flags, received }
        },
    )
}

fn ping() -> impl Strategy<Value = Ping> {
    let latency = proptest::option::of(1..=Ping::MAX_LATENCY);
    let optional = || proptest::option::of(any::<u64>());
    let jitter = proptest::option::of(0..=Ping::MAX_LATENCY);
    (
        name(),
        0_i64..7_258_118_400_000_000_000,
        latency,
        (optional(), optional(), optional()),
        jitter,
        proptest::option::of(name()),
    )
        .prop_map(|(target, time, latency, (ttl, packet_size, sequence), jitter, error)| Ping {
            target: target.as_str().into(),
            time: Timestamp(time),
            latency,
            success: latency.is_some(),
            ttl,
            packet_size,
            sequence,
            jitter,
            error: error.as_deref().map(Into::into),
        })
}

fn comes_back<R: Readable + Writable + PartialEq + std::fmt::Debug>(
    records: &[R],
    piece: usize,
) -> Result<(), TestCaseError> {
    for format in Format::ALL {
        let bytes = written(format, records, piece);
        let read = R::read(format, &bytes, NOW).unwrap();
        prop_assert_eq!(&read.bad, &[]);
        prop_assert_eq!(&read.records, records);
        if format != Format::Parquet {
            let mut reader = Reader::<R>::new(format, NOW);
            let mut streamed = Vec::new();
            for chunk in bytes.chunks(piece * 7) {
                let read = reader.push(chunk);
                prop_assert_eq!(&read.bad, &[]);
                streamed.extend(read.records);
            }
            let rest = reader.finish().unwrap();
            prop_assert_eq!(&rest.bad, &[]);
            streamed.extend(rest.records);
            prop_assert_eq!(&streamed, records);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ticks_come_back_in_every_format(ticks in proptest::collection::vec(tick(), 0..20), piece in 1_usize..20) {
        comes_back(&ticks, piece)?;
    }

    #[test]
    fn pings_come_back_in_every_format(pings in proptest::collection::vec(ping(), 0..20), piece in 1_usize..20) {
        comes_back(&pings, piece)?;
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), quoted in "[\",\n\r{}a1:\\[\\]]{0,80}") {
        for format in Format::ALL {
            for input in [bytes.as_slice(), quoted.as_bytes(), format!("symbol,time,bid\n{quoted}").as_bytes()] {
                let _answer = Tick::read(format, input, NOW);
                let _answer = Ping::read(format, input, NOW);
            }
        }
    }
}

#[test]
fn a_large_export_to_parquet_goes_out_while_it_is_written() {
    let ticks: Vec<Tick> = (0..150_000_u64)
        .map(|seq| {
            let price = |mantissa| Decimal::new(mantissa, 5).ok();
            Tick::new("EURUSD", NOW, price(108_500), price(108_501)).numbered(seq)
        })
        .collect();
    let mut encoder = Encoder::new(Format::Parquet);
    let mut bytes = encoder.push(&ticks);
    assert!(!bytes.is_empty());
    bytes.extend(encoder.finish());
    assert!(Tick::read(Format::Parquet, &bytes, NOW).unwrap().records == ticks);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ticks_come_back_from_the_form_that_recorders_write(ticks in proptest::collection::vec(tick(), 0..20)) {
        let json = |tick: &Tick, bytes: &mut Vec<u8>| feed_json(tick, "broker \"1\"", bytes);
        let mut encoder = Encoder::new(Format::Json).with_json(json);
        let mut bytes = encoder.push(&ticks);
        bytes.extend(encoder.finish());
        let _valid: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let read = Tick::read(Format::Json, &bytes, NOW).unwrap();
        prop_assert_eq!(&read.bad, &[]);
        // It does not say when a tick arrived, nor who numbered it.
        let expected: Vec<Tick> = ticks.into_iter().map(|mut tick| {
            tick.received = NOW;
            tick.flags = TickFlags::of_sides(tick.bid, tick.ask);
            tick
        }).collect();
        prop_assert_eq!(read.records, expected);
    }
}
