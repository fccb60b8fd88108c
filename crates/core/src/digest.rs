//! What many records come to, in a few bytes: two sides that have the same digests have the same records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::{Decimal, Ping, Tick, Timestamp, hash_bytes};

/// What records of one name on one UTC day come to, whatever order they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// Records.
    pub count: u64,
    /// The time of the earliest.
    pub first: Timestamp,
    /// The time of the latest.
    pub last: Timestamp,
    /// The sum of the hashes of all records, modulo 2^64: records that are there twice do not cancel each other out.
    #[serde(serialize_with = "hex")]
    pub checksum: u64,
}

/// How closely records are compared. What one side cannot hold must not make a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Times are equal that lie in the same unit of so many nanoseconds, at least 1.
    pub time_unit: i64,
    /// Whether `1.50` differs from `1.5`.
    pub digits: bool,
    /// Whether volumes are compared.
    pub volume: bool,
    /// Whether the numbers are compared that tell ticks of the same time apart, and the moments of their arrival.
    pub identity: bool,
}

impl Precision {
    /// Everything: two stores.
    pub const EXACT: Self = Self { time_unit: 1, digits: true, volume: true, identity: true };
    /// What was quoted: files hold that, and not always who numbered it.
    pub const QUOTES: Self = Self { identity: false, ..Self::EXACT };
    /// What the plain table `ticks(symbol, timestamp, bid, ask, …)` holds: milliseconds, and prices as numbers.
    pub const PLAIN_TABLE: Self = Self { time_unit: 1_000_000, digits: false, volume: false, identity: false };

    /// What both can hold.
    pub fn common(self, other: Self) -> Self {
        Self {
            time_unit: self.time_unit.max(other.time_unit),
            digits: self.digits && other.digits,
            volume: self.volume && other.volume,
            identity: self.identity && other.identity,
        }
    }
}

/// A record that has a digest.
pub trait Digested {
    /// Whose it is: the symbol, the target.
    fn name(&self) -> &Arc<str>;

    /// When.
    fn time(&self) -> Timestamp;

    /// A hash of what is compared, as far as `precision` goes; of the time and what else the name does not say.
    fn hash(&self, precision: Precision) -> u64;
}

impl Digested for Tick {
    fn name(&self) -> &Arc<str> {
        &self.symbol
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn hash(&self, precision: Precision) -> u64 {
        let mut bytes = Bytes::default();
        bytes.number(self.time.0.div_euclid(precision.time_unit.max(1)));
        bytes.decimal(self.bid, precision.digits);
        bytes.decimal(self.ask, precision.digits);
        bytes.decimal(self.volume.filter(|_| precision.volume), precision.digits);
        if precision.identity {
            bytes.number(self.seq.cast_signed());
            bytes.number(self.received.0);
        }
        bytes.text(&self.source);
        bytes.hash()
    }
}

impl Digested for Ping {
    fn name(&self) -> &Arc<str> {
        &self.target
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn hash(&self, precision: Precision) -> u64 {
        let mut bytes = Bytes::default();
        bytes.number(self.time.0.div_euclid(precision.time_unit.max(1)));
        for number in [self.latency, self.ttl, self.packet_size, self.sequence] {
            bytes.option(number);
        }
        // A jitter that was not sent is made on arrival.
        if precision.identity {
            bytes.option(self.jitter);
        }
        bytes.text(self.error.as_deref().unwrap_or_default());
        bytes.hash()
    }
}

/// What is hashed of a record: on the stack unless a text is long.
#[derive(Default)]
struct Bytes(smallvec::SmallVec<[u8; 128]>);

impl Bytes {
    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn option(&mut self, number: Option<u64>) {
        self.0.push(number.is_some().into());
        self.number(number.unwrap_or(0).cast_signed());
    }

