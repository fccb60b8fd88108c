//! Looks at a data folder, beside whoever works in it, and says what is wrong, what that means and what mends it.
//!
//! Nothing here writes: a doctor that is called to a patient in trouble must not make it worse.

mod backups;
mod databases;
mod finding;
mod machine;
mod mirror;
mod optimize;
mod runs;
mod ticks;

use std::path::PathBuf;
use std::time::Duration;

pub use finding::{Finding, Report, Severity};
pub use mirror::{Mirror, examine as examine_mirror};
pub use optimize::{Optimized, optimize};
pub use runs::examine as examine_runs;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The folder of backups.
    pub backup_dir: PathBuf,
    /// How often a backup is taken, where that is said.
    pub backup_every: Option<Duration>,
    /// Whether every page, segment and backup is read, and not only what is quick.
    pub full: bool,
}

/// Looks at everything. Takes as long as it takes to read the databases; with `full`, everything.
pub fn examine(options: &Options) -> Report {
    let mut report = Report::default();
    machine::examine(options, &mut report);
    databases::examine(options, &mut report);
    ticks::examine(options, &mut report);
    runs::examine(&options.data_dir, &mut report);
    backups::examine(options, &mut report);
    report
}
