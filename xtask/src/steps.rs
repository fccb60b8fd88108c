//! Walks a list of steps: what runs, what does not, and why.

use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use crate::counts::Counts;

/// One thing to check.
pub(crate) struct Step<C> {
    /// Its name in headings and in the table.
    pub(crate) name: &'static str,
    /// Steps without which this one could only fail for their reason.
    pub(crate) needs: &'static [&'static str],
    /// Does it, and adds the tests it ran to the counts.
    pub(crate) run: fn(&C, &mut Counts) -> Result<()>,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It holds.
    Passed,
    /// It does not, or could not be found out.
    Failed(Error),
    /// It was left out, for this reason.
    DidNotRun(String),
}

/// What there is to say about a step afterwards.
#[derive(Debug)]
pub(crate) struct Report {
    /// The step's name.
    pub(crate) name: &'static str,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The tests it ran.
    pub(crate) tests: Counts,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Runs the steps in order. After a failure the rest is left out, or with `keep_going` only what needs the failed step.
pub(crate) fn walk<C>(
    steps: &[Step<C>],
    context: &C,
    keep_going: bool,
    mut begin: impl FnMut(usize, &Step<C>),
    mut end: impl FnMut(&Report),
) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let obstacle = reports.iter().find_map(|report| match report.outcome {
            Outcome::Failed(_) if !keep_going => Some(format!("stopped after {}", report.name)),
            Outcome::Failed(_) if step.needs.contains(&report.name) => {
                Some(format!("needs {}, which failed", report.name))
            }
            Outcome::DidNotRun(_) if step.needs.contains(&report.name) => {
                Some(format!("needs {}, which did not run", report.name))
            }
            _ => None,
        });
        if let Some(reason) = obstacle {
            reports.push(Report {
                name: step.name,
                outcome: Outcome::DidNotRun(reason),
                tests: Counts::default(),
                took: Duration::ZERO,
            });
            continue;
        }
        begin(index, step);
        let started = Instant::now();
        let mut tests = Counts::default();
        let outcome = match (step.run)(context, &mut tests) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(error),
        };
        let report = Report { name: step.name, outcome, tests, took: started.elapsed() };
        end(&report);
        reports.push(report);
    }
    reports
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn step(name: &'static str, run: fn(&(), &mut Counts) -> Result<()>) -> Step<()> {
        Step { name, needs: &[], run }
    }

    fn walk_quietly(steps: &[Step<()>], keep_going: bool) -> Vec<Report> {
        walk(steps, &(), keep_going, |_, _| {}, |_| {})
    }

    fn pass(name: &'static str) -> Step<()> {
        step(name, |(), _| Ok(()))
    }

    fn fail(name: &'static str) -> Step<()> {
        step(name, |(), _| bail!("broken"))
    }

    fn outcomes(reports: &[Report]) -> Vec<String> {
        reports
            .iter()
            .map(|report| match &report.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed(error) => format!("failed: {error}"),
                Outcome::DidNotRun(reason) => reason.clone(),
            })
            .collect()
    }

    #[test]
    fn stops_at_the_first_failure() {
        let steps = [pass("a"), fail("b"), pass("c")];
        assert_eq!(outcomes(&walk_quietly(&steps, false)), ["passed", "failed: broken", "stopped after b"]);
    }

    #[test]
    fn keeps_going_with_what_does_not_need_the_failed_step() {
        let steps = [
            fail("build"),
            Step { needs: &["build"], ..pass("tests") },
            Step { needs: &["tests"], ..pass("report") },
            pass("docs"),
        ];
        assert_eq!(
            outcomes(&walk_quietly(&steps, true)),
            ["failed: broken", "needs build, which failed", "needs tests, which did not run", "passed"]
        );
    }

    #[test]
    fn tests_of_a_failed_step_are_counted() {
        let steps = [step("tests", |(), tests| {
            tests.passed = 4;
            bail!("one is red")
        })];
        assert_eq!(walk_quietly(&steps, false)[0].tests.passed, 4);
    }
}
