//! The protobuf wire format: a strict, zero-copy reader of the fields of one message.

use crate::DecodeErrorKind;

/// A varint carries seven bits per byte, so 64 bits need at most this many bytes.
pub(crate) const MAX_VARINT_BYTES: usize = 10;

/// What can be wrong with bytes before it is known what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Truncated,
    OverlongVarint,
    FieldNumber,
    WireType,
}

impl Fault {
    pub(crate) fn kind(self) -> DecodeErrorKind {
        match self {
            Self::Truncated => DecodeErrorKind::Truncated,
            Self::OverlongVarint | Self::FieldNumber | Self::WireType => DecodeErrorKind::Malformed,
        }
    }

    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Truncated => "the data ends inside a field; it was cut short, or a length in it is wrong",
            Self::OverlongVarint => "a varint is longer than 64 bits; this is not protobuf, or it is damaged",
            Self::FieldNumber => "a field number is 0 or too large; this is not protobuf, or it is damaged",
            Self::WireType => "a field is a group or of an unknown wire type; this is not OTLP, or it is damaged",
        }
    }
}

/// How the length of a value is told; its number is part of the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The value of a field as the wire types it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl Value<'_> {
    #[inline]
    pub(crate) fn wire_type(self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::Fixed64(_) => WireType::Fixed64,
            Self::Bytes(_) => WireType::Bytes,
            Self::Fixed32(_) => WireType::Fixed32,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
}

/// Reads the fields of one message in the order in which they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What was not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or nothing at the end of the message. After a fault the reader must not be used any more.
    #[inline]
    pub(crate) fn next_field(&mut self) -> Result<Option<Field<'a>>, Fault> {
        // Four fields of five are bytes with a tag and a length of one byte each; small enough to be inlined, this
        // path makes a walk twice as fast.
        if let [tag @ 0x08..0x80, length @ ..0x80, ref rest @ ..] = *self.rest
            && tag & 7 == WireType::Bytes as u8
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(length))
        {
            self.rest = rest;
            return Ok(Some(Field { number: u32::from(tag >> 3), value: Value::Bytes(bytes) }));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.any_field().map(Some)
    }

    fn any_field(&mut self) -> Result<Field<'a>, Fault> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Fault::FieldNumber)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Fault::FieldNumber);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.chunk()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.chunk()?)),
            _ => return Err(Fault::WireType),
        };
        Ok(Field { number, value })
    }

    /// A number of up to 64 bits; the elements of a packed list follow each other like this.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Fault> {
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Fault> {
        let mut number = 0;
        for (at, &byte) in self.rest.iter().take(MAX_VARINT_BYTES).enumerate() {
            if at == MAX_VARINT_BYTES - 1 && byte > 1 {
                return Err(Fault::OverlongVarint);
            }
            number |= u64::from(byte & 0x7F) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        Err(Fault::Truncated)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.varint()?).map_err(|_| Fault::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, Fault> {
        let mut reader = Reader::new(bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.next_field()? {
            fields.push(field);
        }
        assert_eq!(reader.rest(), b"");
        Ok(fields)
    }

    #[test]
    fn every_wire_type_is_read_with_its_number() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0x80, // 2: fixed64
            0x1A, 2, b'h', b'i', // 3: bytes
            0x25, 4, 0, 0, 0, // 4: fixed32
            0x82, 0x7D, 0, // 2000: bytes, empty
        ];
        let expected = [
            Field { number: 1, value: Value::Varint(150) },
            Field { number: 2, value: Value::Fixed64(0x8000_0000_0000_0001) },
            Field { number: 3, value: Value::Bytes(b"hi") },
            Field { number: 4, value: Value::Fixed32(4) },
            Field { number: 2000, value: Value::Bytes(b"") },
        ];
        assert_eq!(read(&bytes), Ok(expected.to_vec()));
    }

    #[test]
    fn a_message_that_ends_inside_a_field_is_truncated() {
        let cut: [&[u8]; 6] = [&[0x08], &[0x08, 0x80], &[0x80], &[0x11, 1, 2, 3], &[0x1A, 2, b'h'], &[0x25, 1]];
        for bytes in cut {
            assert_eq!(read(bytes), Err(Fault::Truncated), "{bytes:?}");
        }
        let length_of_2_to_the_63 = [0x1A, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        assert_eq!(read(&length_of_2_to_the_63), Err(Fault::Truncated));
    }

    #[test]
    fn a_varint_has_at_most_64_bits() {
        let mut largest = vec![0x08];
        largest.extend([0xFF; 9]);
        largest.push(0x01);
        assert_eq!(read(&largest), Ok(vec![Field { number: 1, value: Value::Varint(u64::MAX) }]));
        largest[10] = 0x02;
        assert_eq!(read(&largest), Err(Fault::OverlongVarint));
        largest[10] = 0x81;
        assert_eq!(read(&largest), Err(Fault::OverlongVarint));
    }

    #[test]
    fn a_padded_varint_is_still_its_number() {
        assert_eq!(read(&[0x08, 0x85, 0x80, 0x00]), Ok(vec![Field { number: 1, value: Value::Varint(5) }]));
    }

    #[test]
    fn field_number_zero_and_numbers_past_29_bits_are_refused() {
        assert_eq!(read(&[0x00, 0x01]), Err(Fault::FieldNumber));
        assert_eq!(read(&[0x02, 0x00]), Err(Fault::FieldNumber));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x10, 0x00]), Err(Fault::FieldNumber));
    }

    #[test]
    fn groups_and_undefined_wire_types_are_refused() {
        for wire_type in [3, 4, 6, 7] {
            assert_eq!(read(&[0x08 | wire_type, 0x0C]), Err(Fault::WireType), "wire type {wire_type}");
        }
    }
}
