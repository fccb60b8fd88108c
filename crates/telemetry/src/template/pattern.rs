//! One template: what it covers, and how alike a line is that it does not cover.

use std::cmp::Ordering;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::bytes::MASK;
use super::tree::Place;
use super::words::{VARIABLE, Words};

/// The text of a template and what routing needs of it.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) text: Arc<str>,
    pub(super) text_hash: u64,
    pub(super) place: Place,
    /// By word: its hash, or [`VARIABLE`].
    pub(super) words: Box<[u64]>,
    pub(super) constants: usize,
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        let words = Words::of(text);
        Self {
            text: text.into(),
            text_hash: xxh3_64(text.as_bytes()),
            place: Place::of(&words),
            constants: words.hashes.iter().filter(|&&word| word != VARIABLE).count(),
            words: words.hashes.into(),
        }
    }

    /// Bytes on the heap, about.
    pub(super) fn memory_bytes(&self) -> usize {
        // Two allocations have a header each, and an `Arc` two counters.
        self.text.len() + size_of::<u64>() * self.words.len() + 48
    }

    /// True if every word is the line's or variable, and all between the words is the line's.
    pub(super) fn covers(&self, line: &[u8], words: &Words) -> bool {
        self.covers_words(&words.hashes) && self.has_bytes_of(line, words)
    }

    /// True if this template takes the place of `other`, which it covers. One without a constant word takes no other's
    /// place: it is what is left for lines that nothing else covers.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.constants > 0
            && self.constants < other.constants
            && self.place.bare == other.place.bare
            && self.covers_words(&other.words)
            && self.has_bytes_of(other.text.as_bytes(), &Words::of(&other.text))
    }

    fn covers_words(&self, words: &[u64]) -> bool {
        self.words.len() == words.len()
            && self.words.iter().zip(words).all(|(&own, &other)| own == VARIABLE || own == other)
    }

    fn has_bytes_of(&self, line: &[u8], words: &Words) -> bool {
        let text = self.text.as_bytes();
        let (mut at, mut from) = (0, 0);
        for (span, _) in words.spans.iter().zip(&self.words).filter(|&(_, &word)| word == VARIABLE) {
            let constant = &line[from..span.start];
            if !text.get(at..).is_some_and(|rest| rest.starts_with(constant)) {
                return false;
            }
            at += constant.len() + MASK.len();
            from = span.end;
        }
        text.get(at..) == Some(&line[from..])
    }

    /// How alike the line is, if alike enough.
    pub(super) fn similarity(&self, words: &Words, constants: usize, least: f32) -> Option<Similarity> {
        let reaches = |equal: usize, either: usize| equal as f32 >= least * either as f32;
        let best_case = reaches(self.constants.min(constants), self.constants.max(constants));
        if !best_case || self.words.len() != words.hashes.len() {
            return None;
        }
        let (mut equal, mut either) = (0, 0);
        for (&own, &other) in self.words.iter().zip(&words.hashes) {
            either += usize::from(own != VARIABLE || other != VARIABLE);
            equal += usize::from(own == other && own != VARIABLE);
        }
        reaches(equal, either).then_some(Similarity { equal, either })
    }
}

/// `equal / either`, the words that are constant in both and in at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Similarity {
    equal: usize,
    either: usize,
}

impl Similarity {
    pub(super) fn compare(self, other: Self) -> Ordering {
        (self.equal * other.either).cmp(&(other.equal * self.either))
    }
}