    fn decimal(&mut self, number: Option<Decimal>, digits: bool) {
        let (mantissa, scale) = match number {
            None => (0, u8::MAX),
            Some(number) if digits => (number.mantissa(), number.scale()),
            Some(number) => {
                let number = number.without_trailing_zeros();
                (number.mantissa(), number.scale())
            }
        };
        self.number(mantissa);
        self.0.push(scale);
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn hash(&self) -> u64 {
        hash_bytes(&self.0)
    }
}

/// The digests of many names and days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(BTreeMap<(Arc<str>, Timestamp), Digest>);

/// A name and day of which two sides hold different records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Whose.
    pub name: Arc<str>,
    /// The first moment of the UTC day.
    pub day: Timestamp,
    /// What one side holds, where it holds any.
    pub left: Option<Digest>,
    /// What the other side holds.
    pub right: Option<Digest>,
}

impl Digests {
    /// Adds a record.
    pub fn add(&mut self, record: &impl Digested, precision: Precision) {
        let (name, time, checksum) = (record.name(), record.time(), record.hash(precision));
        let unit = precision.time_unit.max(1);
        let shown = Timestamp(time.0.saturating_sub(time.0.rem_euclid(unit)));
        let one = Digest { count: 1, first: shown, last: shown, checksum };
        match self.0.get_mut(&(name.clone(), time.day())) {
            Some(digest) => digest.merge(one),
            None => drop(self.0.insert((name.clone(), time.day()), one)),
        }
    }

    /// Names and days.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records of all names and days.
    pub fn records(&self) -> u64 {
        self.0.values().map(|digest| digest.count).sum()
    }

    /// Each name and day with its digest, by name and day.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Timestamp, &Digest)> {
        self.0.iter().map(|((name, day), digest)| (name, *day, digest))
    }

    /// Where the other side holds other records, by name and day.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut sides: BTreeMap<_, (Option<Digest>, Option<Digest>)> =
            self.0.iter().map(|(key, digest)| (key, (Some(*digest), None))).collect();
        for (key, digest) in &other.0 {
            sides.entry(key).or_default().1 = Some(*digest);
        }
        let differing = sides.into_iter().filter(|(_, (left, right))| left != right);
        differing
            .map(|((name, day), (left, right))| Difference { name: name.clone(), day: *day, left, right })
            .collect()
    }
}

impl Digest {
    /// Adds what others come to.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn hex<S: serde::Serializer>(checksum: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{checksum:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DAY;

    fn tick(symbol: &str, time: i64, bid: &str) -> Tick {
        Tick::new(symbol, Timestamp(time), Some(bid.parse().unwrap()), None).numbered(0)
    }

    fn digests(ticks: &[Tick], precision: Precision) -> Digests {
        let mut digests = Digests::default();
        for tick in ticks {
            digests.add(tick, precision);
        }
        digests
    }

    #[test]
    fn the_order_does_not_count_and_everything_else_does() {
        let ticks = [tick("A", 1, "1.50"), tick("B", DAY, "2"), tick("A", 1, "1.50"), tick("A", 5, "1.51")];
        let mut turned = ticks.clone();
        turned.reverse();
        let all = digests(&ticks, Precision::EXACT);
        assert_eq!(all.differences(&digests(&turned, Precision::EXACT)), []);
        assert_eq!((all.records(), all.len()), (4, 2));
        let changes: [fn(&mut Tick); 6] = [
            |tick| tick.bid = Some("1.5".parse().unwrap()),
            |tick| tick.ask = tick.bid.take(),
            |tick| tick.volume = Some(Decimal::ONE),
            |tick| tick.source = "other".into(),
            |tick| tick.seq = 1,
            |tick| tick.time = Timestamp(2),
        ];
        for change in changes {
            let mut changed = ticks.clone();
            change(&mut changed[2]);
            let found = all.differences(&digests(&changed, Precision::EXACT));
            assert_eq!(found.len(), 1, "{:?}", changed[2]);
            assert_eq!((found[0].name.as_ref(), found[0].day), ("A", Timestamp(0)));
        }
        let missing = all.differences(&digests(&ticks[2..], Precision::EXACT));
        assert_eq!(missing.iter().map(|found| found.right.map_or(0, |right| right.count)).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn what_a_side_cannot_hold_makes_no_difference() {
        let mut exact = tick("A", 1_234_567, "1.500");
        exact.volume = Some(Decimal::ONE);
        exact.seq = 7;
        let plain = tick("A", 1_000_000, "1.5");
        let same = |precision| {
            let digest = |tick: &Tick| digests(std::slice::from_ref(tick), precision);
            digest(&exact) == digest(&plain)
        };
        assert!(same(Precision::PLAIN_TABLE));
        assert!(!same(Precision::QUOTES));
        assert_eq!(Precision::EXACT.common(Precision::PLAIN_TABLE), Precision::PLAIN_TABLE);
    }
}
