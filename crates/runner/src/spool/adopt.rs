//! What becomes of the spool of a run that died: its last lines get an event, and it ends `interrupted`.

use std::fs::File;
use std::io::{self, BufReader, Write as _};

use fs4::fs_std::FileExt as _;
use tallybook_core::{ExecutionEvent, ExecutionEventKind, ExecutionStatus, Timestamp};

use super::Spool;
use super::frame::Frame;

/// Whose spool it is.
#[derive(Debug)]
pub enum Adopted {
    /// A run that lives.
    Alive,
    /// Nobody's any more, and whole now.
    Ours(Orphan),
    /// There is nothing in it, or it is gone.
    Empty,
}

/// A spool whose run is dead, held until this is dropped.
#[derive(Debug)]
pub struct Orphan(#[expect(dead_code, reason = "held, not read: closing the file lets go of the lock")] File);

/// Takes over a spool whose run is dead and gives it the end it lacks.
///
/// # Errors
/// When it cannot be read or written.
pub fn adopt(spool: &Spool, id: &str) -> io::Result<Adopted> {
    let path = spool.file(id);
    let file = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Adopted::Empty),
        file => file?,
    };
    if !file.try_lock_exclusive()? {
        return Ok(Adopted::Alive);
    }
    let last_sign_of_life = file.metadata()?.modified()?;
    let (mut from, mut offset) = (BufReader::new(&file), 0);
    let (mut last, mut last_at, mut finished, mut tail) = (0, 0, false, None);
    while let Some((frame, length)) = Frame::read(&mut from)? {
        offset += length;
        match frame {
            Frame::Header(_) => {}
            Frame::Event(event) => {
                (last, last_at) = (event.number, event.at.0);
                finished = matches!(event.kind, ExecutionEventKind::Finished { .. });
                // A run gives its lines an event before every other event.
                tail = None;
            }
            Frame::Tail(lines) => {
                last_at = lines.last_time().0;
                tail = Some(lines);
            }
        }
    }
    if last == 0 {
        return Ok(Adopted::Empty);
    }
    if !finished {
        // What was being written when the run died goes.
        file.set_len(offset)?;
        io::Seek::seek(&mut &file, io::SeekFrom::Start(offset))?;
        let at = last_sign_of_life.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        // The clock of files may have been set back meanwhile; that of events was not.
        let at = at.max(last_at);
        let error = Some("its runner died, and nobody saw its end".into());
        let end = ExecutionEventKind::Finished { status: ExecutionStatus::Interrupted, exit_code: None, error };
        let kinds = tail.map(|lines| ExecutionEventKind::Lines { step: None, lines }).into_iter().chain([end]);
        for (number, kind) in (last + 1..).zip(kinds) {
            (&file).write_all(&Frame::event(&ExecutionEvent { number, at: Timestamp(at), kind }))?;
        }
        file.sync_data()?;
    }
    Ok(Adopted::Ours(Orphan(file)))
}
