//! JSON and CSV, into bytes.

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

pub(super) fn json(value: &impl Serialize, bytes: &mut Vec<u8>) {
    // Neither a vector nor a plain struct of texts and numbers refuses.
    serde_json::to_writer(bytes, value).expect("a plain record is JSON");
}

/// A line of CSV that is being written.
pub struct CsvLine<'b> {
    bytes: &'b mut Vec<u8>,
    first: bool,
}

impl<'b> CsvLine<'b> {
    pub(super) fn new(bytes: &'b mut Vec<u8>) -> Self {
        Self { bytes, first: true }
    }

    /// A text, in quotes where it needs them.
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        // A mark of UTF-8 at the start of a file would be taken for one.
        if !text.contains(['"', ',', '\n', '\r', '\u{feff}']) {
            return self.bytes.extend_from_slice(text.as_bytes());
        }
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        self.bytes.push(b'"');
    }

    /// A number or a time, which needs no quotes; nothing where there is none.
    pub(super) fn value(&mut self, value: Option<impl Display>) {
        self.separate();
        if let Some(value) = value {
            write!(self.bytes, "{value}").expect("a vector takes every byte");
        }
    }

    pub(super) fn end(self) {
        self.bytes.push(b'\n');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.bytes.push(b',');
        }
    }
}
