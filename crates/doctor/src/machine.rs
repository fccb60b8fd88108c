//! The machine: the disk, the clock, the limits of a process.

use bytesize::ByteSize;
use rustix::process::{Resource, getrlimit};
use tallybook_core::Timestamp;

use crate::{Options, Report, Severity};

/// Less room than this is next to nothing.
const FREE_MIN_BYTES: u64 = 256 << 20;
/// Less than one part in so many is little.
const FREE_SHARE: u64 = 10;
/// Days of ticks and readers each need some.
const FILES_MIN: u64 = 1_024;
/// No Tallybook ran before.
const EARLIEST: &str = "2025-01-01T00:00:00Z";

pub(crate) fn examine(options: &Options, report: &mut Report) {
    disk(options, report);
    match Timestamp::parse(EARLIEST) {
        Some(earliest) if Timestamp::now() < earliest => report.bad(
            Severity::Critical,
            "clock",
            format!("it is {}", Timestamp::now()),
            "records get wrong times, and retention removes the wrong ones",
            "set the clock: timedatectl set-ntp true",
        ),
        _ => report.ok("clock", format!("it is {}", Timestamp::now())),
    }
    let files = getrlimit(Resource::Nofile).current;
    match files {
        Some(files) if files < FILES_MIN => report.bad(
            Severity::Warning,
            "open files",
            format!("this process may open {files} files"),
            "with many connections and days of ticks, opening one more fails",
            format!("ulimit -n {}", FILES_MIN * 64),
        ),
        files => report.ok("open files", files.map_or("no limit".to_owned(), |files| format!("limit {files}"))),
    }
}

fn disk(options: &Options, report: &mut Report) {
    let folder = options.data_dir.display();
    let found = match rustix::fs::statvfs(&options.data_dir) {
        Ok(found) => found,
        Err(error) => {
            return report.bad(
                Severity::Critical,
                "data folder",
                format!("{folder} cannot be looked at: {error}"),
                "there is nothing to work with",
                "name the data folder with DATA_DIR, or make it by `tallybook serve`",
            );
        }
    };
    let (free, all) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
    let said = format!("{} of {} are free in {folder}", ByteSize(free), ByteSize(all));
    let meaning = "when the disk is full, nothing is written until there is room";
    let fix = "make room, or keep less: KEEP_TICKS, KEEP_PINGS, BACKUP_KEEP";
    if free < FREE_MIN_BYTES {
        report.bad(Severity::Critical, "free disk", said, meaning, fix);
    } else if free < all / FREE_SHARE {
        report.bad(Severity::Warning, "free disk", said, meaning, fix);
    } else {
        report.ok("free disk", said);
    }
}
