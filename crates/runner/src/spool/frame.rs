//! How things lie in a spool: length (4 bytes), XXH3-64 of what follows (8 bytes), kind (1 byte), content.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use tallybook_core::{EncodedLines, ExecutionEvent, ExecutionEventKind, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

const HEAD_BYTES: usize = 12;
/// A longer frame was never written.
const MAX_FRAME_BYTES: usize = EncodedLines::MAX_BYTES + 64;

const HEADER: u8 = 0;
const EVENT: u8 = 1;
const LINES: u8 = 2;
const TAIL: u8 = 3;

/// The first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The format; a reader that does not know it leaves the spool alone.
    pub(super) version: u32,
    /// The server the events are for; without it, the store of the data folder.
    pub(super) server: Option<String>,
}

impl Header {
    pub(super) const VERSION: u32 = 1;
}

/// What lies in a spool.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Frame {
    Header(Header),
    Event(ExecutionEvent),
    /// The lines since the last event; the next event has them, or the next tail.
    Tail(EncodedLines),
}

impl Frame {
    pub(super) fn header(header: &Header) -> Vec<u8> {
        seal(HEADER, |bytes| serde_json::to_writer(bytes, header).expect("it is plain data"))
    }

    /// Lines lie as they are, everything else as JSON.
    pub(super) fn event(event: &ExecutionEvent) -> Vec<u8> {
        match &event.kind {
            ExecutionEventKind::Lines { step: None, lines } => seal(LINES, |bytes| {
                bytes.extend_from_slice(&event.number.to_le_bytes());
                bytes.extend_from_slice(&event.at.0.to_le_bytes());
                bytes.extend_from_slice(lines.bytes());
            }),
            _ => seal(EVENT, |bytes| serde_json::to_writer(bytes, event).expect("it is plain data")),
        }
    }

    pub(super) fn tail(lines: &EncodedLines) -> Vec<u8> {
        seal(TAIL, |bytes| bytes.extend_from_slice(lines.bytes()))
    }

    /// The next frame and its length; `None` where no whole one is there.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<(Self, u64)>> {
        let mut head = [0; HEAD_BYTES];
        if !fill(from, &mut head)? {
            return Ok(None);
        }
        let (length, hash) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let hash = u64::from_le_bytes(hash.try_into().expect("eight bytes"));
        if length == 0 || length > MAX_FRAME_BYTES {
            return Ok(None);
        }
        let mut content = vec![0; length];
        if !fill(from, &mut content)? || xxh3_64(&content) != hash {
            return Ok(None);
        }
        Ok(Self::open(content[0], &content[1..]).map(|frame| (frame, (HEAD_BYTES + length) as u64)))
    }

    fn open(kind: u8, content: &[u8]) -> Option<Self> {
        Some(match kind {
            HEADER => Self::Header(serde_json::from_slice(content).ok()?),
            EVENT => Self::Event(serde_json::from_slice(content).ok()?),
            LINES => {
                let (number, rest) = content.split_first_chunk()?;
                let (at, lines) = rest.split_first_chunk()?;
                let lines = EncodedLines::new(lines).ok()?;
                let kind = ExecutionEventKind::Lines { step: None, lines };
                let at = Timestamp(i64::from_le_bytes(*at));
                Self::Event(ExecutionEvent { number: u64::from_le_bytes(*number), at, kind })
            }
            TAIL => Self::Tail(EncodedLines::new(content).ok()?),
            _ => return None,
        })
    }
}

fn seal(kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes.push(kind);
    write(&mut bytes);
    let hash = xxh3_64(&bytes[HEAD_BYTES..]);
    let length = u32::try_from(bytes.len() - HEAD_BYTES).expect("a frame is far smaller");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..HEAD_BYTES].copy_from_slice(&hash.to_le_bytes());
    bytes
}

/// Whether there were enough bytes.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}
