//! What DuckDB says, as the errors of the core.

use duckdb::Error as Failure;
use tallybook_core::{Error, ErrorKind};

/// Words in what DuckDB says where another process has the file open.
const LOCKED: &str = "Could not set lock on file";
/// … where room is short; later there may be more.
const SCARCE: [&str; 4] = ["No space left", "Out of Memory", "Disk quota", "Too many open files"];
/// … where what it wrote could not be finished. What the file holds is whole; it is opened again.
const BROKEN: [&str; 4] = ["IO Error", "has been invalidated", "TransactionContext Error", "INTERRUPT"];
/// … where the file is none of its own, or damaged.
const DAMAGED: [&str; 5] =
    ["not a valid DuckDB database file", "Serialization Error", "corrupt", "checksum", "newer DuckDB version"];

/// What failed while doing `operation`. Whether a write happened is not known.
pub(crate) fn failed(operation: &'static str, failure: &Failure) -> Error {
    let said = said(failure);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&DAMAGED) {
        let context = format!(
            "the file is damaged, or no database of this DuckDB: {said}; move it away, and it is filled anew from the store"
        );
        return Error::corrupt(operation, context);
    }
    let kind = if has(&SCARCE) || has(&BROKEN) { ErrorKind::Unavailable } else { ErrorKind::Internal };
    Error::new(kind, operation, format!("DuckDB says: {said}")).applied_unknown()
}

/// Whether another process has the file, and its number, as DuckDB tells it.
pub(crate) fn held_by(failure: &Failure) -> Option<String> {
    let said = said(failure);
    said.contains(LOCKED).then(|| {
        let number = said.split_once("PID ").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect());
        number
            .filter(|number: &String| !number.is_empty())
            .map_or_else(|| "another process".to_owned(), |number| format!("the process {number}"))
    })
}

/// The first line; behind it are traces and hints for other programs.
pub(crate) fn said(failure: &Failure) -> String {
    let text = match failure {
        Failure::DuckDBFailure(_, Some(text)) => text.clone(),
        failure => failure.to_string(),
    };
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Failure {
        Failure::DuckDBFailure(duckdb::ffi::Error::new(1), Some(text.to_owned()))
    }

    #[test]
    fn what_duckdb_says_decides_whether_to_try_again() {
        let kind = |text| failed("a test", &failure(text)).kind();
        assert_eq!(kind("IO Error: Could not write file \"m.db\": No space left on device"), ErrorKind::Unavailable);
        assert_eq!(kind("Catalog Error: Table with name x does not exist!"), ErrorKind::Internal);
        assert_eq!(
            kind("IO Error: The file \"m\" exists, but it is not a valid DuckDB database file!"),
            ErrorKind::Corrupt
        );
    }

    #[test]
    fn who_holds_the_file_is_told() {
        let text =
            "IO Error: Could not set lock on file \"m\": Conflicting lock is held in /usr/bin/x (PID 12). See also";
        assert_eq!(held_by(&failure(text)).as_deref(), Some("the process 12"));
        assert_eq!(held_by(&failure("IO Error: Could not set lock on file \"m\"")).as_deref(), Some("another process"));
        assert_eq!(held_by(&failure("Parser Error: x")), None);
    }
}
