//! A mergeable summary of how many distinct values were seen: exact while small, HyperLogLog beyond.
//!
//! HyperLogLog with 2^11 registers (Flajolet et al., 2007) read by the improved raw estimator of O. Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (2017), which needs no bias tables. The standard error
//! is `1.04 / sqrt(2048)`, 2.3 %. Up to [`EXACT`] distinct hashes are kept as they are, so that small counts are exact.

use crate::{Error, Result};

/// The seed of every hash that enters a sketch; stored with each sketch.
pub const HASH_SEED: u64 = 0x7A11_B00C;

/// Registers are indexed by this many leading bits of the hash.
const PRECISION: u8 = 11;
const REGISTERS: usize = 1 << PRECISION;
/// The number of distinct hashes that are kept exactly.
const EXACT: usize = 128;
/// The longest run of leading zeros that 64 - PRECISION bits can show, plus one.
const MAX_RANK: u8 = 64 - PRECISION + 1;

const FORMAT: u8 = 1;
const XXH3_64: u8 = 1;
const KIND_EXACT: u8 = 0;
const KIND_DENSE: u8 = 1;
const HEADER_BYTES: usize = 8;
const NIBBLES: usize = REGISTERS / 2;

/// Hashes a value for a sketch: XXH3-64 under [`HASH_SEED`].
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, HASH_SEED)
}

/// How many distinct hashes were inserted; unites with others of its kind in any order and any number of times.
#[derive(Clone, Default)]
pub struct Sketch(Repr);

#[derive(Clone)]
enum Repr {
    Exact(HashTable),
    Dense(Box<[u8; REGISTERS]>),
}

impl Default for Repr {
    fn default() -> Self {
        Self::Exact(HashTable::default())
    }
}

/// Open addressing over a power of two of slots, at most half full; 0 marks a free slot.
#[derive(Clone, Default)]
struct HashTable {
    slots: Box<[u64]>,
    len: u32,
}

impl HashTable {
    fn insert(&mut self, hash: u64) -> bool {
        if self.len as usize * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                0 => break,
                taken if taken == hash => return false,
                _ => at = (at + 1) & mask,
            }
        }
        self.slots[at] = hash;
        self.len += 1;
        true
    }

    fn grow(&mut self) {
        let wider = vec![0; (self.slots.len() * 2).max(4)].into_boxed_slice();
        let old = std::mem::replace(self, Self { slots: wider, len: 0 });
        for hash in old.iter() {
            self.insert(hash);
        }
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().copied().filter(|&hash| hash != 0)
    }
}

fn observe(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let index = (hash >> (64 - PRECISION)) as usize;
    // The added bit bounds the run of zeros at MAX_RANK.
    let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
    let register = &mut registers[index];
    let higher = rank > *register;
    if higher {
        *register = rank;
    }
    higher
}

impl Sketch {
    /// A sketch of one hash.
    pub fn of(hash: u64) -> Self {
        let mut sketch = Self::default();
        sketch.insert(hash);
        sketch
    }

    /// Adds a hash (see [`hash_bytes`]); says whether the sketch changed.
    pub fn insert(&mut self, hash: u64) -> bool {
        // 0 marks a free slot: the one value in 2^64 shares its place with 1.
        let hash = hash.max(1);
        match &mut self.0 {
            Repr::Dense(registers) => observe(registers, hash),
            Repr::Exact(table) => {
                let changed = table.insert(hash);
                if table.len as usize > EXACT {
                    self.0 = Repr::Dense(dense_of(table));
                }
                changed
            }
        }
    }

