//! Commands that may be started over HTTP: what a server asks of whoever starts them.

use std::fmt;
use std::io;

/// A command that may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCommand {
    /// What it is called.
    pub name: String,
    /// What it does, for people.
    pub description: Option<String>,
}

/// Starts the commands that the settings name, and no others.
pub trait Commands: fmt::Debug + Send + Sync {
    /// All of them, by name.
    fn list(&self) -> Vec<NamedCommand>;

    /// Starts one; gives the id of the execution it is recorded as. Called within a runtime.
    ///
    /// # Errors
    /// When it was not started.
    fn start(&self, name: &str) -> Result<String, NotStarted>;

    /// Whether the command of an execution runs, or something of its record is still on its way to the store.
    fn is_under_way(&self, id: &str) -> bool;
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The settings do not name it.
    #[error("the settings name no such command")]
    Unknown,
    /// So many run already.
    #[error("{0} commands run already; try again later")]
    TooMany(usize),
    /// The server is about to end.
    #[error("the server is stopping")]
    Stopping,
    /// Its run could not begin to be recorded, as on a full disk.
    #[error("the command was not started, as its run cannot be recorded: {0}")]
    NotRecorded(#[source] io::Error),
    /// The system refused.
    #[error("the command could not be started: {0}")]
    Failed(#[from] io::Error),
}
