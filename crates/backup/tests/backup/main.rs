//! Backups of a data folder as its users see them.

mod restoring;
mod support;
mod taking;
