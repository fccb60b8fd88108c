//! A safe, fast SQLite engine: one writer, many readers, group commit, and backups one can trust.
//!
//! [`Engine`] is what to use. Readers never wait for the writer, nor the writer for readers; calls that wait for the writer
//! together share one commit and one fsync. `rusqlite` is re-exported for the closures of [`Engine::read`] and
//! [`Engine::write`].

mod anchor;
mod ask;
pub mod authorizer;
mod backup;
pub mod connection;
mod control;
mod engine;
mod error;
mod lock;
mod options;
mod params;
mod queue;
mod readers;
mod rows;
mod shrink;
mod statement;
mod stats;
mod transaction;
pub mod wal;
mod writer;

pub use ask::{AskLimits, ask};
pub use backup::{Copied, copy_database, verify_database};
pub use engine::{Engine, Opening};
pub use error::{Error, ErrorKind, Result};
pub use lock::FolderLock;
pub use options::{Access, Cancel, Options};
pub use params::{IntoValue, Params};
pub use rows::{Rows, distinct_names, from_json, to_json};
pub use rusqlite;
pub use rusqlite::types::Value;
pub use shrink::shrink;
pub use statement::{Executed, Scripted};
pub use stats::{Latencies, Stats};
pub use tallybook_core::Ack;
pub use transaction::{Answer, Step, Transaction};
