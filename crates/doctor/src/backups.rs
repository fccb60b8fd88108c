//! The backups: whether there is one, how old it is, and whether it can be read.

use std::time::Duration;

use bytesize::ByteSize;
use tallybook_backup::Target;
use tallybook_core::Timestamp;

use crate::{Options, Report, Severity};

/// Older than so many times what was planned is too old.
const LATE: u32 = 2;
/// Where nothing was planned.
const AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
const FIX: &str = "tallybook backup; and set BACKUP_EVERY, so that the server takes them by itself";

pub(crate) fn examine(options: &Options, report: &mut Report) {
    let target = Target::new(&options.backup_dir);
    let all = match target.list() {
        Ok(all) => all,
        Err(error) => {
            let meaning = "whether there is a backup cannot be told";
            return report.bad(
                Severity::Warning,
                "backups",
                error.to_string(),
                meaning,
                "name their folder with BACKUP_DIR",
            );
        }
    };
    for found in &all {
        let read = if options.full { found.verify().map(|_| ()) } else { found.manifest.clone().map(|_| ()) };
        if let Err(error) = read {
            let fix = format!("{FIX}; then remove {}", found.path.display());
            report.bad(Severity::Warning, "backups", error.to_string(), "this backup cannot be restored", fix);
        }
    }
    let newest = all.iter().find_map(|found| Some((found, found.manifest.as_ref().ok()?)));
    let Some((found, manifest)) = newest else {
        let said = format!("there is none in {}", options.backup_dir.display());
        return report.bad(Severity::Warning, "backup age", said, "what is lost with the disk is lost for ever", FIX);
    };
    let taken_at = manifest.taken_at().unwrap_or(Timestamp(0));
    let age = Duration::from_nanos(Timestamp::now().0.saturating_sub(taken_at.0).max(0).unsigned_abs());
    let shown = humantime::format_duration(Duration::from_secs(age.as_secs()));
    let said = format!("{}, {}, is {shown} old", found.name, ByteSize(manifest.bytes()));
    if age > options.backup_every.map_or(AGE_MAX, |every| every * LATE) {
        report.bad(Severity::Warning, "backup age", said, "what came since is lost with the disk", FIX);
    } else {
        report.ok("backup age", said);
    }
}
