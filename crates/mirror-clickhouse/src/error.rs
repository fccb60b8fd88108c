//! What ClickHouse says, as the errors of the core.

use clickhouse::error::Error as Failure;
use tallybook_core::{Error, ErrorKind};

/// The server's numbers for what it refuses.
mod code {
    pub(super) const UNKNOWN_TABLE: u32 = 60;
    pub(super) const UNKNOWN_DATABASE: u32 = 81;
    pub(super) const READONLY: u32 = 164;
    pub(super) const UNKNOWN_USER: u32 = 192;
    pub(super) const WRONG_PASSWORD: u32 = 193;
    pub(super) const REQUIRED_PASSWORD: u32 = 194;
    pub(super) const DATABASE_ACCESS_DENIED: u32 = 291;
    pub(super) const ACCESS_DENIED: u32 = 497;
    pub(super) const AUTHENTICATION_FAILED: u32 = 516;
    /// Time, memory, room, connections, parts: later there may be more of it.
    pub(super) const SCARCE: [u32; 14] = [159, 201, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 319, 999];
}

/// What failed while doing `operation`. Whether a write happened is not known.
pub(crate) fn failed(operation: &'static str, failure: Failure) -> Error {
    match &failure {
        Failure::BadResponse(said) => {
            let kind = match code_in(said) {
                Some(code) if code::SCARCE.contains(&code) || is_lost(code) || is_forbidden(code) => {
                    ErrorKind::Unavailable
                }
                Some(_) if is_disk_full(said) => ErrorKind::Unavailable,
                Some(_) => ErrorKind::Internal,
                // A proxy in front of it, or an answer that was cut off.
                None => ErrorKind::Unavailable,
            };
            Error::new(kind, operation, format!("ClickHouse answered: {}", first_sentence(said))).applied_unknown()
        }
        Failure::Network(_) | Failure::TimedOut => {
            Error::new(ErrorKind::Unavailable, operation, "ClickHouse does not answer; check that it runs")
                .with_source(failure)
                .applied_unknown()
        }
        Failure::Compression(_) | Failure::Decompression(_) | Failure::NotEnoughData => {
            Error::new(ErrorKind::Unavailable, operation, "the answer of ClickHouse came in part")
                .with_source(failure)
                .applied_unknown()
        }
        _ => Error::new(ErrorKind::Internal, operation, "the call to ClickHouse cannot be made").with_source(failure),
    }
}

/// The same while the mirror is opened, where a refusal is for good: one sentence that says what to do.
pub(crate) fn refused(operation: &'static str, user: &str, database: &str, failure: Failure) -> Error {
    let code = match &failure {
        Failure::BadResponse(said) => code_in(said),
        _ => None,
    };
    match code {
        Some(code::UNKNOWN_USER | code::WRONG_PASSWORD | code::REQUIRED_PASSWORD | code::AUTHENTICATION_FAILED) => {
            Error::invalid(
                operation,
                format!("ClickHouse refuses the user `{user}`; check user and password in the URL"),
            )
        }
        Some(code::READONLY | code::ACCESS_DENIED | code::DATABASE_ACCESS_DENIED) => Error::invalid(
            operation,
            format!(
                "the user `{user}` may not make tables in `{database}`; run `GRANT SELECT, INSERT, CREATE, DROP ON \
                 {database}.* TO {user}` there, or give it a profile that is not read-only"
            ),
        ),
        _ => failed(operation, failure),
    }
}

/// Whether what was written is gone: somebody has removed the tables.
pub(crate) fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::BadResponse(said) if code_in(said).is_some_and(is_lost))
}

fn is_lost(code: u32) -> bool {
    matches!(code, code::UNKNOWN_TABLE | code::UNKNOWN_DATABASE)
}

fn is_forbidden(code: u32) -> bool {
    matches!(code, code::READONLY | code::ACCESS_DENIED | code::AUTHENTICATION_FAILED | code::WRONG_PASSWORD)
}

/// The number is that of whatever was done to a file; only what the system said is the same everywhere.
fn is_disk_full(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["no space left on device", "disk quota exceeded"].iter().any(|full| said.contains(full))
}

/// `Code: 60. DB::Exception: …` or, older, `Code: 60, e.displayText() = …`.
fn code_in(said: &str) -> Option<u32> {
    let digits = said.split_once("Code: ")?.1;
    let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// Without the trace and the version behind it.
fn first_sentence(said: &str) -> &str {
    const MAX_BYTES: usize = 400;
    let line = said.lines().next().unwrap_or_default().trim();
    let end = (0..=MAX_BYTES.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_decides_whether_to_try_again() {
        let said = |text: &str| Failure::BadResponse(text.to_owned());
        let kind = |text| failed("a test", said(text)).kind();
        assert_eq!(kind("Code: 252. DB::Exception: Too many parts"), ErrorKind::Unavailable);
        assert_eq!(kind("Code: 60, e.displayText() = DB::Exception: Table m.t doesn't exist."), ErrorKind::Unavailable);
        assert_eq!(kind("Code: 47. DB::Exception: Missing columns"), ErrorKind::Internal);
        let full = "Code: 75, e.displayText() = DB::ErrnoException: Cannot write to file /data/primary.idx, errno: 28, \
                    strerror: No space left on device";
        assert_eq!(kind(full), ErrorKind::Unavailable);
        assert_eq!(kind("Code: 1000. File access error: no space left on device: /data"), ErrorKind::Unavailable);
        assert_eq!(kind("502 Bad Gateway"), ErrorKind::Unavailable);
        assert!(is_gone(&said("Code: 81. DB::Exception: Database m does not exist")));
        let error = refused("a test", "me", "m", said("Code: 516. DB::Exception: me: Authentication failed"));
        assert_eq!((error.kind(), error.to_string().contains("password")), (ErrorKind::Invalid, true));
    }
}
