//! The places behind the points of three numbers and the flags, packed into one integer.

use tallybook_core::{Decimal, Tick, TickFlags};

const BITS: u32 = 5;
const PLACES: i32 = (1 << BITS) - 1;

/// Packs what `tick` has beside its mantissas.
pub(super) fn pack(tick: &Tick) -> i32 {
    let places = |number: Option<Decimal>, at: u32| i32::from(number.map_or(0, Decimal::scale)) << (at * BITS);
    places(tick.bid, 0) | places(tick.ask, 1) | places(tick.volume, 2) | i32::from(tick.flags.0) << (3 * BITS)
}

/// The number at place `at` (bid, ask, volume) with this mantissa; `None` where it cannot be one.
pub(super) fn unpack(shape: i32, at: u32, mantissa: i64) -> Option<Decimal> {
    Decimal::new(mantissa, u8::try_from((shape >> (at * BITS)) & PLACES).ok()?).ok()
}

/// The flags.
pub(super) fn flags(shape: i32) -> TickFlags {
    TickFlags(u8::try_from((shape >> (3 * BITS)) & 0xff).unwrap_or_default())
}
