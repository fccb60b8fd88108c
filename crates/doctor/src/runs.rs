//! What runs left in the spool: executions that no store took.

use std::path::Path;

use bytesize::ByteSize;
use tallybook_runner::Spool;

use crate::{Report, Severity};

/// Looks at the spool of a data folder.
pub fn examine(data_dir: &Path, report: &mut Report) {
    const CHECK: &str = "refused runs";
    let folder = data_dir.join("spool");
    let refused = match Spool::of(data_dir).all_refused() {
        Ok(refused) => refused,
        Err(error) => {
            let said = format!("{} cannot be read: {error}", folder.display());
            let meaning = "what runs recorded may not get to the store";
            return report.bad(
                Severity::Warning,
                CHECK,
                said,
                meaning,
                "let the user of the server own its data folder",
            );
        }
    };
    if refused.is_empty() {
        return report.ok(CHECK, "none");
    }
    let bytes = refused.iter().map(|spool| spool.bytes).sum();
    report.bad(
        Severity::Warning,
        CHECK,
        format!("{} in {}, {}", refused.len(), folder.display(), ByteSize(bytes)),
        "the store did not take what these runs recorded, and never will; the log of the server says why",
        format!("when they have been looked at: rm {}/*.refused", folder.display()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_were_refused_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let report = || {
            let mut report = Report::default();
            examine(folder.path(), &mut report);
            report
        };
        assert_eq!(report().severity, Severity::Ok);
        std::fs::create_dir(folder.path().join("spool")).unwrap();
        let refused = folder.path().join("spool/0199c0de-0000-7000-8000-000000000001.refused");
        std::fs::write(refused, [0; 2_048]).unwrap();
        let report = report();
        assert_eq!(report.severity, Severity::Warning);
        assert!(
            report.findings[0].found.contains("1 in ") && report.findings[0].found.contains("2.0 KiB"),
            "{report:?}"
        );
    }
}
