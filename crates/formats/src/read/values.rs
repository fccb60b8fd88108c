//! The fields of a record as the texts they came as: prices must not go through floating point.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashSet;
use tallybook_core::{Decimal, DecimalError, Timestamp};

use super::{Readable, clipped};

/// More fields than any record has.
pub(super) const MAX_FIELDS: usize = 12;

/// The most that an error repeats of a text.
const MAX_SHOWN_BYTES: usize = 100;

/// The texts of the fields of one record, by their place in [`Readable::FIELDS`].
#[derive(Debug, Default)]
pub struct Values<'a>([Option<Cow<'a, str>>; MAX_FIELDS]);

/// Where a field of that name belongs.
pub(super) fn place<R: Readable>(name: &str) -> Option<usize> {
    R::FIELDS.iter().position(|names| names.contains(&name))
}

impl<'a> Values<'a> {
    pub(super) fn set<R: Readable>(&mut self, place: usize, text: Cow<'a, str>) -> Result<(), String> {
        match self.0[place].replace(text) {
            None => Ok(()),
            Some(_) => Err(format!("`{}` is given twice", R::FIELDS[place].join("` or `"))),
        }
    }

    /// The text of a field.
    pub(super) fn text(&self, place: usize) -> Option<&str> {
        self.0[place].as_deref()
    }

    /// The text of a field that must be there.
    pub(super) fn needed<R: Readable>(&self, place: usize) -> Result<&str, String> {
        self.text(place).ok_or_else(|| format!("`{}` is missing", R::FIELDS[place][0]))
    }

    /// A field as an exact number.
    pub(super) fn decimal<R: Readable>(&self, place: usize) -> Result<Option<Decimal>, String> {
        self.parsed::<R, _>(place, |text| text.parse().map_err(|error: DecimalError| error.to_string()))
    }

    /// A field as a whole number.
    pub(super) fn whole<R: Readable>(&self, place: usize) -> Result<Option<u64>, String> {
        self.parsed::<R, _>(place, |text| {
            text.parse().map_err(|_| "is not a whole number from 0 to 2^64 - 1".to_owned())
        })
    }

    /// A field as a moment.
    pub(super) fn moment<R: Readable>(&self, place: usize) -> Result<Option<Timestamp>, String> {
        let error = "is neither an RFC 3339 time nor a number of s, ms, us or ns since 1970";
        self.parsed::<R, _>(place, |text| moment(text).ok_or_else(|| error.to_owned()))
    }

    /// A field in milliseconds, as nanoseconds.
    pub(super) fn milliseconds<R: Readable>(&self, place: usize) -> Result<Option<u64>, String> {
        self.parsed::<R, _>(place, |text| {
            let number: Decimal = text.parse().map_err(|error: DecimalError| error.to_string())?;
            let unit = 10_i128.pow(number.scale().into());
            let nanoseconds = (i128::from(number.mantissa()) * 1_000_000 + unit / 2).div_euclid(unit);
            u64::try_from(nanoseconds).map_err(|_| "is negative or too long".to_owned())
        })
    }

    /// A field as yes or no.
    pub(super) fn boolean<R: Readable>(&self, place: usize) -> Result<Option<bool>, String> {
        self.parsed::<R, _>(place, |text| match text {
            "true" | "True" | "TRUE" | "1" => Ok(true),
            "false" | "False" | "FALSE" | "0" => Ok(false),
            _ => Err("is neither true nor false".to_owned()),
        })
    }

    fn parsed<R: Readable, T>(
        &self,
        place: usize,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(text) = self.text(place) else { return Ok(None) };
        parse(text.trim())
            .map(Some)
            .map_err(|error| format!("`{}` {error}: `{}`", R::FIELDS[place][0], clipped(text, MAX_SHOWN_BYTES)))
    }
}

/// RFC 3339, or a number whose size tells its unit.
fn moment(text: &str) -> Option<Timestamp> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Timestamp::parse(text).or_else(|| without_zone(text));
    }
    let whole: i64 = whole.parse().ok()?;
    let (unit, places) = match whole {
        0..100_000_000_000 => (1_000_000_000, 9),
        100_000_000_000..100_000_000_000_000 => (1_000_000, 6),
        100_000_000_000_000..100_000_000_000_000_000 => (1_000, 3),
        _ => (1, 0),
    };
    let below = fraction.bytes().chain(std::iter::repeat(b'0')).take(places);
    let below = below.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    // Times past the last there is are refused as any other that lies too far away.
    let nanoseconds = whole.saturating_mul(unit).saturating_add(below);
    Some(Timestamp(if negative { -nanoseconds } else { nanoseconds }))
}

/// `2026-01-02 03:04:05.678`, as databases and Python write it: UTC, with nothing that says so.
fn without_zone(text: &str) -> Option<Timestamp> {
    let is_date_and_time = text.len() >= 19 && matches!(text.as_bytes().get(10), Some(b' ' | b'T'));
    is_date_and_time.then(|| Timestamp::parse(&format!("{text}Z"))).flatten()
}

/// Names that were seen, so that a million ticks of a symbol share one.
#[derive(Debug, Default)]
pub struct Names(HashSet<Arc<str>>);

impl Names {
    const MAX: usize = 65_536;

    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let new: Arc<str> = name.into();
        self.0.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_tells_the_unit_of_a_time() {
        let second = 1_700_000_000;
        for (text, nanoseconds) in [
            ("1700000000", second * 1_000_000_000),
            ("1700000000.123456789", second * 1_000_000_000 + 123_456_789),
            ("1700000000123", second * 1_000_000_000 + 123_000_000),
            ("1700000000123.5", second * 1_000_000_000 + 123_500_000),
            ("1700000000123456", second * 1_000_000_000 + 123_456_000),
            ("1700000000123456789", second * 1_000_000_000 + 123_456_789),
            ("2023-11-14T22:13:20.123456789Z", second * 1_000_000_000 + 123_456_789),
            ("2023-11-14T23:13:20+01:00", second * 1_000_000_000),
            ("2023-11-14 22:13:20", second * 1_000_000_000),
            ("2023-11-14T22:13:20.5", second * 1_000_000_000 + 500_000_000),
            ("-0.5", -500_000_000),
        ] {
            assert_eq!(moment(text), Some(Timestamp(nanoseconds)), "{text}");
        }
        for text in ["", ".", "-", "NaN", "yesterday", "99999999999999999999", "1.5.2", "+5", "1e9"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
