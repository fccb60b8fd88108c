//! What is neither an object nor a list: strings, bytes in their two spellings, and numbers.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Error, Visitor};

use super::explain::Refusal;
use super::number::Number;
use super::transcoder::Transcoder;
use crate::otlp::schema::{Field, Kind};
use crate::wire::WireType;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// A string: text, or bytes in one of two spellings.
pub(super) struct Bytes<'t> {
    pub(super) to: &'t mut Transcoder,
    pub(super) field: &'static Field,
}

impl Visitor<'_> for Bytes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, string: &[u8]) -> Result<(), E> {
        let decoded = match self.field.kind {
            Kind::Id => hex::decode(string).ok(),
            Kind::Bytes if string.iter().any(|byte| matches!(byte, b'-' | b'_')) => BASE64_URL.decode(string).ok(),
            Kind::Bytes => BASE64.decode(string).ok(),
            _ => None,
        };
        let bytes = match (self.field.kind, &decoded) {
            (Kind::Text, _) => string,
            (_, Some(bytes)) => bytes,
            (_, None) => return self.to.fail(Refusal::BadValue),
        };
        self.to.writer.tag(self.field.number, WireType::Bytes);
        self.to.writer.varint(bytes.len() as u64);
        self.to.writer.bytes(bytes);
        Ok(())
    }
}

/// A number, a string that holds one, or the name of an enum value; nothing when the string is neither.
pub(super) struct Numeric {
    pub(super) kind: Kind,
}

impl Visitor<'_> for Numeric {
    type Value = Option<Number>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Number::Unsigned(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Number::Signed(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Number::Float(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let named = match self.kind {
            Kind::Enum(names) => names.number_of(text).map(|number| Number::Signed(i64::from(number))),
            _ => None,
        };
        Ok(named.or_else(|| Number::parse(text)))
    }
}
