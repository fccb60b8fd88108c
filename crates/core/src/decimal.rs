//! Prices exactly as they were sent: `1.08500` comes back as `1.08500`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A decimal number with as many places behind the point as it was written with: `mantissa / 10^scale`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

/// Why a text is no [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point, a sign and an exponent; NaN and infinities are not.
    #[error("is not a decimal number")]
    NotANumber,
    /// More than 18 digits, or more than 18 places behind the point.
    #[error("has more than 18 digits")]
    TooLong,
}

impl Decimal {
    /// The most digits, and the most places behind the point.
    pub const MAX_DIGITS: u8 = 18;
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };
    const MAX_MANTISSA: i64 = 10_i64.pow(Self::MAX_DIGITS as u32) - 1;

    /// `mantissa / 10^scale`.
    ///
    /// # Errors
    /// `TooLong` past [`Decimal::MAX_DIGITS`] in either.
    pub const fn new(mantissa: i64, scale: u8) -> Result<Self, DecimalError> {
        if scale > Self::MAX_DIGITS || mantissa > Self::MAX_MANTISSA || mantissa < -Self::MAX_MANTISSA {
            return Err(DecimalError::TooLong);
        }
        Ok(Self { mantissa, scale })
    }

    /// The digits, as one number.
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// The places behind the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The same value with as few places as it needs: `1.50` is `1.5`.
    pub fn without_trailing_zeros(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The nearest floating-point number, for pictures and statistics.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10_f64.powi(i32::from(self.scale))
    }

    /// `self - other`, with the places of the longer one; `None` when it has too many digits.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.combined(other, i128::checked_sub)
    }

    /// `self + other`, with the places of the longer one; `None` when it has too many digits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.combined(other, i128::checked_add)
    }

    /// The middle between both, exactly, with one more place only where it needs one; `None` when it has too many digits.
    pub fn mid(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let sum = self.scaled_to(scale) + other.scaled_to(scale);
        if sum % 2 == 0 { Self::narrowed(sum / 2, scale) } else { Self::narrowed(sum * 5, scale + 1) }
    }

    fn combined(self, other: Self, combine: impl Fn(i128, i128) -> Option<i128>) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Self::narrowed(combine(self.scaled_to(scale), other.scaled_to(scale))?, scale)
    }

    /// The mantissa with `scale` places, which are no fewer than it has; at most 36 digits.
    fn scaled_to(self, scale: u8) -> i128 {
        i128::from(self.mantissa) * 10_i128.pow(u32::from(scale - self.scale))
    }

    fn narrowed(mantissa: i128, scale: u8) -> Option<Self> {
        Self::new(i64::try_from(mantissa).ok()?, scale).ok()
    }
}

/// By value: `1.50` and `1.5` are neither less nor greater, though [`PartialEq`] tells them apart.
impl Decimal {
    /// Compares values, whatever the places.
    pub fn value_cmp(self, other: Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.scaled_to(scale).cmp(&other.scaled_to(scale))
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `-12.3400`, `.5`, `5.` and JSON's exponents (`1e-5` is `0.00001`).
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| DecimalError::NotANumber)?),
            None => (text, 0),
        };
        let (negative, digits) = match number.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let (mut mantissa, mut places, mut seen, mut point) = (0_i64, 0_i32, false, false);
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    mantissa = mantissa * 10 + i64::from(byte - b'0');
                    if mantissa > Self::MAX_MANTISSA {
                        return Err(DecimalError::TooLong);
                    }
                    places += i32::from(point);
                }
                b'.' if !point => point = true,
                _ => return Err(DecimalError::NotANumber),
            }
            // Zeros without end are no number of ours either.
            if places > i32::from(Self::MAX_DIGITS) {
                return Err(DecimalError::TooLong);
            }
        }
        if !seen {
            return Err(DecimalError::NotANumber);
        }
        let mut scale = places.checked_sub(exponent).ok_or(DecimalError::TooLong)?;
        while scale < 0 {
            if mantissa == 0 {
                scale = 0;
                break;
            }
            mantissa *= 10;
            scale += 1;
            if mantissa > Self::MAX_MANTISSA {
                return Err(DecimalError::TooLong);
            }
        }
        let scale = u8::try_from(scale).map_err(|_| DecimalError::TooLong)?;
        Self::new(if negative { -mantissa } else { mantissa }, scale)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let unit = 10_u64.pow(u32::from(self.scale));
        write!(f, "{sign}{}.{:0places$}", digits / unit, digits % unit, places = usize::from(self.scale))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A string: a number would lose its zeros on the way.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_price_comes_back_exactly_as_it_was_sent() {
        for text in ["1.08500", "0", "-0.5", "65000", "0.000000000000000001", "999999999999999999", "100.00"] {
            assert_eq!(decimal(text).to_string(), text);
        }
    }

    #[test]
    fn other_ways_to_write_a_number_are_understood() {
        for (text, shown) in
            [(".5", "0.5"), ("5.", "5"), ("+1.5", "1.5"), ("1e-5", "0.00001"), ("1.5E3", "1500"), ("0e99", "0")]
        {
            assert_eq!(decimal(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in
            ["", "-", ".", "NaN", "Infinity", "-inf", "1,5", "1.2.3", "0x10", " 1", "1e", "e5", "1e999999999999"]
        {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::NotANumber), "{text}");
        }
        for text in ["1000000000000000000", "0.0000000000000000000", "1e300", "1e-300", "1e-2147483648"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::TooLong), "{text}");
        }
    }

    #[test]
    fn differences_and_middles_are_exact() {
        let (bid, ask) = (decimal("1.08500"), decimal("1.0851"));
        assert_eq!(ask.checked_sub(bid).unwrap().to_string(), "0.00010");
        assert_eq!(bid.mid(ask).unwrap().to_string(), "1.08505");
        assert_eq!(decimal("1.1").mid(decimal("1.2")).unwrap().to_string(), "1.15");
        assert_eq!(bid.value_cmp(decimal("1.085")), Ordering::Equal);
        assert_eq!(decimal("-1").value_cmp(decimal("0.5")), Ordering::Less);
        for (text, short) in [("1.500", "1.5"), ("-10.00", "-10"), ("0.000", "0"), ("100", "100")] {
            assert_eq!(decimal(text).without_trailing_zeros().to_string(), short);
        }
        assert_eq!(decimal("999999999999999999").checked_add(decimal("1")), None);
        assert_eq!(decimal("999999999999999999").checked_sub(decimal("0.000000000000000001")), None);
    }
}
