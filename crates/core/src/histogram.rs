//! A mergeable summary of a distribution, from which quantiles are read.
//!
//! Buckets grow by a constant factor, as in DDSketch (Masson, Rim and Lee, 2019): a quantile is within 1 % of a value that
//! was inserted at that rank. Uniting adds counts, so it is exact in any order.

use crate::{Error, Result};

/// A quantile is off by at most this part of itself.
const RELATIVE_ERROR: f64 = 0.01;
const GROWTH: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// How many values of which size were inserted, by size to within 1 %.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count, by rising bucket; no count is 0.
    buckets: Vec<(u16, u64)>,
}

impl Histogram {
    /// The first byte of the form at rest; a [`crate::Sketch`] begins with another.
    pub(crate) const FORMAT: u8 = 2;

    /// Adds a value; 0 is taken for 1.
    pub fn insert(&mut self, value: u64) {
        self.add(bucket_of(value), 1);
    }

    /// Adds everything `other` holds.
    pub fn unite(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |&(bucket, _)| bucket) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Whether nothing was inserted.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// The value at rank `quantile` (0 to 1), within 1 %; `None` when empty.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let last = self.count().checked_sub(1)?;
        let rank = (quantile.clamp(0.0, 1.0) * last as f64).round() as u64;
        let mut below = 0_u64;
        self.buckets
            .iter()
            .find(|&&(_, count)| {
                below = below.saturating_add(count);
                below > rank
            })
            .map(|&(bucket, _)| value_of(bucket))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u64)>()
    }

    /// The form at rest; equal histograms have equal bytes. One byte for the format, then for each bucket its distance
    /// from the one before and its count, as LEB128. An empty one is no bytes.
    pub fn encode(&self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(1 + self.buckets.len() * 3);
        bytes.push(Self::FORMAT);
        let mut before = 0;
        for &(bucket, count) in &self.buckets {
            push_leb128(&mut bytes, u64::from(bucket - before));
            push_leb128(&mut bytes, count);
            before = bucket;
        }
        bytes
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((&format, mut rest)) = bytes.split_first() else { return Ok(Self::default()) };
        let mut buckets: Vec<(u16, u64)> = Vec::new();
        let mut next = || {
            let distance = take_leb128(&mut rest)?;
            let bucket = u16::try_from(distance).ok()?;
            let bucket = match buckets.last() {
                Some(_) if bucket == 0 => return None,
                Some((before, _)) => before.checked_add(bucket)?,
                None => bucket,
            };
            let count = take_leb128(&mut rest).filter(|&count| count > 0)?;
            buckets.push((bucket, count));
            Some(rest.is_empty())
        };
        loop {
            match next().filter(|_| format == Self::FORMAT) {
                Some(true) => return Ok(Self { buckets }),
                Some(false) => {}
                None => {
                    let what = format!("the bytes are damaged ({} bytes)", bytes.len());
                    return Err(Error::corrupt("reading a histogram", what));
                }
            }
        }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Histogram({} values in {} buckets)", self.count(), self.buckets.len())
    }
}

/// The bucket of all values `v` with `GROWTH^(bucket - 1) < v <= GROWTH^bucket`; 2,219 is the greatest.
fn bucket_of(value: u64) -> u16 {
    ((value.max(1) as f64).ln() / GROWTH.ln()).ceil() as u16
}

/// The value that is off by the same part of itself at both ends of a bucket.
fn value_of(bucket: u16) -> u64 {
    (2.0 * GROWTH.powi(i32::from(bucket)) / (GROWTH + 1.0)).round() as u64
}

fn push_leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_leb128(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut histogram = Histogram::default();
        let values: Vec<u64> = (1..=10_000).map(|at| at * at).collect();
        for &value in &values {
            histogram.insert(value);
        }
        for quantile in [0.0, 0.25, 0.5, 0.95, 0.99, 1.0] {
            let exact = values[(quantile * 9_999.0_f64).round() as usize] as f64;
            let found = histogram.quantile(quantile).unwrap() as f64;
            assert!((found - exact).abs() <= exact * RELATIVE_ERROR + 1.0, "{quantile}: {found} is not near {exact}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn a_union_is_what_one_histogram_of_everything_would_be() {
        let (mut left, mut right, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
        for value in [0, 1, 77, 1_000_000, u64::MAX, 5, 77] {
            let half = if value % 2 == 0 { &mut left } else { &mut right };
            half.insert(value);
            both.insert(value);
        }
        left.unite(&right);
        assert_eq!(left, both);
        assert_eq!(Histogram::decode(&left.encode()).unwrap(), both);
        assert_eq!(both.count(), 7);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let mut histogram = Histogram::default();
        (1..500).for_each(|value| histogram.insert(value * 1_000));
        let bytes = histogram.encode();
        assert!(Histogram::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Histogram::decode(&[Histogram::FORMAT]).is_err());
        assert!(Histogram::decode(&[1, 0, 0]).is_err());
        assert!(Histogram::decode(&[Histogram::FORMAT, 5, 1, 0, 1]).is_err());
        assert!(Histogram::decode(&[]).unwrap().is_empty());
    }
}
