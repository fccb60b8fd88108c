//! Repeated fields as views: they are read while iterating, from the bytes of the message they are in.
//!
//! Views are made of checked requests only, so they have no error to report: what the check refuses is never visited.

use std::fmt;
use std::marker::PhantomData;

use crate::wire::{Field, Reader, Value};

/// What a [`List`] can hold: a view of one message.
pub trait View<'a>: Sized {
    /// The view of a message of its type that was checked with the request it is in.
    fn read(message: &'a [u8]) -> Self;
}

/// The fields of a checked message, each with the bytes of the message from it on.
#[inline]
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = (Field<'_>, &[u8])> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        let from = reader.rest();
        match reader.next_field() {
            Ok(Some(field)) => Some((field, from)),
            Ok(None) | Err(_) => None,
        }
    })
}

/// The messages of one repeated field.
pub struct List<'a, T> {
    /// Enough of a message to hold all fields with this number; it may hold others.
    message: &'a [u8],
    number: u32,
    item: PhantomData<fn() -> T>,
}

impl<'a, T: View<'a>> List<'a, T> {
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        Self { message, number, item: PhantomData }
    }

    /// Takes in the fields from here on, unless it began earlier in the message.
    #[inline]
    pub(super) fn begin(&mut self, from: &'a [u8], number: u32) {
        if self.message.is_empty() {
            *self = Self::new(from, number);
        }
    }

    /// Whether it has no items.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The items, in the order of the sender.
    #[inline]
    pub fn iter(self) -> Items<'a, T> {
        Items { reader: Reader::new(self.message), number: self.number, item: PhantomData }
    }
}

impl<'a, T: View<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { message: &[], number: 0, item: PhantomData }
    }
}

impl<'a, T: View<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over a [`List`].
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    reader: Reader<'a>,
    number: u32,
    item: PhantomData<fn() -> T>,
}

impl<'a, T: View<'a>> Iterator for Items<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        while let Ok(Some(field)) = self.reader.next_field() {
            if let Field { number, value: Value::Bytes(message) } = field
                && number == self.number
            {
                return Some(T::read(message));
            }
        }
        None
    }
}

/// A repeated number, whether it was sent packed, field by field, or both.
#[derive(Clone, Copy, Default)]
pub struct Doubles<'a> {
    /// As in [`List`].
    message: &'a [u8],
    number: u32,
}

impl<'a> Doubles<'a> {
    #[inline]
    pub(super) fn begin(&mut self, from: &'a [u8], number: u32) {
        if self.message.is_empty() {
            *self = Self { message: from, number };
        }
    }

    /// The numbers, in the order of the sender.
    pub fn iter(self) -> impl Iterator<Item = f64> + use<'a> {
        let own = fields(self.message).filter(move |(field, _)| field.number == self.number);
        own.flat_map(|(field, _)| {
            let (packed, single) = match field.value {
                Value::Bytes(packed) => (packed, None),
                Value::Fixed64(bits) => (&[][..], Some(bits)),
                Value::Varint(_) | Value::Fixed32(_) => (&[][..], None),
            };
            let (chunks, _) = packed.as_chunks();
            let packed = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk));
            packed.chain(single).map(f64::from_bits)
        })
    }
}

impl fmt::Debug for Doubles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
