//! Counts tests from the summary lines that cargo's test binaries print (libtest and libtest-mimic alike).

use std::ops::AddAssign;

use anyhow::{Result, bail};

/// How many tests ended which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that were marked so that they do not run.
    pub(crate) ignored: u64,
}

impl Counts {
    /// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; …`; `None` for any other line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_verdict, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |what: &str| {
            numbers.split("; ").find_map(|part| {
                let (number, word) = part.split_once(' ')?;
                (word == what).then(|| number.parse().ok())?
            })
        };
        Some(Self { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Reads the output of `cargo test`, line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    counts: Counts,
    /// Test binaries that began and have not printed their summary.
    unfinished: u64,
}

impl Reader {
    /// Takes the next line.
    pub(crate) fn read(&mut self, line: &str) {
        if is_beginning(line) {
            self.unfinished += 1;
        }
        if let Some(counts) = Counts::parse(line) {
            self.counts += counts;
            self.unfinished = self.unfinished.saturating_sub(1);
        }
    }

    /// The sum so far; a binary that died or left early is a failure, whatever its tests did.
    pub(crate) fn counts(&self) -> Counts {
        Counts { failed: self.counts.failed + self.unfinished, ..self.counts }
    }

    /// Fails when a test was switched off, or ended its whole binary with status 0: cargo calls both a success.
    pub(crate) fn every_test_ran(&self) -> Result<()> {
        let ignored = self.counts.ignored;
        if ignored > 0 {
            bail!("{ignored} ignored: a test runs or does not exist");
        }
        if self.unfinished > 0 {
            bail!("test binaries that ended without a summary: {}", self.unfinished);
        }
        Ok(())
    }
}

/// Whether the line is `running 5 tests`.
fn is_beginning(line: &str) -> bool {
    let number = line
        .strip_prefix("running ")
        .and_then(|rest| rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test")));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, ignored: u64) -> Counts {
        Counts { passed, failed, ignored }
    }

    #[test]
    fn reads_the_summary_of_libtest_and_libtest_mimic() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.02s";
        assert_eq!(Counts::parse(line), Some(counts(12, 0, 3)));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::parse(line), Some(counts(1, 2, 0)));
    }

    #[test]
    fn reads_a_coloured_summary() {
        let line = "test result: \u{1b}[32mok\u{1b}[m. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::parse(line), Some(counts(7, 0, 0)));
    }

    #[test]
    fn passes_over_other_lines() {
        for line in [
            "",
            "running 3 tests",
            "test counts::tests::it ... ok",
            "test result: ok",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "  test result: ok. 1 passed; 0 failed; 0 ignored",
        ] {
            assert_eq!(Counts::parse(line), None, "{line}");
        }
    }

    fn read(lines: &[&str]) -> Reader {
        let mut reader = Reader::default();
        for line in lines {
            reader.read(line);
        }
        reader
    }

    #[test]
    fn adds_up_over_binaries() {
        let reader = read(&[
            "running 3 tests",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured",
            "running 1 test",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured",
        ]);
        assert_eq!(reader.counts(), counts(2, 2, 0));
        reader.every_test_ran().unwrap();
    }

    #[test]
    fn an_ignored_test_did_not_run() {
        let reader = read(&["test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured"]);
        let error = reader.every_test_ran().unwrap_err().to_string();
        assert_eq!(error, "1 ignored: a test runs or does not exist");
    }

    #[test]
    fn a_binary_that_ends_early_did_not_run_its_tests() {
        let reader = read(&[
            "running 1 test",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured",
            "running 42 tests",
            "test a ... ok",
        ]);
        assert_eq!(reader.counts(), counts(1, 1, 0));
        let error = reader.every_test_ran().unwrap_err().to_string();
        assert_eq!(error, "test binaries that ended without a summary: 1");
    }
}
