//! Lines of output: cut out of what is read, told from markers, and kept until they are an event.

use std::time::{Duration, Instant};

use tallybook_core::{ExecutionEvent, ExecutionEventKind, LineEnd, LogLines, Stream, Timestamp};

use super::{CANCEL_LOOK, Recorder};
use crate::lines::Piece;
use crate::marker::Marker;
use crate::pump::Block;
use crate::spool::Stored;

/// A line is in the spool's file after this at the latest.
const SAVE_EVERY: Duration = Duration::from_millis(100);
/// Lines become an event of their own after this at the latest, while there are some.
pub(super) const EVENT_EVERY: Duration = Duration::from_secs(1);
/// Lines become an event once they have so much text.
const EVENT_TEXT_BYTES: usize = LogLines::MAX_TEXT_BYTES / 4;
impl Recorder {
    pub(super) fn block(&mut self, block: &Block) {
        let Block { stream, at, bytes } = block;
        // Out of the map while it gives pieces to `self`.
        let mut splitter = self.streams.remove(stream).unwrap_or_default();
        splitter.push(bytes, |piece| self.piece(*at, *stream, piece));
        self.streams.insert(*stream, splitter);
    }

    pub(super) fn stream_ended(&mut self, stream: Stream) {
        if let Some(mut splitter) = self.streams.remove(&stream) {
            let now = self.clock.now();
            splitter.finish(|piece| self.piece(now, stream, piece));
        }
    }

    fn piece(&mut self, at: Timestamp, stream: Stream, piece: Piece<'_>) {
        match piece {
            Piece::Line { text, begins, end } => {
                match Marker::parse(text).filter(|_| begins && end != LineEnd::Split) {
                    Some(marker) => self.marker(at, stream, text, end, marker),
                    None => self.keep_line(at, stream, text, end),
                }
            }
            Piece::Lines(lines) => {
                // Lines between two markers are kept together.
                let (mut kept, mut begin) = (0, 0);
                for feed in memchr::memchr_iter(b'\n', lines) {
                    let line = &lines[begin..feed];
                    if let Some(marker) = Marker::parse(line) {
                        self.keep_lines(at, stream, &lines[kept..begin]);
                        self.marker(at, stream, line, LineEnd::Newline, marker);
                        kept = feed + 1;
                    }
                    begin = feed + 1;
                }
                self.keep_lines(at, stream, &lines[kept..]);
            }
        }
    }

    fn keep_lines(&mut self, at: Timestamp, stream: Stream, lines: &[u8]) {
        let masked = self.secrets.mask(lines);
        let mut rest = &masked[..];
        // A mask may be longer than what it hides: what goes into one event is bounded here.
        while !rest.is_empty() {
            let room = rest.len().min(EVENT_TEXT_BYTES);
            let end = memchr::memrchr(b'\n', &rest[..room]).or_else(|| memchr::memchr(b'\n', rest));
            let (block, behind) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            self.lines.push_block(at, stream, block);
            self.kept();
            rest = behind;
        }
    }

    pub(super) fn keep_line(&mut self, at: Timestamp, stream: Stream, text: &[u8], end: LineEnd) {
        let masked = self.secrets.mask(text);
        self.lines.push_line(at, stream, &masked, end);
        self.kept();
    }

    fn kept(&mut self) {
        self.unsaved_since.get_or_insert_with(Instant::now);
        if self.lines.text_bytes() >= EVENT_TEXT_BYTES {
            self.lines_event();
        }
    }

    /// Makes an event of the lines that wait for one.
    pub(super) fn lines_event(&mut self) {
        let Some(lines) = self.lines.encode() else { return };
        let count = self.lines.len();
        self.lines.clear();
        self.unsaved_since = None;
        self.last_event = Instant::now();
        let kind = ExecutionEventKind::Lines { step: None, lines };
        let event = ExecutionEvent { number: self.tracker.last_event() + 1, at: self.clock.now(), kind };
        // A number that is not in the spool is not used: lines that are lost leave no gap.
        if self.spool.lines(&event) == Stored::No || self.tracker.apply(event).is_err() {
            self.lost.lines += count;
        }
        self.tracker.take();
    }

    pub(super) fn next_look(&self) -> Duration {
        let save = self.unsaved_since.map(|since| SAVE_EVERY.saturating_sub(since.elapsed()));
        let event = (!self.lines.is_empty()).then(|| EVENT_EVERY.saturating_sub(self.last_event.elapsed()));
        save.or(event).map_or(CANCEL_LOOK, |wait| wait.min(CANCEL_LOOK))
    }

    /// Brings lines into the file, as an event or until there is one.
    pub(super) fn save(&mut self) {
        if self.unsaved_since.is_some_and(|since| since.elapsed() < SAVE_EVERY) {
            return;
        }
        if self.last_event.elapsed() >= EVENT_EVERY {
            self.lines_event();
        } else if self.unsaved_since.take().is_some()
            && let Some(lines) = self.lines.encode()
        {
            // Where it cannot be written, their event will tell.
            self.spool.tail(&lines);
        }
    }
}
