//! Writes protobuf without knowing the length of a message before its end.

use crate::wire::{MAX_VARINT_BYTES, WireType};

#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn tag(&mut self, number: u32, wire_type: WireType) {
        self.varint(u64::from(number << 3 | wire_type as u32));
    }

    pub(super) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Begins the content of a length-delimited field; the result goes to [`Writer::close`].
    pub(super) fn open(&mut self) -> usize {
        // One byte holds the length of most messages. Longer ones are moved when they end, once per level of nesting.
        self.out.push(0);
        self.out.len()
    }

    /// Ends the content that began at `start`.
    pub(super) fn close(&mut self, start: usize) {
        let end = self.out.len();
        let length = end - start;
        if length < 0x80 {
            self.out[start - 1] = length as u8;
            return;
        }
        // Written behind the content first, which makes the room that the content then moves into.
        self.varint(length as u64);
        let mut prefix = [0; MAX_VARINT_BYTES];
        let prefix = &mut prefix[..self.out.len() - end];
        prefix.copy_from_slice(&self.out[end..]);
        self.out.pop();
        self.out.copy_within(start..end, start - 1 + prefix.len());
        self.out[start - 1..start - 1 + prefix.len()].copy_from_slice(prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Field, Reader, Value};

    #[test]
    fn a_closed_message_has_its_length_before_it_however_long_it_is() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 16_385, 2_097_152] {
            let content: Vec<u8> = (0..length).map(|byte: u32| byte as u8).collect();
            let mut writer = Writer::default();
            writer.tag(1, WireType::Varint);
            writer.varint(7);
            writer.tag(2, WireType::Bytes);
            let start = writer.open();
            writer.bytes(&content);
            writer.close(start);
            writer.tag(3, WireType::Varint);
            writer.varint(9);

            let written = writer.into_bytes();
            let mut reader = Reader::new(&written);
            let mut next = || reader.next_field().expect("well-formed");
            assert_eq!(next(), Some(Field { number: 1, value: Value::Varint(7) }));
            assert_eq!(next(), Some(Field { number: 2, value: Value::Bytes(&content) }), "{length} bytes");
            assert_eq!(next(), Some(Field { number: 3, value: Value::Varint(9) }));
            assert_eq!(next(), None);
        }
    }
}
