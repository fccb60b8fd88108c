//! Backups of everything that is kept in files: the database, the days of ticks, artifacts and named databases, under one
//! manifest with checksums.
//!
//! A backup is made in a folder of its own beside the others, looked at, and only then given its name. It never takes the
//! place of another one, and needs no word with whoever writes meanwhile: a database is copied as it is at one moment, and
//! the main one comes first, so that the days of ticks have at least what it knows of, as after a crash.

mod error;
mod files;
mod keep;
mod manifest;
mod name;
mod postgres;
mod remote;
mod restore;
mod source;
mod take;
mod target;

pub use error::{Error, Result};
pub use keep::{Keep, Rule};
pub use manifest::{Entry, Kind, Manifest};
pub use name::BackupName;
pub use postgres::{restore_postgres, take_postgres};
pub use remote::{Remote, Uploaded};
pub use restore::{Restored, restore};
pub use take::{Progress, TakeOptions, take};
pub use target::{Found, Target};
