//! Records as CSV (RFC 4180).

use std::borrow::Cow;

use csv_core::ReadRecordResult;
use tallybook_core::Timestamp;

use super::lines::MAX_LINE_BYTES;
use super::{Columns, Names, Readable};

const MAX_COLUMNS: usize = 256;

/// Takes records off the front of a text.
pub(super) struct Splitter {
    core: csv_core::Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    columns: usize,
}

pub(super) enum Split {
    /// A record, whose fields the splitter holds, with the bytes it took.
    Record(usize),
    /// The text ends within the record.
    Incomplete,
    /// It does not end where it should: a quote is open, or there are too many columns.
    Endless,
}

impl Splitter {
    pub(super) fn new() -> Self {
        let (fields, ends) = (vec![0; MAX_LINE_BYTES], vec![0; MAX_COLUMNS]);
        Self { core: csv_core::Reader::new(), fields, ends, columns: 0 }
    }

    /// The next record; `last` says that nothing comes behind `text`.
    pub(super) fn next(&mut self, text: &[u8], last: bool) -> Split {
        self.core.reset();
        let (mut result, taken, written, mut columns) = self.core.read_record(text, &mut self.fields, &mut self.ends);
        if result == ReadRecordResult::InputEmpty && last {
            // A line break ends the record, unless a quote is still open.
            let (fields, ends) = (&mut self.fields[written..], &mut self.ends[columns..]);
            let (at_end, _, _, more) = self.core.read_record(b"\n", fields, ends);
            result = if at_end == ReadRecordResult::Record { at_end } else { ReadRecordResult::OutputFull };
            columns += more;
        }
        self.columns = columns;
        match result {
            ReadRecordResult::Record | ReadRecordResult::End => Split::Record(taken),
            ReadRecordResult::InputEmpty => Split::Incomplete,
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => Split::Endless,
        }
    }

    /// The fields of the record that was split off last.
    pub(super) fn fields(&self) -> impl Iterator<Item = Result<&str, String>> {
        let ends = &self.ends[..self.columns];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, &end)| {
            std::str::from_utf8(&self.fields[start..end]).map_err(|_| "the line is not UTF-8".to_owned())
        })
    }
}

/// The columns that the header names which the splitter holds.
pub(super) fn columns<R: Readable>(splitter: &Splitter) -> Result<Columns<R>, String> {
    let names = splitter.fields().map(|name| name.map(|name| name.trim().to_ascii_lowercase()));
    let names = names.collect::<Result<Vec<String>, String>>()?;
    Columns::new(names.iter().map(String::as_str))
}

/// The record that the splitter holds.
pub(super) fn record<R: Readable>(
    columns: &Columns<R>,
    splitter: &Splitter,
    names: &mut Names,
    received: Timestamp,
) -> Result<R, String> {
    let (there, named) = (splitter.columns, columns.len());
    if there != named {
        return Err(format!("the line has {there} columns, but the header names {named}"));
    }
    columns.record(splitter.fields().map(|text| text.map(Cow::Borrowed)), names, received)
}
