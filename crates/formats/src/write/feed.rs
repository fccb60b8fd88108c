//! A tick as recorders of price feeds write it: prices are numbers, the time is in milliseconds.

use std::io::Write as _;

use tallybook_core::{Decimal, Tick, Timestamp};

use super::text;

/// Milliseconds below this would be read as seconds.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// Writes `{"broker_id", "symbol", "bid", "ask", "spread", "timestamp", "lp", "seq"}`, and `volume` where there is one. Numbers
/// have the digits that were sent; a time that is finer than a millisecond has a fraction. Whoever reads `seq` again stores
/// nothing twice.
pub fn feed_json(tick: &Tick, broker_id: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"{\"broker_id\":");
    text::json(&broker_id, bytes);
    bytes.extend_from_slice(b",\"symbol\":");
    text::json(&&*tick.symbol, bytes);
    for (name, price) in [("bid", tick.bid), ("ask", tick.ask), ("spread", tick.spread())] {
        number(name, price, bytes);
    }
    bytes.extend_from_slice(b",\"timestamp\":");
    milliseconds(tick.time, bytes);
    bytes.extend_from_slice(b",\"lp\":");
    text::json(&&*tick.source, bytes);
    if tick.volume.is_some() {
        number("volume", tick.volume, bytes);
    }
    write!(bytes, ",\"seq\":{}}}", tick.seq).expect("a vector takes every byte");
}

fn number(name: &str, number: Option<Decimal>, bytes: &mut Vec<u8>) {
    let written = match number {
        Some(number) => write!(bytes, ",\"{name}\":{number}"),
        None => write!(bytes, ",\"{name}\":null"),
    };
    written.expect("a vector takes every byte");
}

fn milliseconds(time: Timestamp, bytes: &mut Vec<u8>) {
    let (whole, below) = (time.0.div_euclid(1_000_000), time.0.rem_euclid(1_000_000));
    if whole < FIRST_MILLISECOND {
        return text::json(&time, bytes);
    }
    let written = if below == 0 { write!(bytes, "{whole}") } else { write!(bytes, "{whole}.{below:06}") };
    written.expect("a vector takes every byte");
}
