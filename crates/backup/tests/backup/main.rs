//! Backups of a data folder as its users see them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod remote;
mod restoring;
mod s3;
mod support;
mod taking;
