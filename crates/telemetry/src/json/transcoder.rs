//! Follows the schema through a JSON document and writes each field as it comes.

use serde::de::{DeserializeSeed, Error};
use serde::{Deserialize, Deserializer};

use super::explain::{Refusal, Step, explain};
use super::number::Number;
use super::scalars::{Bytes, Numeric};
use super::seeds::Object;
use super::writer::Writer;
use crate::DecodeError;
use crate::otlp::MAX_VALUE_DEPTH;
use crate::otlp::schema::{Field, Kind, Message};
use crate::wire::WireType;
use tallybook_core::Signal;

/// Turns an OTLP/JSON export request of `signal` into the same request in protobuf.
///
/// Names may be in lowerCamelCase or as in the protocol; 64-bit integers and floats may be strings or numbers, enums
/// names or numbers; `null` is the same as absent; unknown fields are ignored. Strings that are not UTF-8 are copied as
/// they are, for [`crate::otlp::validate`] to count. The result is a valid request and takes memory in proportion to
/// `json`.
///
/// # Errors
///
/// When `json` is not JSON, or when a known field has a value that its type cannot have; the error names the field by
/// its JSON path.
pub fn transcode(signal: Signal, json: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut transcoder = Transcoder {
        // Most documents become a little shorter than this.
        writer: Writer::with_capacity(json.len() / 2),
        path: Vec::new(),
        value_depth: 0,
        refusal: None,
    };
    let mut document = serde_json::Deserializer::from_slice(json);
    // Only the schema's own messages are read by recursion, and the depth of those that contain themselves is limited.
    document.disable_recursion_limit();
    let request = Object { to: &mut transcoder, message: Message::request(signal) };
    match request.deserialize(&mut document).and_then(|()| document.end()) {
        Ok(()) => Ok(transcoder.writer.into_bytes()),
        Err(error) => Err(explain(&error, json, &transcoder.path, transcoder.refusal)),
    }
}

pub(super) struct Transcoder {
    pub(super) writer: Writer,
    /// Where in the document we are, and after an error, where it happened.
    pub(super) path: Vec<Step>,
    value_depth: usize,
    refusal: Option<Refusal>,
}

impl Transcoder {
    /// Writes one value: of a field, or an element of a repeated one.
    pub(super) fn value<'de, D: Deserializer<'de>>(&mut self, field: &'static Field, json: D) -> Result<(), D::Error> {
        match field.kind {
            Kind::Message(message) => self.nested(field, message, json),
            Kind::Text | Kind::Bytes | Kind::Id => json.deserialize_bytes(Bytes { to: self, field }),
            Kind::Bool => {
                let flag = bool::deserialize(json)?;
                self.writer.tag(field.number, WireType::Varint);
                self.writer.varint(u64::from(flag));
                Ok(())
            }
            kind => match json.deserialize_any(Numeric { kind })? {
                Some(number) => self.number(field, number),
                None => self.fail(Refusal::BadValue),
            },
        }
    }

    fn nested<'de, D: Deserializer<'de>>(
        &mut self,
        field: &'static Field,
        message: &'static Message,
        json: D,
    ) -> Result<(), D::Error> {
        if message.is_any_value() {
            if self.value_depth == MAX_VALUE_DEPTH {
                return self.fail(Refusal::TooDeep);
            }
            self.value_depth += 1;
        }
        self.writer.tag(field.number, WireType::Bytes);
        let start = self.writer.open();
        Object { to: self, message }.deserialize(json)?;
        self.writer.close(start);
        if message.is_any_value() {
            self.value_depth -= 1;
        }
        Ok(())
    }

    fn number<E: Error>(&mut self, field: &'static Field, number: Number) -> Result<(), E> {
        let bits = match field.kind {
            Kind::Int32 | Kind::Enum(_) => number.to_integer::<i32>().map(|number| i64::from(number) as u64),
            Kind::Sint32 => number.to_integer::<i32>().map(|number| u64::from(zigzag(number))),
            Kind::Int64 | Kind::Sfixed64 => number.to_integer::<i64>().map(|number| number as u64),
            Kind::Uint32 | Kind::Fixed32 => number.to_integer::<u32>().map(u64::from),
            Kind::Double => Some(number.to_f64().to_bits()),
            _ => number.to_integer::<u64>(),
        };
        let Some(bits) = bits else { return self.fail(Refusal::BadValue) };
        if !field.repeated {
            self.writer.tag(field.number, field.kind.wire_type());
        }
        match field.kind.wire_type() {
            WireType::Fixed64 => self.writer.bytes(&bits.to_le_bytes()),
            WireType::Fixed32 => self.writer.bytes(&(bits as u32).to_le_bytes()),
            WireType::Varint | WireType::Bytes => self.writer.varint(bits),
        }
        Ok(())
    }

    pub(super) fn fail<E: Error>(&mut self, refusal: Refusal) -> Result<(), E> {
        self.refusal = Some(refusal);
        Err(E::custom(""))
    }
}

fn zigzag(number: i32) -> u32 {
    (number << 1 ^ number >> 31) as u32
}
