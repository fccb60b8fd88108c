//! Records as the elements of a JSON array that comes in pieces of any length; one object alone is an array of one.

use std::marker::PhantomData;

use tallybook_core::Timestamp;

use super::{BadRecord, FormatError, Names, Read, Readable, json};

/// The longest element, in bytes.
const MAX_ELEMENT_BYTES: usize = 64 * 1024;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the elements of one array as they arrive. An element that is no record costs only itself.
pub(super) struct ArrayReader<R> {
    state: State,
    names: Names,
    pub(super) received: Timestamp,
    /// The beginning of an element whose end is still to come.
    pending: Vec<u8>,
    scan: Scan,
    /// The element is too long: the rest of it is passed over.
    too_long: bool,
    /// Elements that are done with.
    elements: u64,
    record: PhantomData<fn() -> R>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Before the array; so many bytes of a mark of UTF-8 have been seen.
    Start(usize),
    /// Behind `[`: an element or the end.
    First,
    /// Behind a comma: an element.
    Next,
    /// Within an element.
    Within,
    /// Behind an element: a comma or the end.
    Behind,
    /// Within an object that is alone.
    WithinAlone,
    /// Behind the end: nothing but blanks.
    End,
    Broken(FormatError),
}

impl<R: Readable> ArrayReader<R> {
    pub(super) fn new(received: Timestamp) -> Self {
        Self {
            state: State::Start(0),
            names: Names::default(),
            received,
            pending: Vec::new(),
            scan: Scan::default(),
            too_long: false,
            elements: 0,
            record: PhantomData,
        }
    }

    /// Why nothing more can be read.
    pub(super) fn trouble(&self) -> Option<&FormatError> {
        match &self.state {
            State::Broken(error) => Some(error),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, mut text: &[u8], read: &mut Read<R>) {
        while let Some(&byte) = text.first() {
            match self.state {
                State::Within | State::WithinAlone => text = self.within(text, read),
                State::Broken(_) => return,
                _ if byte.is_ascii_whitespace() => text = &text[1..],
                _ => text = &text[self.between(byte)..],
            }
        }
    }

    /// The end of the text.
    pub(super) fn finish(&mut self) -> Result<(), FormatError> {
        match &self.state {
            State::End => Ok(()),
            State::Broken(error) => Err(error.clone()),
            State::Start(_) => Err(broken("there is none")),
            _ => Err(broken(format!("it ends within the array, behind {} whole elements", self.elements))),
        }
    }

    /// Goes on at a byte that is no blank and belongs to no element; says whether it is used up.
    fn between(&mut self, byte: u8) -> usize {
        let (state, taken) = match (&self.state, byte) {
            (State::Start(seen), byte) if MARK.get(*seen) == Some(&byte) => (State::Start(seen + 1), 1),
            (State::Start(0 | 3), b'[') => (State::First, 1),
            (State::Start(0 | 3), b'{') => (State::WithinAlone, 0),
            (State::Start(_), _) => (State::Broken(broken("it begins with neither `[` nor `{`")), 0),
            (State::First | State::Behind, b']') => (State::End, 1),
            (State::Behind, b',') => (State::Next, 1),
            (State::First | State::Next, byte) if !matches!(byte, b',' | b']' | b'}' | b':') => (State::Within, 0),
            (State::End, _) => (State::Broken(broken("something follows behind its end")), 0),
            (_, byte) => {
                let what = format!("there is `{}` behind element {}", byte.escape_ascii(), self.elements);
                (State::Broken(broken(what)), 0)
            }
        };
        self.state = state;
        taken
    }

    /// Goes on within an element; gives what follows it.
    fn within<'t>(&mut self, text: &'t [u8], read: &mut Read<R>) -> &'t [u8] {
        let Some(end) = self.scan.end(text) else {
            if self.pending.len() + text.len() > MAX_ELEMENT_BYTES {
                self.too_long = true;
                self.pending.extend_from_slice(&text[..text.len().min(BadRecord::MAX_TEXT_BYTES)]);
                self.pending.truncate(BadRecord::MAX_TEXT_BYTES);
            } else {
                self.pending.extend_from_slice(text);
            }
            return &[];
        };
        self.elements += 1;
        let (element, rest) = text.split_at(end);
        if self.pending.is_empty() {
            self.element(element, read);
        } else {
            let mut whole = std::mem::take(&mut self.pending);
            whole.extend_from_slice(element);
            self.element(&whole, read);
            whole.clear();
            self.pending = whole;
        }
        self.scan = Scan::default();
        self.state = if self.state == State::WithinAlone { State::End } else { State::Behind };
        rest
    }

    fn element(&mut self, element: &[u8], read: &mut Read<R>) {
        let record = if std::mem::take(&mut self.too_long) || element.len() > MAX_ELEMENT_BYTES {
            Err("the element is longer than 64 KiB".to_owned())
        } else {
            json::record(element, &mut self.names, self.received)
        };
        read.push(record, self.elements, element);
    }
}

fn broken(what: impl Into<String>) -> FormatError {
    FormatError::Json(what.into())
}

/// Where within a value a text has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// A string that is the value itself has ended.
    ended: bool,
}

impl Scan {
    /// Goes on in `text` and gives the length of what of it belongs to the value, where that ends in it.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            if self.in_string {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let found = memchr::memchr2(b'"', b'\\', &text[at..])?;
                at += found + 1;
                if text[at - 1] == b'\\' {
                    self.escaped = true;
                } else {
                    self.in_string = false;
                    self.ended = self.depth == 0;
                }
                continue;
            }
            match text[at] {
                _ if self.ended => return Some(at),
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                b'}' | b']' if self.depth == 1 => {
                    self.depth = 0;
                    return Some(at + 1);
                }
                b'}' | b']' | b',' if self.depth == 0 => return Some(at),
                byte if self.depth == 0 && byte.is_ascii_whitespace() => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}
