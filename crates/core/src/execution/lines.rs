//! Lines of output, exactly as they came, in a form that costs little to make: the bytes one behind the other, and runs of
//! lines that share their time and stream.

use std::sync::Arc;

use memchr::{memchr_iter, memrchr};

use crate::table::text_enum;
use crate::tick::TIMES;
use crate::{Error, Result, Timestamp};

const OPERATION: &str = "reading lines of output";
const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Text shorter than this is not worth a compressor.
const MIN_COMPRESSED_BYTES: usize = 512;
const ZSTD_LEVEL: i32 = 1;

text_enum! {
    /// Where a line was written to.
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

text_enum! {
    /// How a line ends.
    LineEnd {
        /// With a line feed, which is not part of its text.
        Newline = "newline",
        /// Not yet: it goes on in the next line of its stream.
        Split = "split",
        /// Without a line feed, because its stream ended there.
        Missing = "missing",
    }
}

/// Lines that follow each other, while they are collected or read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLines {
    text: Vec<u8>,
    runs: Vec<Run>,
    lines: u64,
}

/// Lines with the same time, stream and end; their text, line feeds included, lies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    time: Timestamp,
    stream: Stream,
    end: LineEnd,
    lines: u64,
    bytes: usize,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it came.
    pub time: Timestamp,
    /// Where it was written to.
    pub stream: Stream,
    /// How it ends.
    pub end: LineEnd,
    /// Its bytes, without the line feed: any bytes, not always UTF-8.
    pub text: &'a [u8],
}

/// Lines as they travel and lie at rest. Whatever bytes it was made from, it holds lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedLines {
    bytes: Arc<[u8]>,
    lines: u64,
    first_time: Timestamp,
    last_time: Timestamp,
    text_bytes: usize,
}

impl LogLines {
    /// A longer line is split.
    pub const MAX_LINE_BYTES: usize = 64 << 10;
    /// The most text of one chunk, in bytes. Whoever collects lines begins a new one well before.
    pub const MAX_TEXT_BYTES: usize = 1 << 20;

    /// Appends whole lines, each with its line feed; what stands behind the last line feed is left out. The way for much
    /// output: it costs a count of the line feeds and a copy.
    pub fn push_block(&mut self, time: Timestamp, stream: Stream, block: &[u8]) {
        let block = &block[..memrchr(b'\n', block).map_or(0, |at| at + 1)];
        if block.len() <= Self::MAX_LINE_BYTES {
            let lines = memchr_iter(b'\n', block).count() as u64;
            return self.push(time, stream, LineEnd::Newline, lines, block);
        }
        let mut begin = 0;
        for at in memchr_iter(b'\n', block) {
            self.push_line(time, stream, &block[begin..at], LineEnd::Newline);
            begin = at + 1;
        }
    }

    /// Appends one line, or several where it holds line feeds or is too long.
    pub fn push_line(&mut self, time: Timestamp, stream: Stream, mut text: &[u8], end: LineEnd) {
        if let Some(at) = memrchr(b'\n', text) {
            self.push_block(time, stream, &text[..=at]);
            text = &text[at + 1..];
            if text.is_empty() {
                return;
            }
        }
        while text.len() > Self::MAX_LINE_BYTES {
            // A character of UTF-8 stays whole: its later bytes are 0b10xx_xxxx.
            let starts = |&at: &usize| text[at] & 0xc0 != 0x80;
            let at = (Self::MAX_LINE_BYTES - 3..=Self::MAX_LINE_BYTES).rev().find(starts);
            let (piece, rest) = text.split_at(at.unwrap_or(Self::MAX_LINE_BYTES));
            self.push(time, stream, LineEnd::Split, 1, piece);
            text = rest;
        }
        self.push(time, stream, end, 1, text);
        if end == LineEnd::Newline
            && let Some(run) = self.runs.last_mut()
        {
            self.text.push(b'\n');
            run.bytes += 1;
        }
    }

