//! Records that come a line at a time, in pieces of any length.

use tallybook_core::Timestamp;

use super::csv::{self, Split, Splitter};
use super::{BadRecord, Columns, FormatError, Names, Read, Readable, json, without_mark};

/// The longest line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Reads NDJSON or CSV as it arrives. Where a CSV header is of no use, every line is a bad record that says so.
pub(super) struct LineReader<R> {
    lines: Lines<R>,
    names: Names,
    pub(super) received: Timestamp,
    /// What came behind the last complete line.
    pending: Vec<u8>,
    /// Lines that are done with.
    line: u64,
    /// Within a line that was too long: the rest of it is passed over.
    passing_over: bool,
}

enum Lines<R> {
    Ndjson,
    Csv { splitter: Box<Splitter>, header: Option<Result<Columns<R>, String>> },
}

impl<R: Readable> LineReader<R> {
    pub(super) fn ndjson(received: Timestamp) -> Self {
        Self::new(Lines::Ndjson, received)
    }

    pub(super) fn csv(received: Timestamp) -> Self {
        Self::new(Lines::Csv { splitter: Box::new(Splitter::new()), header: None }, received)
    }

    fn new(lines: Lines<R>, received: Timestamp) -> Self {
        let (names, pending) = (Names::default(), Vec::new());
        Self { lines, names, received, pending, line: 0, passing_over: false }
    }

    /// The records that `chunk` completes.
    pub(super) fn push(&mut self, chunk: &[u8], read: &mut Read<R>) {
        if self.pending.is_empty() {
            let taken = self.take(chunk, false, read);
            self.pending.extend_from_slice(&chunk[taken..]);
        } else {
            let mut text = std::mem::take(&mut self.pending);
            text.extend_from_slice(chunk);
            let taken = self.take(&text, false, read);
            text.drain(..taken);
            self.pending = text;
        }
    }

    /// The record that no line break ended, where there is one.
    pub(super) fn finish(&mut self, read: &mut Read<R>) -> Result<(), FormatError> {
        let text = std::mem::take(&mut self.pending);
        self.take(&text, true, read);
        match self.lines {
            Lines::Csv { header: None, .. } => Err(FormatError::Header("there is none".to_owned())),
            _ => self.trouble().map_or(Ok(()), Err),
        }
    }

    /// Why no line can be read.
    pub(super) fn trouble(&self) -> Option<FormatError> {
        match &self.lines {
            Lines::Csv { header: Some(Err(error)), .. } => Some(FormatError::Header(error.clone())),
            Lines::Csv { .. } | Lines::Ndjson => None,
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
                    *header = Some(csv::columns(splitter));
                    return Some(length);
                };
                let record = match header {
                    Ok(columns) => csv::record(columns, splitter, &mut self.names, self.received),
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
