//! Backups of a data folder as its users see them.

mod remote;
mod restoring;
mod s3;
mod support;
mod taking;