    /// Adds everything `other` has seen.
    pub fn unite(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Repr::Exact(theirs)) => {
                for hash in theirs.iter() {
                    self.insert(hash);
                }
            }
            (Repr::Dense(ours), Repr::Dense(theirs)) => {
                for (ours, theirs) in ours.iter_mut().zip(theirs.iter()) {
                    *ours = (*ours).max(*theirs);
                }
            }
            (Repr::Exact(ours), Repr::Dense(theirs)) => {
                let mut registers = theirs.clone();
                for hash in ours.iter() {
                    observe(&mut registers, hash);
                }
                self.0 = Repr::Dense(registers);
            }
        }
    }

    /// Whether nothing was inserted.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Exact(table) if table.len == 0)
    }

    /// The number of distinct hashes: exact up to 128, within 2.3 % (one standard error) beyond.
    pub fn estimate(&self) -> u64 {
        match &self.0 {
            Repr::Exact(table) => u64::from(table.len),
            Repr::Dense(registers) => ertl_estimate(registers),
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Exact(table) => table.slots.len() * size_of::<u64>(),
            Repr::Dense(_) => REGISTERS,
        }
    }

    /// The form at rest; equal sketches have equal bytes.
    ///
    /// Header of 8 bytes: format, kind, hash (1 = XXH3-64), precision, seed (u32 LE). Then, exact: the sorted hashes
    /// (u64 LE). Dense: the lowest register (u8), the number of exceptions (u16 LE), one nibble a register (its excess
    /// over the lowest, 15 = exception), the exceptions (index u16 LE, register u8). An empty sketch is no bytes.
    pub fn encode(&self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let header = |kind, capacity| {
            let mut bytes = Vec::with_capacity(HEADER_BYTES + capacity);
            bytes.extend_from_slice(&[FORMAT, kind, XXH3_64, PRECISION]);
            bytes.extend_from_slice(&(HASH_SEED as u32).to_le_bytes());
            bytes
        };
        match &self.0 {
            Repr::Exact(table) => {
                let mut hashes: Vec<u64> = table.iter().collect();
                hashes.sort_unstable();
                let mut bytes = header(KIND_EXACT, hashes.len() * 8);
                bytes.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
                bytes
            }
            Repr::Dense(registers) => {
                let lowest = registers.iter().copied().min().unwrap_or(0);
                let mut bytes = header(KIND_DENSE, 3 + NIBBLES + 64);
                let nibble = |register: u8| (register - lowest).min(15);
                let exceptions = || registers.iter().enumerate().filter(|&(_, &register)| nibble(register) == 15);
                bytes.push(lowest);
                bytes.extend_from_slice(&(exceptions().count() as u16).to_le_bytes());
                bytes.extend(registers.chunks_exact(2).map(|pair| nibble(pair[0]) | (nibble(pair[1]) << 4)));
                for (index, register) in exceptions() {
                    bytes.extend_from_slice(&(index as u16).to_le_bytes());
                    bytes.push(*register);
                }
                bytes
            }
        }
    }

    /// Reads what [`Sketch::encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are something else, or were made with another hash, seed or precision.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: &str| Error::corrupt("reading a sketch", format!("{what} ({} bytes)", bytes.len()));
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| corrupt("the header is cut off"))?;
        if header[0] != FORMAT || header[2] != XXH3_64 || header[3] != PRECISION {
            return Err(corrupt("the format, hash or precision is another one"));
        }
        if header[4..] != (HASH_SEED as u32).to_le_bytes() {
            return Err(corrupt("the hash seed is another one"));
        }
        match header[1] {
            KIND_EXACT => {
                let (hashes, rest) = payload.as_chunks::<8>();
                if !rest.is_empty() || hashes.is_empty() || hashes.len() > EXACT {
                    return Err(corrupt("the number of hashes is wrong"));
                }
                let mut table = HashTable::default();
                for hash in hashes {
                    table.insert(u64::from_le_bytes(*hash).max(1));
                }
                Ok(Self(Repr::Exact(table)))
            }
            KIND_DENSE => decode_dense(payload).ok_or_else(|| corrupt("the registers are damaged")).map(Self),
            _ => Err(corrupt("the kind is unknown")),
        }
    }
}

impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Sketch {}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if matches!(self.0, Repr::Exact(_)) { "exactly" } else { "about" };
        write!(f, "Sketch({kind} {})", self.estimate())
    }
}

fn dense_of(table: &HashTable) -> Box<[u8; REGISTERS]> {
    let mut registers = Box::new([0; REGISTERS]);
    for hash in table.iter() {
        observe(&mut registers, hash);
    }
    registers
}

