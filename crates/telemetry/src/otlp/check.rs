//! Checks a whole request against the schema, so that nothing can go wrong while it is visited.

use super::schema::{Field, Kind, Message};
use super::{Counts, MAX_VALUE_DEPTH};
use crate::wire::{Fault, Reader, Value, WireType};
use crate::{DecodeError, DecodeErrorKind};

pub(super) fn check(schema: &'static Message, request: &[u8]) -> Result<Counts, DecodeError> {
    let mut check = Check { request, counts: Counts::default() };
    check.message(schema, request, 0)?;
    Ok(check.counts)
}

struct Check<'a> {
    request: &'a [u8],
    counts: Counts,
}

impl<'a> Check<'a> {
    /// Checks a message that is inside `value_depth` attribute values or bodies.
    fn message(&mut self, schema: &'static Message, message: &'a [u8], value_depth: usize) -> Result<(), DecodeError> {
        let mut reader = Reader::new(message);
        loop {
            let from = reader.rest();
            let field = match reader.next_field() {
                Ok(Some(field)) => field,
                Ok(None) => return Ok(()),
                Err(fault) => return Err(self.fault(fault, from)),
            };
            let Some(known) = schema.by_number(field.number) else { continue };
            match field.value {
                Value::Bytes(bytes) => match known.kind {
                    Kind::Message(inner) => {
                        self.counts.records += u64::from(known.is_record);
                        let value_depth = value_depth + usize::from(inner.is_any_value());
                        if value_depth > MAX_VALUE_DEPTH {
                            return Err(DecodeError::too_deep(self.offset(from)).inside(known.name));
                        }
                        self.message(inner, bytes, value_depth).map_err(|error| error.inside(known.name))?;
                    }
                    Kind::Text => self.text(bytes),
                    Kind::Bytes | Kind::Id => {}
                    _ if known.repeated => {
                        packed_list(known, bytes).map_err(|fault| self.fault(fault, from).inside(known.name))?;
                    }
                    _ => return Err(self.wrong_type(known, from)),
                },
                value if value.wire_type() == known.kind.wire_type() => {}
                _ => return Err(self.wrong_type(known, from)),
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        let is_utf8 = text.is_ascii() || std::str::from_utf8(text).is_ok();
        self.counts.invalid_utf8 += u64::from(!is_utf8);
    }

    #[cold]
    fn fault(&self, fault: Fault, from: &[u8]) -> DecodeError {
        DecodeError::new(fault.kind(), self.offset(from), fault.detail())
    }

    #[cold]
    fn wrong_type(&self, field: &Field, from: &[u8]) -> DecodeError {
        let detail = "the field has another wire type than OTLP gives it";
        DecodeError::new(DecodeErrorKind::WrongType, self.offset(from), detail).inside(field.name)
    }

    /// Where in the request its part `from` begins.
    fn offset(&self, from: &[u8]) -> usize {
        from.as_ptr().addr() - self.request.as_ptr().addr()
    }
}

fn packed_list(field: &Field, packed: &[u8]) -> Result<(), Fault> {
    let is_whole = match field.kind.wire_type() {
        WireType::Varint => return varints(packed),
        WireType::Fixed64 => packed.len().is_multiple_of(8),
        WireType::Fixed32 => packed.len().is_multiple_of(4),
        WireType::Bytes => true,
    };
    if is_whole { Ok(()) } else { Err(Fault::Truncated) }
}

fn varints(packed: &[u8]) -> Result<(), Fault> {
    let mut reader = Reader::new(packed);
    while !reader.rest().is_empty() {
        reader.varint()?;
    }
    Ok(())
}
