//! Numbers as JSON has them: written as integers, with a fraction or an exponent, or as strings.

/// A number of JSON, not yet of a protobuf type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// Reads a string that holds a number. `NaN`, `Infinity` and `-Infinity` are numbers here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Self::Signed(number));
        }
        text.parse().ok().map(Self::Float)
    }

    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Signed(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// The same number as an integer of type `T`, unless it has a fraction or does not fit.
    pub(super) fn to_integer<T: TryFrom<i128>>(self) -> Option<T> {
        let integer = match self {
            Self::Unsigned(number) => i128::from(number),
            Self::Signed(number) => i128::from(number),
            // The cast saturates, and what saturates fits no type of 64 bits.
            Self::Float(number) if number.fract() == 0.0 => number as i128,
            Self::Float(_) => return None,
        };
        T::try_from(integer).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_up_to_64_bits() {
        assert_eq!(Number::parse("18446744073709551615").and_then(Number::to_integer), Some(u64::MAX));
        assert_eq!(Number::parse("-9223372036854775808").and_then(Number::to_integer), Some(i64::MIN));
        assert_eq!(Number::Unsigned(u64::MAX).to_integer::<i64>(), None);
        assert_eq!(Number::Signed(-1).to_integer::<u64>(), None);
        assert_eq!(Number::Unsigned(1 << 32).to_integer::<u32>(), None);
    }

    #[test]
    fn a_float_is_an_integer_only_without_a_fraction() {
        assert_eq!(Number::Float(1000.0).to_integer(), Some(1000_i64));
        assert_eq!(Number::parse("1e3").and_then(Number::to_integer), Some(1000_u32));
        assert_eq!(Number::Float(-0.0).to_integer(), Some(0_u64));
        for not_integral in [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 9_223_372_036_854_775_808.0] {
            assert_eq!(Number::Float(not_integral).to_integer::<i64>(), None, "{not_integral}");
        }
    }

    #[test]
    fn the_names_of_non_finite_numbers_are_numbers() {
        let parsed = |text| Number::parse(text).map(Number::to_f64);
        assert!(parsed("NaN").is_some_and(f64::is_nan));
        assert_eq!(parsed("Infinity"), Some(f64::INFINITY));
        assert_eq!(parsed("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parsed("twelve"), None);
        assert_eq!(parsed(""), None);
    }
}