fn decode_dense(payload: &[u8]) -> Option<Repr> {
    let (&[lowest, low, high], payload) = payload.split_first_chunk::<3>()?;
    let (nibbles, exceptions) = payload.split_at_checked(NIBBLES)?;
    if exceptions.len() != usize::from(u16::from_le_bytes([low, high])) * 3 {
        return None;
    }
    let mut registers = Box::new([0; REGISTERS]);
    for (pair, nibbles) in registers.chunks_exact_mut(2).zip(nibbles) {
        pair[0] = lowest.checked_add(nibbles & 15)?;
        pair[1] = lowest.checked_add(nibbles >> 4)?;
    }
    for exception in exceptions.as_chunks::<3>().0 {
        *registers.get_mut(usize::from(u16::from_le_bytes([exception[0], exception[1]])))? = exception[2];
    }
    registers.iter().all(|&register| register <= MAX_RANK).then_some(Repr::Dense(registers))
}

/// Ertl 2017, algorithm 6.
fn ertl_estimate(registers: &[u8; REGISTERS]) -> u64 {
    let mut histogram = [0_u32; MAX_RANK as usize + 1];
    for &register in registers {
        histogram[usize::from(register)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(histogram[MAX_RANK as usize]) / m);
    for &count in histogram[1..MAX_RANK as usize].iter().rev() {
        z = 0.5 * (z + f64::from(count));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        // Also ends where x is 1 (no register touched) and z is infinite.
        if z <= before || z.is_infinite() {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch_of(values: impl Iterator<Item = String>) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.insert(hash_bytes(value.as_bytes()));
        }
        sketch
    }

    #[test]
    fn counts_are_exact_while_small() {
        for n in [0, 1, 10, 127, 128] {
            assert_eq!(sketch_of((0..n).map(|i| format!("user_{i}"))).estimate(), n);
        }
    }

    #[test]
    fn structured_strings_are_within_two_standard_errors() {
        let shapes: [fn(u64) -> String; 4] = [
            |i| format!("user_{i}"),
            |i| format!("checkout-7d4b9c6f5-{i:05x}"),
            |i| format!("10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255),
            |i| i.to_string(),
        ];
        for shape in shapes {
            for n in [129, 1_000, 5_000, 20_000, 300_000] {
                let estimate = sketch_of((0..n).map(shape)).estimate();
                let error = (estimate as f64 - n as f64) / n as f64;
                assert!(error.abs() < 2.0 * 0.023, "{} of {n}: {estimate}, {error:.3}", shape(7));
            }
        }
    }

    #[test]
    fn many_small_batches_count_as_one_large_one() {
        let mut united = Sketch::default();
        for batch in 0..2_000 {
            united.unite(&sketch_of((0..10).map(|i| format!("value {}", batch * 10 + i))));
        }
        let at_once = sketch_of((0..20_000).map(|i| format!("value {i}")));
        assert_eq!(united, at_once);
    }

    #[test]
    fn union_is_commutative_and_idempotent_across_both_forms() {
        let sketches = [0, 3, 100, 128, 129, 5_000].map(|n| sketch_of((0..n).map(|i| format!("v{}", i * 7 + n))));
        for a in &sketches {
            for b in &sketches {
                let (mut ab, mut ba) = (a.clone(), b.clone());
                ab.unite(b);
                ba.unite(a);
                assert_eq!(ab, ba);
                ab.unite(b);
                assert_eq!(ab, ba);
            }
        }
    }

    #[test]
    fn bytes_at_rest_come_back_and_damage_is_reported() {
        for n in [0, 1, 128, 129, 1_000_000] {
            let sketch = sketch_of((0..n).map(|i: u64| i.to_string()));
            let bytes = sketch.encode();
            assert!(bytes.len() <= 1_200, "{n}: {} bytes", bytes.len());
            assert_eq!(Sketch::decode(&bytes).expect("own bytes"), sketch);
            for cut in 1..bytes.len().min(200) {
                assert!(Sketch::decode(&bytes[..bytes.len() - cut]).is_err() || bytes.len() % 8 == 0 && cut % 8 == 0);
            }
        }
        for junk in [&b"\x01"[..], &[9; 40], &[1, 1, 1, 11, 0x0C, 0xB0, 0x11, 0x7A, 250]] {
            assert!(Sketch::decode(junk).is_err());
        }
    }
}
