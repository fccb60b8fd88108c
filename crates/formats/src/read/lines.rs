//! Records that come a line at a time, in pieces of any length.

use std::marker::PhantomData;

use tallybook_core::Timestamp;

use super::csv::{Header, Split, Splitter};
use super::{BadRecord, FormatError, Names, Read, Readable, json, without_mark};
use crate::Format;

/// The longest line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Reads NDJSON or CSV as it arrives: a long stream, or a file that is larger than memory. Lines longer than 64 KiB are
/// bad records. Where a CSV header is of no use, every line is a bad record that says so.
pub struct LineReader<R> {
    lines: Lines,
    names: Names,
    received: Timestamp,
    /// What came behind the last complete line.
    pending: Vec<u8>,
    /// Lines that are done with.
    line: u64,
    /// Within a line that was too long: the rest of it is passed over.
    passing_over: bool,
    record: PhantomData<fn() -> R>,
}

enum Lines {
    Ndjson,
    Csv { splitter: Box<Splitter>, header: Option<Result<Header, String>> },
}

impl<R: Readable> LineReader<R> {
    /// A reader of records that arrive at `received`. What has no lines (JSON, Parquet) is read as NDJSON: read it whole.
    pub fn new(format: Format, received: Timestamp) -> Self {
        let lines = match format {
            Format::Csv => Lines::Csv { splitter: Box::new(Splitter::new()), header: None },
            Format::Ndjson | Format::Json | Format::Parquet => Lines::Ndjson,
        };
        let (names, pending) = (Names::default(), Vec::new());
        Self { lines, names, received, pending, line: 0, passing_over: false, record: PhantomData }
    }

    /// Says when the records that follow arrive.
    pub fn received(&mut self, moment: Timestamp) {
        self.received = moment;
    }

    /// The records that `chunk` completes.
    pub fn push(&mut self, chunk: &[u8]) -> Read<R> {
        let mut read = Read::default();
        if self.pending.is_empty() {
            let taken = self.take(chunk, false, &mut read);
            self.pending.extend_from_slice(&chunk[taken..]);
        } else {
            let mut text = std::mem::take(&mut self.pending);
            text.extend_from_slice(chunk);
            let taken = self.take(&text, false, &mut read);
            text.drain(..taken);
            self.pending = text;
        }
        read
    }

    /// The record that no line break ended, where there is one.
    pub fn finish(mut self) -> Read<R> {
        let mut read = Read::default();
        let text = std::mem::take(&mut self.pending);
        self.take(&text, true, &mut read);
        read
    }

    /// Reads a text that is all there is.
    pub(super) fn read_whole(mut self, text: &[u8]) -> Result<Read<R>, FormatError> {
        let mut read = Read::default();
        self.take(text, true, &mut read);
        match self.lines {
            Lines::Csv { header: Some(Err(error)), .. } => Err(FormatError::Header(error)),
            Lines::Csv { header: None, .. } => Err(FormatError::Header("there is none".to_owned())),
            Lines::Csv { .. } | Lines::Ndjson => Ok(read),
        }
    }

    /// Takes complete records off the front of `text` and says how many bytes they were.
    fn take(&mut self, text: &[u8], last: bool, read: &mut Read<R>) -> usize {
        let mut taken = 0;
        loop {
            taken += self.pass_over(&text[taken..]);
            let rest = &text[taken..];
            if rest.is_empty() {
                return taken;
            }
            let Some(length) = self.next(rest, last, read) else { return taken };
            self.line += memchr::memchr_iter(b'\n', &rest[..length]).count() as u64;
            taken += length;
        }
    }

    /// The length of what lies before the next record: line breaks, and the rest of a line that was too long.
    fn pass_over(&mut self, text: &[u8]) -> usize {
        let mut start = 0;
        if self.passing_over {
            let Some(end) = memchr::memchr(b'\n', text) else { return text.len() };
            self.passing_over = false;
            start = end;
        }
        let breaks = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line += memchr::memchr_iter(b'\n', &text[start..start + breaks]).count() as u64;
        start + breaks
    }

    /// Reads the record that `text` starts with and says how long it is; `None` where its end is still to come.
    fn next(&mut self, text: &[u8], last: bool, read: &mut Read<R>) -> Option<usize> {
        let line_end = memchr::memchr(b'\n', text);
        let first_line = line_end.map_or(text.len(), |end| end + 1);
        if first_line > MAX_LINE_BYTES {
            self.passing_over = line_end.is_none();
            read.bad.push(self.bad("the line is longer than 64 KiB", &text[..first_line]));
            return Some(first_line);
        }
        let (record, length) = match &mut self.lines {
            Lines::Ndjson if line_end.is_none() && !last => return None,
            Lines::Ndjson => {
                let object = &text[..first_line];
                let object = if self.line == 0 { without_mark(object) } else { object }.trim_ascii();
                if object.is_empty() {
                    return Some(first_line);
                }
                (json::record(object, &mut self.names, self.received), first_line)
            }
            Lines::Csv { splitter, header } => {
                let length = match splitter.next(text, last) {
                    Split::Record(length) => length,
                    Split::Incomplete if text.len() <= MAX_LINE_BYTES => return None,
                    Split::Incomplete | Split::Endless => {
                        read.bad.push(
                            self.bad("a quote is not closed, or the line has too many columns", &text[..first_line]),
                        );
                        return Some(first_line);
                    }
                };
                let Some(header) = header else {
                    *header = Some(Header::new::<R>(splitter));
                    return Some(length);
                };
                let record = match header {
                    Ok(header) => header.record(splitter, &mut self.names, self.received),
                    Err(error) => Err(format!("the first line is no CSV header of these records: {error}")),
                };
                // A quote that was not closed has drawn in the lines behind: they are read for themselves.
                let length = if record.is_err() { length.min(first_line) } else { length };
                (record, length)
            }
        };
        read.push(record, self.line + 1, text[..length].trim_ascii_end());
        Some(length)
    }

    fn bad(&self, error: &str, input: &[u8]) -> BadRecord {
        BadRecord::new(self.line + 1, error.to_owned(), input)
    }
}
