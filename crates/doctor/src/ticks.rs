//! The days of ticks: which there are, which are missing in between, and whether they can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tallybook_core::{DAY, Timestamp};

use crate::{Options, Report, Severity, databases};

/// Missing days that are named; of more, the number is told.
const NAMED: usize = 5;

pub(crate) fn examine(options: &Options, report: &mut Report) {
    let mut files = Vec::new();
    find(&options.data_dir.join("ticks"), &mut files);
    if files.is_empty() {
        return;
    }
    let aside: Vec<&PathBuf> = files.iter().filter(|file| name_of(file).contains(".corrupt-")).collect();
    if let Some(first) = aside.first() {
        report.bad(
            Severity::Critical,
            "damaged ticks",
            format!("{} files were put aside, such as {}", aside.len(), first.display()),
            "the ticks in them are missing",
            "tallybook restore --to NEW_FOLDER; then copy those days from it with the server stopped",
        );
    }
    let days: BTreeSet<Timestamp> = files.iter().filter_map(|file| day_of(file)).collect();
    gaps(&days, report);
    if options.full {
        let is_database = |file: &Path| day_of(file).is_some() && file.extension().is_some_and(|end| end == "db");
        let databases = files.iter().filter(|file| is_database(file));
        let mut sound = 0;
        for file in databases {
            match databases::sound(file) {
                Ok(()) => sound += 1,
                Err(error) => report.bad(
                    Severity::Critical,
                    "ticks",
                    error,
                    "the ticks of that day cannot be read whole",
                    "tallybook restore --to NEW_FOLDER; then copy that day from it with the server stopped",
                ),
            }
        }
        report.ok("ticks", format!("{sound} databases of days are sound"));
    }
}

/// Days without a tick between the first and the last one; those of a weekend are none for most feeds.
fn gaps(days: &BTreeSet<Timestamp>, report: &mut Report) {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return };
    let mut missing = Vec::new();
    let mut day = *first;
    while day < *last {
        if !days.contains(&day) && !is_weekend(day) {
            missing.push(shown(day));
        }
        day = Timestamp(day.0 + DAY);
    }
    let said = format!("{}, from {} to {}", days.len(), shown(*first), shown(*last));
    if missing.is_empty() {
        return report.ok("days of ticks", said);
    }
    let more = missing.len().saturating_sub(NAMED);
    let mut named = missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        named = format!("{named} and {more} more");
    }
    report.bad(
        Severity::Warning,
        "days of ticks",
        format!("{said}, without {named}"),
        "the feed was down, or its days were dropped; a holiday looks the same",
        "send the missing ticks again: POST /api/v1/ticks takes them at any time",
    );
}

fn is_weekend(day: Timestamp) -> bool {
    // The first of 1970 was a Thursday.
    matches!(day.0.div_euclid(DAY).rem_euclid(7), 2 | 3)
}

fn shown(day: Timestamp) -> String {
    day.to_string().chars().take(10).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn day_of(path: &Path) -> Option<Timestamp> {
    let name = name_of(path);
    let (date, extension) = name.strip_prefix("ticks_")?.split_once('.')?;
    matches!(extension, "db" | "parquet").then(|| Timestamp::parse(&format!("{date}T00:00:00Z")))?
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { find(&path, files) } else { files.push(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(days: &[&str]) -> Report {
        let mut report = Report::default();
        let days = days.iter().map(|day| Timestamp::parse(&format!("{day}T00:00:00Z")).unwrap());
        gaps(&days.collect(), &mut report);
        report
    }

    #[test]
    fn a_missing_day_is_a_gap_unless_it_is_a_weekend() {
        // The 21st of November 2026 is a Saturday.
        let found = report(&["2026-11-20", "2026-11-23", "2026-11-26"]);
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.findings[0].found.ends_with("without 2026-11-24, 2026-11-25"), "{found:?}");
        assert_eq!(report(&["2026-11-20", "2026-11-23"]).severity, Severity::Ok);
        assert!(report(&["2026-01-01", "2026-12-31"]).findings[0].found.contains("more"));
    }
}
