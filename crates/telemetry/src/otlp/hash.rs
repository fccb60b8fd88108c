//! Hashes of values and of series. They are stored in sketches, so they must never change.

use tallybook_core::hash_bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{AnyValue, Text};

/// The seed of pairs of words. It differs from that of values in many bits, since XXH3 only adds its seed to inputs
/// this short: with a near one, the number 1 had the hash of eight zero bytes.
const PAIR_SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// Values of different types that share their bytes must not share their hash: all but strings, the most frequent
/// ones, are hashed together with the number of their type.
const EMPTY: u64 = 1;
const BOOL: u64 = 2;
const INT: u64 = 3;
const DOUBLE: u64 = 4;
const ARRAY: u64 = 5;
const KEY_VALUE_LIST: u64 = 6;
const BYTES: u64 = 7;

/// JSON knows one NaN only, protobuf many.
const NAN_BITS: u64 = 0x7FF8_0000_0000_0000;

/// Hashes a string: see [`hash_bytes`].
#[inline]
pub fn hash_text(text: Text<'_>) -> u64 {
    hash_bytes(text.as_bytes())
}

/// Hashes a value by type and content: the string `5` and the number 5 differ. A string has the hash of [`hash_text`];
/// every NaN has the same hash; the order of elements and of key-value pairs counts.
#[inline]
pub fn hash_value(value: AnyValue<'_>) -> u64 {
    match value {
        AnyValue::Empty => hash_pair(EMPTY, 0),
        AnyValue::String(text) => hash_text(text),
        AnyValue::Bool(flag) => hash_pair(BOOL, u64::from(flag)),
        AnyValue::Int(number) => hash_pair(INT, number as u64),
        AnyValue::Double(number) => hash_pair(DOUBLE, if number.is_nan() { NAN_BITS } else { number.to_bits() }),
        AnyValue::Array(values) => values.iter().map(hash_value).fold(hash_pair(ARRAY, 0), hash_pair),
        AnyValue::KvList(pairs) => pairs.iter().fold(hash_pair(KEY_VALUE_LIST, 0), |hash, pair| {
            hash_pair(hash_pair(hash, hash_text(pair.key)), hash_value(pair.value))
        }),
        AnyValue::Bytes(bytes) => hash_pair(BYTES, hash_bytes(bytes)),
    }
}

#[inline]
fn hash_pair(first: u64, second: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    xxh3_64_with_seed(&bytes, PAIR_SEED)
}

/// The hash of a series: of its attributes in any order, since their order has no meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeriesHash {
    sum: u64,
    pairs: u64,
}

impl SeriesHash {
    /// Takes in an attribute by the hashes of its key and of its value.
    #[inline]
    pub fn add(&mut self, key: u64, value: u64) {
        self.sum = self.sum.wrapping_add(hash_pair(key, value));
        self.pairs += 1;
    }

    /// The hash of all that was taken in.
    pub fn finish(self) -> u64 {
        hash_pair(self.sum, self.pairs)
    }
}
