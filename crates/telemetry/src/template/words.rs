//! A masked text as the tree sees it: words to compare, and the shape that lines must share to be compared at all.

use xxhash_rust::xxh3::xxh3_64;

use super::bytes::{DELIMITER, MASK, SPACE, class, mask_at, without_final_punctuation};

/// The hash of the word `<*>`; no other word has it.
pub(super) const VARIABLE: u64 = 0;

/// The words of one text. Reused from line to line, so that a known line allocates nothing.
///
/// A word lies between white space, quotes, brackets and `, ; = | :`, without its final punctuation. The name in
/// `name=value` and `{"name":value}` is not a word but part of the shape, and so never becomes variable.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Where each word is in the text.
    pub(super) spans: Vec<Span>,
    /// By word: its hash, or [`VARIABLE`].
    pub(super) hashes: Vec<u64>,
    /// Hash of everything that is not a word.
    pub(super) shape: u64,
    begins_with_name: bool,
    skeleton: Vec<u8>,
}

/// `start..end` in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.split(text.as_bytes());
        words
    }

    /// The places of the constant words that tell where in the tree the text belongs. None of a text that begins with a
    /// name, as JSON and logfmt do: what comes first there is just another value.
    pub(super) fn anchors(&self) -> impl Iterator<Item = usize> {
        let considered = if self.begins_with_name { &[][..] } else { &self.hashes };
        considered.iter().enumerate().filter(|&(_, &hash)| hash != VARIABLE).map(|(at, _)| at)
    }

    /// Replaces what is held by the words of `text`.
    pub(super) fn split(&mut self, text: &[u8]) {
        self.spans.clear();
        self.hashes.clear();
        self.skeleton.clear();
        self.begins_with_name = false;
        let mut at = 0;
        let mut gap = 0;
        while at < text.len() {
            if ends_word(text, at) {
                at += 1;
                continue;
            }
            let start = at;
            while at < text.len() && !ends_word(text, at) {
                at += if text[at] == b'<' { MASK.len() } else { 1 };
            }
            let word = without_final_punctuation(&text[start..at]);
            if is_name(text, start, at) {
                self.begins_with_name |= self.spans.is_empty();
                continue;
            }
            if word.is_empty() {
                continue;
            }
            self.hashes.push(if word == MASK { VARIABLE } else { xxh3_64(word).max(1) });
            self.skeleton.extend_from_slice(&text[gap..start]);
            // A control character is in no masked text, so this cannot be taken for one.
            self.skeleton.push(1);
            gap = start + word.len();
            self.spans.push(Span { start, end: gap });
        }
        self.skeleton.extend_from_slice(&text[gap..]);
        self.shape = xxh3_64(&self.skeleton);
    }
}

fn ends_word(text: &[u8], at: usize) -> bool {
    let byte = text[at];
    byte == b':' || (class(byte) & (SPACE | DELIMITER) != 0 && !mask_at(text, at))
}

/// True for the name in `name=`, and for the one in `"name":` where an object begins or goes on.
fn is_name(text: &[u8], start: usize, end: usize) -> bool {
    match &text[end..] {
        [b'=', ..] => true,
        [b'"', b':', ..] => {
            matches!(&text[..start], [.., b'{' | b',', b'"'] | [.., b'{' | b',', b' ', b'"'])
        }
        _ => false,
    }
}
