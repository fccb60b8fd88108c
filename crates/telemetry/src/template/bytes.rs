//! What a byte is to the masks and to the word splitter: the one table that both agree on.

/// What stands for a variable part, as bytes.
pub(super) const MASK: &[u8] = b"<*>";

/// White space and control characters.
pub(super) const SPACE: u8 = 1;
/// Quotes, brackets and the marks between values. They end a chunk and are kept.
pub(super) const DELIMITER: u8 = 1 << 1;
pub(super) const DIGIT: u8 = 1 << 2;
pub(super) const COLON: u8 = 1 << 3;
pub(super) const SLASH: u8 = 1 << 4;
pub(super) const BACKSLASH: u8 = 1 << 5;
/// `@` and `%`: a chunk with one of them is looked at closely.
pub(super) const OTHER_SPECIAL: u8 = 1 << 6;
/// Never in the table: a chunk that contains a literal `<*>`.
pub(super) const MARKER: u8 = 1 << 7;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            0..=b' ' | 0x7f => SPACE,
            b'"' | b'\'' | b'`' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b',' | b';' | b'=' | b'|' => {
                DELIMITER
            }
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            b'/' => SLASH,
            b'\\' => BACKSLASH,
            b'@' | b'%' => OTHER_SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

pub(super) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// True where a literal `<*>` starts: it is part of a word, not three delimiters.
pub(super) fn mask_at(text: &[u8], at: usize) -> bool {
    text[at..].starts_with(MASK)
}

/// A full stop, colon, exclamation or question mark belongs to the sentence when it ends a chunk.
pub(super) fn without_final_punctuation(chunk: &[u8]) -> &[u8] {
    let kept = chunk.iter().rposition(|byte| !matches!(byte, b'.' | b':' | b'!' | b'?'));
    &chunk[..kept.map_or(0, |last| last + 1)]
}
