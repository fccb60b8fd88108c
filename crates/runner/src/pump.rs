//! Passes a stream of the command through, byte for byte, and hands a copy to the recorder.

use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::os::fd::AsFd;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tallybook_core::{Stream, Timestamp};

use crate::clock::Clock;
use crate::recorder::Message;

/// What is read at once, and what a pipe is asked to hold.
const READ_BYTES: usize = 256 * 1024;
/// The wait for an output that somebody made non-blocking.
const OUTPUT_WAIT: Duration = Duration::from_millis(1);

/// What one read gave.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) stream: Stream,
    pub(crate) at: Timestamp,
    pub(crate) bytes: Vec<u8>,
}

/// Copies until the stream ends, or nobody reads the runner's own output any more: the command is then told as it would be
/// without a runner, by a broken pipe.
///
/// The recorder's copy goes first: what a reader of the output has seen is on its way to be recorded.
pub(crate) fn pump<R: Read + AsFd>(
    mut from: R,
    mut to: File,
    stream: Stream,
    clock: Clock,
    recorder: &SyncSender<Message>,
) {
    widen(&from);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A pipe that cannot be read has ended.
            Err(_) => return,
        };
        let bytes = &buffer[..length];
        // Without a recorder the output goes on.
        let _ = recorder.send(Message::Block(Block { stream, at: clock.now(), bytes: bytes.to_vec() }));
        if write_all(&mut to, bytes).is_err() {
            return;
        }
    }
}

fn write_all(to: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(OUTPUT_WAIT),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A pipe that holds more costs fewer changes between the command and the runner; where it cannot, it works all the same.
fn widen(pipe: &impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = nix::fcntl::fcntl(pipe.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(READ_BYTES as i32));
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
