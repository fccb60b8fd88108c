//! Bytes of a stream to lines.

use tallybook_core::{LineEnd, LogLines};

/// How far back from its end a piece of a long line is cut at a blank, so that words (and secrets) are not cut in two.
const BLANK_WITHIN_BYTES: usize = 4 * 1024;

/// What a stream gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Whole lines, each with its line feed.
    Lines(&'a [u8]),
    /// One line, or a piece of one, without its line feed.
    Line {
        text: &'a [u8],
        /// Whether the line begins here.
        begins: bool,
        end: LineEnd,
    },
}

/// Splits one stream. What it keeps is less than a line may be long.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    begun: Vec<u8>,
    /// Whether pieces of the line that is begun were given.
    continued: bool,
}

impl Splitter {
    /// Gives everything that is whole with these bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        if !self.begun.is_empty() || self.continued {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return self.begin(bytes, &mut each) };
            self.begin(&bytes[..end], &mut each);
            self.end(LineEnd::Newline, &mut each);
            bytes = &bytes[end + 1..];
        }
        let (lines, rest) = bytes.split_at(memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1));
        if !lines.is_empty() {
            each(Piece::Lines(lines));
        }
        self.begin(rest, &mut each);
    }

    /// Gives what is left when the stream has ended without a line feed.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if !self.begun.is_empty() {
            self.end(LineEnd::Missing, &mut each);
        }
    }

    fn end(&mut self, end: LineEnd, each: &mut impl FnMut(Piece<'_>)) {
        each(Piece::Line { text: &self.begun, begins: !self.continued, end });
        self.begun.clear();
        self.continued = false;
    }

    /// Takes a part of a line; gives pieces until less than one is left.
    fn begin(&mut self, bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        self.begun.extend_from_slice(bytes);
        let mut given = 0;
        while self.begun.len() - given > LogLines::MAX_LINE_BYTES {
            let text = &self.begun[given..given + LogLines::MAX_LINE_BYTES];
            let text = &text[..cut(text)];
            each(Piece::Line { text, begins: !self.continued, end: LineEnd::Split });
            self.continued = true;
            given += text.len();
        }
        self.begun.drain(..given);
    }
}

/// Behind the last blank, else before the last character: its later bytes are 0b10xx_xxxx.
fn cut(text: &[u8]) -> usize {
    let near_end = text.len() - BLANK_WITHIN_BYTES;
    if let Some(at) = text[near_end..].iter().rposition(u8::is_ascii_whitespace) {
        return near_end + at + 1;
    }
    (text.len() - 4..text.len()).rev().find(|&at| text[at] & 0xc0 != 0x80).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = LogLines::MAX_LINE_BYTES;

    fn split(reads: &[&[u8]]) -> Vec<(Vec<u8>, bool, LineEnd)> {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Lines(lines) => {
                let lines = lines.strip_suffix(b"\n").expect("whole lines");
                found.extend(lines.split(|byte| *byte == b'\n').map(|line| (line.to_vec(), true, LineEnd::Newline)));
            }
            Piece::Line { text, begins, end } => found.push((text.to_vec(), begins, end)),
        };
        for read in reads {
            splitter.push(read, &mut take);
        }
        splitter.finish(&mut take);
        found
    }

    #[test]
    fn blank_lines_indentation_and_the_line_without_an_end_are_kept() {
        let whole = |text: &str| (text.as_bytes().to_vec(), true, LineEnd::Newline);
        let missing = |text: &str| (text.as_bytes().to_vec(), true, LineEnd::Missing);
        assert_eq!(split(&[b"a\n\n  b\r\n", b"\tc"]), [whole("a"), whole(""), whole("  b\r"), missing("\tc")]);
        assert_eq!(split(&[b"STEP_", b"START", b":x\n"]), [whole("STEP_START:x")]);
        assert_eq!(split(&[]), []);
        assert_eq!(split(&[b"\n"]), [whole("")]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_do_not_cut_words() {
        let line = [vec![b'x'; MAX - 10], b" secret-that-is-long".to_vec()].concat();
        let pieces = split(&[&line, b"\nnext\n"]);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1], (b"secret-that-is-long".to_vec(), false, LineEnd::Newline));
        assert_eq!((pieces[0].1, pieces[0].2), (true, LineEnd::Split));
        assert_eq!(pieces[2], (b"next".to_vec(), true, LineEnd::Newline));
    }

    proptest! {
        #[test]
        fn however_it_is_read_the_lines_are_the_same(
            lines in prop::collection::vec(prop_oneof![
                prop::collection::vec(prop::sample::select(b"ab \xff\0".to_vec()), 0..30),
                Just(vec![b'y'; 3 * MAX + 5]),
                Just("é".repeat(MAX).into_bytes()),
            ], 0..8),
            ends in any::<bool>(),
            sizes in prop::collection::vec(1_usize..100_000, 1..20),
        ) {
            let mut output = lines.join(&b'\n');
            if ends { output.push(b'\n'); }
            let (mut rest, mut reads) = (&output[..], Vec::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (read, later) = rest.split_at(rest.len().min(*size));
                reads.push(read);
                rest = later;
            }
            let mut found: Vec<Vec<u8>> = Vec::new();
            for (text, begins, _) in split(&reads) {
                if begins { found.push(text) } else { found.last_mut().unwrap().extend(text) }
            }
            let mut expected: Vec<Vec<u8>> = output.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) { expected.pop(); }
            prop_assert_eq!(found, expected);
        }
    }
}
