//! What a run ends with: a table of the steps and one line of numbers.

use std::time::Duration;

use anyhow::Error;
use comfy_table::{Table, presets};

use crate::steps::{Outcome, Report};

/// The table, one row per step.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(["step", "result", "tests", "time", "why"]);
    for report in reports {
        let (result, why) = match &report.outcome {
            Outcome::Passed => ("passed", String::new()),
            Outcome::Failed(error) => ("failed", first_line(error)),
            Outcome::DidNotRun(reason) => ("did not run", reason.clone()),
        };
        let tests = match report.tests.passed + report.tests.failed {
            0 => String::new(),
            number => number.to_string(),
        };
        let took = match report.outcome {
            Outcome::DidNotRun(_) => String::new(),
            Outcome::Passed | Outcome::Failed(_) => time(report.took),
        };
        table.add_row([report.name, result, &tests, &took, &why]);
    }
    table.to_string()
}

/// The rest stands where the step failed.
fn first_line(error: &Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

/// `N passed, N failed`: the tests, and one failure for each failed step that has no failed test of its own.
pub(crate) fn totals(reports: &[Report]) -> String {
    let passed: u64 = reports.iter().map(|report| report.tests.passed).sum();
    let failed: u64 = reports
        .iter()
        .map(|report| match report.outcome {
            Outcome::Failed(_) => report.tests.failed.max(1),
            Outcome::Passed | Outcome::DidNotRun(_) => 0,
        })
        .sum();
    format!("{passed} passed, {failed} failed")
}

/// `0.4 s`, `59.9 s`, `2 min 05 s`.
pub(crate) fn time(took: Duration) -> String {
    let tenths = took.as_millis().div_ceil(100);
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = tenths.div_ceil(10);
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::counts::Counts;

    fn report(name: &'static str, outcome: Outcome, passed: u64, failed: u64) -> Report {
        Report { name, outcome, tests: Counts { passed, failed, ignored: 0 }, took: Duration::from_millis(1500) }
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_once() {
        let reports = [
            report("format", Outcome::Failed(anyhow!("differs")), 0, 0),
            report("tests", Outcome::Failed(anyhow!("red")), 10, 3),
            report("doc tests", Outcome::Passed, 2, 0),
            report("docs", Outcome::DidNotRun("stopped".into()), 0, 0),
        ];
        assert_eq!(totals(&reports), "12 passed, 4 failed");
    }

    #[test]
    fn table_says_what_failed_or_did_not_run_and_why() {
        let reports = [
            report("tidy", Outcome::Failed(anyhow!("breaches: 1\n  here")), 0, 0),
            report("tests", Outcome::Passed, 5, 0),
            report("docs", Outcome::DidNotRun("stopped after x".into()), 0, 0),
        ];
        let table = table(&reports);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(
            rows,
            [
                "| step  | result      | tests | time  | why             |",
                "|-------|-------------|-------|-------|-----------------|",
                "| tidy  | failed      |       | 1.5 s | breaches: 1     |",
                "| tests | passed      | 5     | 1.5 s |                 |",
                "| docs  | did not run |       |       | stopped after x |",
            ]
        );
    }

    #[test]
    fn time_is_read_at_a_glance() {
        for (millis, text) in
            [(0, "0.0 s"), (1, "0.1 s"), (59_900, "59.9 s"), (59_901, "1 min 00 s"), (125_000, "2 min 05 s")]
        {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
