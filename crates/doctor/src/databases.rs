//! The databases: sound, in the right mode, not grown beyond need.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use tallybook_core::Timestamp;
use tallybook_sqlite::{AskLimits, Params, Rows, Value, ask, verify_database};

use crate::{Options, Report, Severity};

/// A log longer than this waits for somebody.
const LOG_MAX_BYTES: u64 = 512 << 20;
/// More free pages than one in so many are worth giving back.
const FREE_SHARE: i64 = 4;
/// What was seen later than this after now was seen by a clock that is wrong, here or there.
const AHEAD: i64 = 5 * 60 * 1_000_000_000;
const LIMITS: AskLimits = AskLimits { rows: 100, bytes: 1 << 20, time: Duration::from_secs(3_600) };
const RESTORE: &str = "tallybook restore --to NEW_FOLDER; then see what is missing in it";

pub(crate) fn examine(options: &Options, report: &mut Report) {
    let main = options.data_dir.join("tallybook.db");
    if !main.exists() {
        return report.bad(
            Severity::Critical,
            "database",
            format!("{} is not there", main.display()),
            "nothing was kept here yet, or it is another folder",
            "name the data folder with DATA_DIR, or make it by `tallybook serve`",
        );
    }
    holder(options, report);
    file(&main, report);
    if integrity(&main, options.full, report) {
        mode(&main, report);
        free_pages(&main, report);
        indexes(&main, report);
        dead_letters(&main, report);
        times(&main, report);
    }
    for database in named(&options.data_dir) {
        integrity(&database, options.full, report);
    }
}

/// The databases of others.
pub(crate) fn named(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("databases")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    found.sort();
    found
}

/// Who works in the folder, as the lock file says.
fn holder(options: &Options, report: &mut Report) {
    let content = fs::read_to_string(options.data_dir.join("tallybook.lock")).unwrap_or_default();
    let mut lines = content.lines();
    let pid = lines.next().unwrap_or_default().parse::<u32>().ok();
    let said = match pid.filter(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        Some(pid) => format!("process {pid} ({})", lines.next().unwrap_or_default()),
        None => "nobody".to_owned(),
    };
    report.ok("in use by", said);
}

fn file(database: &Path, report: &mut Report) {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let (bytes, log) = (length(database), length(Path::new(&log)));
    let said = format!("{}, and {} of log", ByteSize(bytes), ByteSize(log));
    if log > LOG_MAX_BYTES {
        report.bad(
            Severity::Warning,
            "size",
            said,
            "a long read keeps the log from being emptied, or whoever writes has not come to it",
            "end long reads (see `wal` in /api/v1/stats); with the server stopped: tallybook optimize",
        );
    } else {
        report.ok("size", said);
    }
}

/// Says whether the database can be read at all.
fn integrity(database: &Path, full: bool, report: &mut Report) -> bool {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let (check, sql) =
        if full { ("integrity", "PRAGMA integrity_check(10)") } else { ("quick integrity", "PRAGMA quick_check(10)") };
    let found = match query(database, sql) {
        Ok(found) => texts(&found),
        Err(error) => vec![error],
    };
    if found == ["ok"] {
        report.ok(check, format!("{name} is sound"));
        return true;
    }
    report.bad(
        Severity::Critical,
        check,
        format!("{name}: {}", found.join("; ")),
        "the file is damaged: what was in the damaged pages is lost, and writing to it may damage more",
        RESTORE,
    );
    false
}

fn mode(database: &Path, report: &mut Report) {
    match query(database, "PRAGMA journal_mode").map(|found| texts(&found)) {
        Ok(mode) if mode == ["wal"] => report.ok("journal mode", "wal"),
        Ok(mode) => report.bad(
            Severity::Warning,
            "journal mode",
            mode.join(" "),
            "readers and the writer wait for each other",
            "start `tallybook serve` once: it sets the mode",
        ),
        Err(error) => unreadable("journal mode", error, report),
    }
}

fn free_pages(database: &Path, report: &mut Report) {
    let pages = |pragma: &str| query(database, &format!("PRAGMA {pragma}")).map(|found| number(&found));
    match (pages("freelist_count"), pages("page_count")) {
        (Ok(free), Ok(all)) => {
            let said = format!("{free} of {all} pages are free");
            if free > all / FREE_SHARE && free > 1_000 {
                let meaning = "space that was freed is not given back yet";
                report.bad(Severity::Warning, "free pages", said, meaning, "stop the server, then: tallybook optimize");
            } else {
                report.ok("free pages", said);
            }
        }
        (Err(error), _) | (_, Err(error)) => unreadable("free pages", error, report),
    }
}

/// Whether lists find their indexes: without statistics, SQLite guesses.
fn indexes(database: &Path, report: &mut Report) {
    let sql = "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL), \
               (SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1')";
    match query(database, sql) {
        Ok(found) => {
            let statistics = found.rows.first().and_then(|row| row.get(1)) == Some(&Value::Integer(1));
            let said = format!("{} indexes", number(&found));
            if statistics {
                report.ok("index use", format!("{said}, with statistics"));
            } else {
                report.bad(
                    Severity::Warning,
                    "index use",
                    format!("{said}, without statistics"),
                    "lists may read whole tables",
                    "start `tallybook serve` once: its migrations give them",
                );
            }
        }
        Err(error) => unreadable("index use", error, report),
    }
}

fn dead_letters(database: &Path, report: &mut Report) {
    match query(database, "SELECT count(*) FROM dead_letter").map(|found| number(&found)) {
        Ok(0) => report.ok("dead letters", "none"),
        Ok(count) => report.bad(
            Severity::Warning,
            "dead letters",
            format!("{count} records were refused by the store"),
            "they are kept with their errors, and counted as rejected",
            "tallybook sql 'SELECT * FROM dead_letter'; then have their sender mend them",
        ),
        Err(error) => unreadable("dead letters", error, report),
    }
}

fn times(database: &Path, report: &mut Report) {
    match query(database, "SELECT coalesce(max(last_seen), 0) FROM service").map(|found| number(&found)) {
        Ok(last) if last > Timestamp::now().0.saturating_add(AHEAD) => report.bad(
            Severity::Warning,
            "times of records",
            format!("a service was last seen at {}, which is to come", Timestamp(last)),
            "the clock of this machine or of a sender is wrong",
            "compare the clocks: timedatectl",
        ),
        Ok(_) => report.ok("times of records", "none is to come"),
        Err(error) => unreadable("times of records", error, report),
    }
}

fn unreadable(check: &'static str, error: String, report: &mut Report) {
    let meaning = "the database is not as this Tallybook makes it";
    report.bad(Severity::Warning, check, error, meaning, "start the Tallybook that wrote it, or restore a backup");
}

fn query(database: &Path, sql: &str) -> Result<Rows, String> {
    ask(database, sql, &Params::None, LIMITS).map_err(|error| error.to_string())
}

fn texts(rows: &Rows) -> Vec<String> {
    let text = |row: &Vec<Value>| match row.first() {
        Some(Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    rows.rows.iter().map(text).collect()
}

fn number(rows: &Rows) -> i64 {
    match rows.rows.first().and_then(|row| row.first()) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    }
}

/// Reads a whole database of ticks.
pub(crate) fn sound(path: &Path) -> Result<(), String> {
    verify_database(path).map(|_| ()).map_err(|error| error.to_string())
}
