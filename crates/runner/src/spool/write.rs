//! Writes a spool. It keeps room for itself, so that the end of a run is recorded on a disk that has become full.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use fs4::fs_std::FileExt as _;
use tallybook_core::{EncodedLines, ExecutionEvent};

use super::Spool;
use super::frame::{Frame, Header};

/// Room that lines may not use: for steps, and for the end.
const RESERVED_BYTES: u64 = 64 * 1024;
/// Room is asked for in such pieces.
const ROOM_BYTES: u64 = 256 * 1024;
/// Frames that wait for room.
const MAX_WAITING: usize = 1_000;

/// Whether something is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Yes,
    /// There is no room on the disk, or it fails.
    No,
}

/// The spool of a run, locked until it is dropped.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    spool: Spool,
    id: String,
    file: File,
    length: u64,
    /// Up to where room is reserved.
    room: u64,
    /// Whether the file system can reserve room.
    reserves: bool,
    /// Events that have numbers and found no room.
    waiting: Vec<Vec<u8>>,
    /// What the disk said last.
    pub(crate) error: Option<io::Error>,
}

impl SpoolWriter {
    /// A new spool; nobody sees it before it is locked and has its header.
    pub(crate) fn create(spool: &Spool, id: &str, server: Option<&str>) -> io::Result<Self> {
        Self::make(spool, id, server, |unseen| fs::rename(unseen, spool.file(id)))
    }

    /// Whether one can be created.
    pub(super) fn try_out(spool: &Spool, id: &str) -> io::Result<()> {
        Self::make(spool, id, None, |unseen| fs::remove_file(unseen)).map(drop)
    }

    fn make(
        spool: &Spool,
        id: &str,
        server: Option<&str>,
        then: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        fs::create_dir_all(&spool.folder)?;
        let unseen = spool.file(id).with_extension("new");
        // What a command prints may be private.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&unseen)?;
        let mut writer = Self {
            spool: spool.clone(),
            id: id.to_owned(),
            file,
            length: 0,
            room: 0,
            reserves: true,
            waiting: Vec::new(),
            error: None,
        };
        let header = Header { version: Header::VERSION, server: server.map(ToOwned::to_owned) };
        let begun = writer.begin(&Frame::header(&header)).and_then(|()| then(&unseen));
        if let Err(error) = begun {
            let _ = fs::remove_file(&unseen);
            return Err(error);
        }
        Ok(writer)
    }

    fn begin(&mut self, header: &[u8]) -> io::Result<()> {
        // Nobody else knows the file.
        self.file.lock_exclusive()?;
        self.make_room(RESERVED_BYTES)?;
        self.write(header)
    }

    /// Appends lines as an event.
    pub(crate) fn lines(&mut self, event: &ExecutionEvent) -> Stored {
        self.append_lines(&Frame::event(event))
    }

    /// Appends the lines that no event has yet.
    pub(crate) fn tail(&mut self, lines: &EncodedLines) -> Stored {
        self.append_lines(&Frame::tail(lines))
    }

    fn append_lines(&mut self, frame: &[u8]) -> Stored {
        let tried = self
            .write_waiting()
            .and_then(|()| self.make_room(frame.len() as u64 + RESERVED_BYTES))
            .and_then(|()| self.write(frame));
        self.note(tried)
    }

    /// Appends an event that is no lines. Where there is no room at all, it waits for some.
    pub(crate) fn event(&mut self, event: &ExecutionEvent) -> Stored {
        let frame = Frame::event(event);
        let tried = self.write_waiting().and_then(|()| self.write(&frame));
        if tried.is_err() && self.waiting.len() < MAX_WAITING {
            self.waiting.push(frame);
        }
        self.note(tried)
    }

    /// What is written is on disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write_waiting()?;
        self.file.sync_data()?;
        File::open(&self.spool.folder)?.sync_all()
    }

    /// Tells whoever takes events over that there are some to be taken at once.
    pub(crate) fn knock(&self) {
        self.spool.knock();
    }

    /// Whether the run was asked to end.
    pub(crate) fn is_asked_to_cancel(&self) -> bool {
        self.spool.is_asked_to_cancel(&self.id)
    }

    fn note(&mut self, tried: io::Result<()>) -> Stored {
        match tried {
            Ok(()) => Stored::Yes,
            Err(error) => {
                self.error = Some(error);
                Stored::No
            }
        }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        while let Some(frame) = self.waiting.first() {
            let frame = frame.clone();
            self.write(&frame)?;
            self.waiting.remove(0);
        }
        Ok(())
    }

    /// Whole or not at all.
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(frame);
        if written.is_ok() {
            self.length += frame.len() as u64;
        } else {
            self.file.set_len(self.length)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length))?;
            // The room behind the end went with it.
            self.room = self.length;
        }
        written
    }

    /// Reserves room for `bytes` more behind the end of the file.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        if !self.reserves || self.length + bytes <= self.room {
            return Ok(());
        }
        match self.reserve(bytes.max(if self.room == 0 { 0 } else { ROOM_BYTES })).or_else(|_| self.reserve(bytes)) {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {
                self.reserves = false;
                Ok(())
            }
            reserved => reserved,
        }
    }

    #[cfg(target_os = "linux")]
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length, bytes)?;
        self.room = self.length + bytes;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn reserve(&mut self, _bytes: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}
