//! Runs a command, passes its output through and records what it does: steps, lines, artifacts, and its end.
//!
//! Whatever happens is an event in the [`Spool`] first, on disk; a [`Courier`] brings it from there to a [`Destination`].

mod artifacts;
mod clock;
mod courier;
mod lines;
mod marker;
mod process;
mod pump;
mod recorder;
mod run;
mod secrets;
mod signals;
mod spool;
mod terminal;

pub use artifacts::{ArtifactError, ArtifactLimits, Artifacts, Kept, Root, Swept};
pub use courier::{Courier, Delivered, Destination, NotTaken, Round, Taken};
pub use marker::Marker;
pub use process::Limits;
pub use recorder::Lost;
pub use run::{RunError, RunOptions, RunOutcome, run};
pub use secrets::{MASK, Secrets, is_secret_name};
pub use spool::{Adopted, Aside, RefusedSpool, Spool, SpoolReader, adopt};