    fn push(&mut self, time: Timestamp, stream: Stream, end: LineEnd, lines: u64, text: &[u8]) {
        if lines == 0 || (text.is_empty() && end != LineEnd::Newline) {
            return;
        }
        self.text.extend_from_slice(text);
        self.lines += lines;
        match self.runs.last_mut() {
            Some(run)
                if end == LineEnd::Newline && (run.time, run.stream, run.end) == (time, stream, LineEnd::Newline) =>
            {
                run.lines += lines;
                run.bytes += text.len();
            }
            _ => self.runs.push(Run { time, stream, end, lines, bytes: text.len() }),
        }
    }

    /// Lines.
    pub fn len(&self) -> u64 {
        self.lines
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Bytes of text so far, line feeds included.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// When the first line came.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.runs.first().map(|run| run.time)
    }

    /// Forgets all lines and keeps the room.
    pub fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
        self.lines = 0;
    }

    /// The lines in their order.
    pub fn iter(&self) -> impl Iterator<Item = LogLine<'_>> {
        let mut rest = self.text.as_slice();
        self.runs.iter().flat_map(move |run| {
            let (text, behind) = rest.split_at(run.bytes);
            rest = behind;
            let text = if run.end == LineEnd::Newline { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
            text.split(|&byte| byte == b'\n').map(|text| LogLine {
                time: run.time,
                stream: run.stream,
                end: run.end,
                text,
            })
        })
    }

    /// The form at rest; `None` where there are no lines.
    ///
    /// Layout: the format (one byte); text bytes, runs (numbers); for each run lines, bytes, nanoseconds since the run before
    /// (signed), stream and end (one byte); how the text is stored (one byte) and the text. Numbers are LEB128.
    pub fn encode(&self) -> Option<EncodedLines> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        let mut bytes = Vec::with_capacity(16 + 12 * self.runs.len() + self.text.len() / 2);
        bytes.push(FORMAT);
        put(&mut bytes, self.text.len() as u64);
        put(&mut bytes, self.runs.len() as u64);
        let mut before = 0_i64;
        for run in &self.runs {
            put(&mut bytes, run.lines);
            put(&mut bytes, run.bytes as u64);
            let later = run.time.0.wrapping_sub(before);
            // Zigzag: small numbers of both signs stay short.
            put(&mut bytes, ((later << 1) ^ (later >> 63)) as u64);
            bytes.push(run.stream as u8 | (run.end as u8) << 1);
            before = run.time.0;
        }
        let compressed = (self.text.len() >= MIN_COMPRESSED_BYTES)
            .then(|| zstd::bulk::compress(&self.text, ZSTD_LEVEL).ok())
            .flatten()
            .filter(|compressed| compressed.len() < self.text.len());
        let (form, text) = compressed.as_deref().map_or((PLAIN, self.text.as_slice()), |compressed| (ZSTD, compressed));
        bytes.push(form);
        bytes.extend_from_slice(text);
        Some(EncodedLines {
            bytes: bytes.into(),
            lines: self.lines,
            first_time: first.time,
            last_time: last.time,
            text_bytes: self.text.len(),
        })
    }

    /// Reads lines back.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no lines, or more than one chunk may hold.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        read(bytes).ok_or_else(|| Error::corrupt(OPERATION, "the bytes are no lines of output"))
    }
}

impl EncodedLines {
    /// The most bytes there can be: text that does not get shorter, and a run for each byte of it.
    pub const MAX_BYTES: usize = 16 * LogLines::MAX_TEXT_BYTES;

