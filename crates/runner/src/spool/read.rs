//! Reads a spool while it is written.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};

use tallybook_core::{ExecutionEvent, ExecutionEventKind};

use super::Spool;
use super::frame::{Frame, Header};

/// Follows the events of one spool.
#[derive(Debug)]
pub struct SpoolReader {
    file: File,
    /// Behind the last frame that was read.
    offset: u64,
    server: Option<String>,
}

impl SpoolReader {
    /// From the first event on; `None` where there is no such spool, or one of a newer format.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(spool: &Spool, id: &str) -> io::Result<Option<Self>> {
        let file = match File::open(spool.file(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let Some((Frame::Header(Header { version: Header::VERSION, server }), offset)) = Frame::read(&mut &file)?
        else {
            return Ok(None);
        };
        Ok(Some(Self { file, offset, server }))
    }

    /// The server the events are for; without it, the store of the data folder.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// The next events that are there whole, about `max_bytes` of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn events(&mut self, max_bytes: u64) -> io::Result<Vec<ExecutionEvent>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let (mut from, mut events) = (BufReader::with_capacity(256 * 1024, &self.file), Vec::new());
        let end = self.offset + max_bytes;
        while self.offset < end
            && let Some((frame, length)) = Frame::read(&mut from)?
        {
            self.offset += length;
            match frame {
                Frame::Event(event) => {
                    let is_last = matches!(event.kind, ExecutionEventKind::Finished { .. });
                    events.push(event);
                    if is_last {
                        break;
                    }
                }
                Frame::Header(_) | Frame::Tail(_) => {}
            }
        }
        Ok(events)
    }
}
