//! Attribute keys and event names, each held once however many names carry it.

use std::sync::Arc;

use hashbrown::HashTable;
use tallybook_core::{OVERFLOW, hash_bytes};

/// A text by its place in [`Texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId(pub(super) u32);

impl TextId {
    /// [`OVERFLOW`].
    pub(super) const OVERFLOW: Self = Self(0);
}

#[derive(Debug)]
pub(super) struct Texts {
    list: Vec<Entry>,
    by_text: HashTable<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    hash: u64,
}

impl Texts {
    pub(super) fn new() -> Self {
        let mut texts = Self { list: Vec::new(), by_text: HashTable::new(), bytes: 0 };
        texts.intern(OVERFLOW);
        texts
    }

    #[inline]
    pub(super) fn get(&self, id: TextId) -> &Arc<str> {
        &self.list[id.0 as usize].text
    }

    /// [`hash_bytes`] of the text.
    #[inline]
    pub(super) fn hash(&self, id: TextId) -> u64 {
        self.list[id.0 as usize].hash
    }

    pub(super) fn find(&self, text: &[u8]) -> Option<TextId> {
        self.find_hashed(text, hash_bytes(text))
    }

    fn find_hashed(&self, text: &[u8], hash: u64) -> Option<TextId> {
        self.by_text.find(hash, |&at| self.list[at as usize].text.as_bytes() == text).map(|&at| TextId(at))
    }

    pub(super) fn intern(&mut self, text: &str) -> TextId {
        let hash = hash_bytes(text.as_bytes());
        if let Some(known) = self.find_hashed(text.as_bytes(), hash) {
            return known;
        }
        let at = self.list.len() as u32;
        self.list.push(Entry { text: text.into(), hash });
        self.bytes += text.len();
        self.by_text.insert_unique(hash, at, |&at| self.list[at as usize].hash);
        TextId(at)
    }

    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        // An allocation has a header of its own, and an `Arc` two counters.
        self.bytes + self.list.len() * (size_of::<Entry>() + 32) + self.by_text.allocation_size()
    }
}
