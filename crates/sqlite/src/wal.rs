//! Checkpoints: the writer moves the write-ahead log into the database, at moments of its own choosing.
//!
//! SQLite's automatic checkpoint never cuts the log while readers overlap, and says nothing when one of them holds it back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::anchor::Anchor;
use crate::connection::BUSY_TIMEOUT;

/// How long a commit may wait for short reads to end, when the log is past its greater limit.
const TRUNCATE_WAIT: Duration = Duration::from_millis(100);

/// The write-ahead log, as the writer last saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct WalStats {
    /// Bytes of the log in use.
    pub bytes: u64,
    /// Checkpoints that were tried.
    pub checkpoints: u64,
    /// Whether a reader kept the last one from reaching the end of the log.
    pub blocked: bool,
}

/// When to checkpoint, in bytes of log.
#[derive(Clone, Copy, Debug)]
pub struct WalLimits {
    /// Copy into the database what no reader needs any more, once this much waits.
    pub passive_bytes: u64,
    /// Wait a moment for readers and start the log over, once it is this long.
    pub truncate_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Does nothing; says how long the log is.
    Noop,
    Passive,
    Restart,
    Truncate,
}

#[derive(Debug)]
struct Answer {
    /// Whether somebody kept it from doing all it could.
    busy: bool,
    /// Frames in the log.
    frames: u64,
    /// Frames of these that are in the database.
    copied: u64,
}

/// Looks after the log of one connection that writes.
#[derive(Debug)]
pub struct Wal {
    limits: WalLimits,
    page_bytes: u64,
    /// Length of the log when a checkpoint was blocked last: the next one waits until it has grown further.
    blocked_at: u64,
    /// Length of the log from which on the operator is told that a reader holds it.
    warn_at: u64,
    anchor: Option<Arc<Anchor>>,
    stats: Arc<Mutex<WalStats>>,
}

impl Wal {
    /// Of a database in WAL mode.
    pub fn new(connection: &Connection, limits: WalLimits) -> rusqlite::Result<Self> {
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Self {
            limits,
            page_bytes: page_bytes.cast_unsigned(),
            blocked_at: 0,
            warn_at: limits.truncate_bytes,
            anchor: None,
            stats: Arc::default(),
        })
    }

    /// Has checkpoints not wait for this reader.
    pub(crate) fn pausing(self, anchor: Arc<Anchor>) -> Self {
        Self { anchor: Some(anchor), ..self }
    }

    /// Shared with whoever wants to look.
    pub fn stats(&self) -> Arc<Mutex<WalStats>> {
        self.stats.clone()
    }

    /// After a commit: looks at the log, and checkpoints when it is time.
    pub fn after_commit(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let answer = checkpoint(connection, Mode::Noop)?;
        let bytes = answer.frames * self.page_bytes;
        self.update(|stats| stats.bytes = bytes);
        if bytes < self.blocked_at {
            // It started over.
            self.blocked_at = 0;
            self.warn_at = self.limits.truncate_bytes;
        }
        let grown = bytes - self.blocked_at;
        if bytes >= self.limits.truncate_bytes && grown >= self.limits.passive_bytes {
            connection.busy_timeout(TRUNCATE_WAIT)?;
            let tried = self.try_checkpoint(connection, Mode::Truncate);
            connection.busy_timeout(BUSY_TIMEOUT)?;
            tried?;
        } else if (answer.frames - answer.copied) * self.page_bytes >= self.limits.passive_bytes
            && grown >= self.limits.passive_bytes
        {
            self.try_checkpoint(connection, Mode::Passive)?;
        }
        Ok(())
    }

    /// With nothing else to do: has the log start over. Says whether no reader kept it from that.
    ///
    /// The file keeps its length, within [`crate::connection::WAL_BYTES_KEPT`]: an fsync after a write into room that is
    /// there already costs half of one after a write that makes the file longer (ext4: no commit of its journal).
    pub fn when_idle(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        self.without_waiting(connection, Mode::Restart)
    }

    /// Moves all of the log into the database and gives its room back. Says whether no reader kept it from that.
    pub fn empty(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        self.without_waiting(connection, Mode::Truncate)
    }

    fn without_waiting(&mut self, connection: &Connection, mode: Mode) -> rusqlite::Result<bool> {
        connection.busy_timeout(Duration::ZERO)?;
        let tried = self.try_checkpoint(connection, mode);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        tried
    }

    fn try_checkpoint(&mut self, connection: &Connection, mode: Mode) -> rusqlite::Result<bool> {
        let paused = self.anchor.as_ref().map(|anchor| anchor.pause());
        let answer = checkpoint(connection, mode)?;
        drop(paused);
        let blocked = answer.busy || answer.copied < answer.frames;
        // What starts over is not in use, whatever the length of the file.
        let starts_over = !blocked && !matches!(mode, Mode::Passive);
        let bytes = if starts_over { 0 } else { answer.frames * self.page_bytes };
        self.blocked_at = if blocked { bytes } else { 0 };
        self.update(|stats| {
            stats.bytes = bytes;
            stats.checkpoints += 1;
            stats.blocked = blocked;
        });
        if blocked && bytes >= self.warn_at {
            tracing::warn!(
                wal_bytes = bytes,
                "a long read keeps the write-ahead log from being emptied; end it, or the log grows on"
            );
            self.warn_at = bytes.saturating_mul(2);
        }
        Ok(!blocked)
    }

    fn update(&self, change: impl FnOnce(&mut WalStats)) {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn checkpoint(connection: &Connection, mode: Mode) -> rusqlite::Result<Answer> {
    let mut statement = connection.prepare_cached(match mode {
        Mode::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    })?;
    statement.query_row([], |row| {
        // -1 where there is no log.
        let frames = |at| row.get(at).map(|frames: i64| frames.max(0).cast_unsigned());
        Ok(Answer { busy: row.get(0)?, frames: frames(1)?, copied: frames(2)? })
    })
}