    /// Bytes from elsewhere, once they are seen to hold lines.
    ///
    /// # Errors
    /// `Invalid` when they do not, or hold more than one chunk may.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes: Arc<[u8]> = bytes.into();
        let bad = || Error::invalid(OPERATION, "the bytes are no lines of output, or more than 1 MiB of them");
        let lines = read(&bytes).ok_or_else(bad)?;
        let (first, last) = lines.runs.first().zip(lines.runs.last()).ok_or_else(bad)?;
        let (first_time, last_time) = (first.time, last.time);
        Ok(Self { bytes, lines: lines.lines, first_time, last_time, text_bytes: lines.text.len() })
    }

    /// The bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// When its first line came.
    pub fn first_time(&self) -> Timestamp {
        self.first_time
    }

    /// When its last line came.
    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Bytes of text, line feeds included.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes)?;
        if shift == 63 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn read(mut bytes: &[u8]) -> Option<LogLines> {
    if bytes.len() > EncodedLines::MAX_BYTES || take_byte(&mut bytes)? != FORMAT {
        return None;
    }
    let text_bytes = usize::try_from(take(&mut bytes)?).ok().filter(|&bytes| bytes <= LogLines::MAX_TEXT_BYTES)?;
    // No run is empty.
    let run_count = usize::try_from(take(&mut bytes)?).ok().filter(|&runs| runs <= text_bytes)?;
    let mut runs = Vec::with_capacity(run_count);
    let (mut time, mut lines, mut run_bytes) = (0_i64, 0_u64, 0_usize);
    for _ in 0..run_count {
        let run_lines = take(&mut bytes)?;
        let bytes_of_run = usize::try_from(take(&mut bytes)?).ok()?;
        let later = take(&mut bytes)?;
        time = time.wrapping_add((later >> 1) as i64 ^ -((later & 1) as i64));
        if !TIMES.contains(&time) {
            return None;
        }
        let shape = take_byte(&mut bytes)?;
        let stream = *Stream::ALL.get(usize::from(shape & 1))?;
        let end = *LineEnd::ALL.get(usize::from(shape >> 1))?;
        lines = lines.checked_add(run_lines)?;
        run_bytes = run_bytes.checked_add(bytes_of_run)?;
        runs.push(Run { time: Timestamp(time), stream, end, lines: run_lines, bytes: bytes_of_run });
    }
    if run_bytes != text_bytes {
        return None;
    }
    let text = match take_byte(&mut bytes)? {
        PLAIN => bytes.to_vec(),
        ZSTD => zstd::bulk::decompress(bytes, text_bytes).ok()?,
        _ => return None,
    };
    if text.len() != text_bytes {
        return None;
    }
    let mut rest = text.as_slice();
    for run in &runs {
        let (text, behind) = rest.split_at(run.bytes);
        rest = behind;
        let feeds = memchr_iter(b'\n', text).count() as u64;
        let fits = match run.end {
            LineEnd::Newline => feeds == run.lines && text.last() == Some(&b'\n'),
            LineEnd::Split | LineEnd::Missing => run.lines == 1 && feeds == 0 && !text.is_empty(),
        };
        if !fits {
            return None;
        }
    }
    Some(LogLines { text, runs, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_700_000_000_000_000_000);

    fn texts(lines: &LogLines) -> Vec<(LineEnd, String)> {
        lines.iter().map(|line| (line.end, String::from_utf8_lossy(line.text).into_owned())).collect()
    }

    fn there_and_back(lines: &LogLines) -> LogLines {
        let encoded = lines.encode().unwrap();
        assert_eq!(EncodedLines::new(encoded.bytes().clone()).unwrap(), encoded);
        LogLines::decode(encoded.bytes()).unwrap()
    }

    #[test]
    fn lines_come_back_byte_by_byte_with_time_stream_and_end() {
        let mut lines = LogLines::default();
        lines.push_block(NOON, Stream::Stdout, b"one\n\n  three\r\nnot a whole line");
        lines.push_line(NOON, Stream::Stderr, b"\xff\xfe\x00", LineEnd::Newline);
        // The clock was set back.
        lines.push_line(Timestamp(NOON.0 - 5), Stream::Stdout, b"a prompt: ", LineEnd::Split);
        lines.push_line(NOON, Stream::Stdout, b"", LineEnd::Newline);
        lines.push_line(NOON, Stream::Stdout, b"the end", LineEnd::Missing);
        assert_eq!(lines.len(), 7);
        let back = there_and_back(&lines);
        assert_eq!(back, lines);
        let found: Vec<LogLine<'_>> = back.iter().collect();
        assert_eq!(found.len(), 7);
        assert_eq!(found[1].text, b"");
        assert_eq!(found[2].text, b"  three\r");
        assert_eq!((found[3].text, found[3].stream), (&b"\xff\xfe\x00"[..], Stream::Stderr));
        assert_eq!((found[4].time, found[4].end), (Timestamp(NOON.0 - 5), LineEnd::Split));
        assert_eq!((found[5].text, found[5].end), (&b""[..], LineEnd::Newline));
        assert_eq!((found[6].text, found[6].end), (&b"the end"[..], LineEnd::Missing));
    }

    #[test]
    fn a_line_that_is_too_long_is_split_between_characters_and_marked() {
        let long = "é".repeat(LogLines::MAX_LINE_BYTES);
        let mut by_block = LogLines::default();
        by_block.push_block(NOON, Stream::Stdout, format!("short\nx{long}\nshort\n").as_bytes());
        let found = texts(&there_and_back(&by_block));
        let ends: Vec<LineEnd> = found.iter().map(|(end, _)| *end).collect();
        assert_eq!(ends, [LineEnd::Newline, LineEnd::Split, LineEnd::Split, LineEnd::Newline, LineEnd::Newline]);
        assert_eq!(found[1..4].iter().map(|(_, text)| text.as_str()).collect::<String>(), format!("x{long}"));
        let mut by_line = LogLines::default();
        by_line.push_line(NOON, Stream::Stdout, &vec![0x80; 70_000], LineEnd::Missing);
        assert_eq!(by_line.iter().map(|line| line.text.len()).sum::<usize>(), 70_000);
    }

    #[test]
    fn text_with_line_feeds_is_as_many_lines() {
        let mut lines = LogLines::default();
        lines.push_line(NOON, Stream::Stdout, b"a\nb", LineEnd::Newline);
        lines.push_line(NOON, Stream::Stdout, b"c\n", LineEnd::Newline);
        assert_eq!(
            texts(&lines),
            [(LineEnd::Newline, "a".into()), (LineEnd::Newline, "b".into()), (LineEnd::Newline, "c".into())]
        );
    }

    #[test]
    fn much_text_lies_compressed() {
        let mut lines = LogLines::default();
        for at in 0..2_000 {
            lines.push_line(NOON, Stream::Stdout, format!("step {at} of many").as_bytes(), LineEnd::Newline);
        }
        let encoded = lines.encode().unwrap();
        assert_eq!(encoded.lines(), 2_000);
        assert!(encoded.bytes().len() * 2 < encoded.text_bytes(), "{} bytes", encoded.bytes().len());
        assert_eq!(there_and_back(&lines), lines);
    }

    #[test]
    fn bytes_that_are_no_lines_are_refused_whatever_they_claim() {
        let mut lines = LogLines::default();
        lines.push_block(NOON, Stream::Stdout, "a line\n".repeat(200).as_bytes());
        lines.push_line(NOON, Stream::Stderr, b"x", LineEnd::Missing);
        let good = lines.encode().unwrap().bytes().to_vec();
        assert!(LogLines::decode(&[]).is_err());
        for at in 0..good.len() {
            assert!(LogLines::decode(&good[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // Some bits only change text, a time or a stream; none may make it panic or lose count.
                if let Ok(read) = LogLines::decode(&bad) {
                    assert_eq!(read.iter().count() as u64, read.len());
                }
            }
        }
        let mut huge = vec![FORMAT];
        put(&mut huge, u64::MAX);
        put(&mut huge, u64::MAX);
        assert!(LogLines::decode(&huge).is_err());
    }
}
