//! `cargo xtask test`: what CI does, step by step.

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};
use tallybook_testing::{ClickHouse, Postgres};

use crate::{
    checkout::Checkout,
    command,
    counts::{Counts, Reader},
    duckdb, migrations, report, setup,
    steps::{Outcome, Step, walk},
    tidy,
};

/// What the tests do with PostgreSQL is thrown away, so nothing is worth an fsync; and there are many small databases at a time.
const THROWN_AWAY: &[&str] = &["fsync=off", "full_page_writes=off", "max_connections=300"];

/// What is tested.
struct Scope<'c> {
    checkout: &'c Checkout,
    /// Part of the names of the only tests that run.
    name: Option<&'c str>,
}

/// What single tests need.
const FOR_SINGLE_TESTS: [&str; 4] = ["set up", "libduckdb", "build", "tests"];

/// Cheap steps come first: a wrong space is not worth the wait for a build.
fn steps<'c>() -> Vec<Step<Scope<'c>>> {
    vec![
        Step { name: "set up", needs: &[], run: |scope, _| setup::run(scope.checkout) },
        Step { name: "libduckdb", needs: &["set up"], run: |scope, _| duckdb::fetch(scope.checkout) },
        Step {
            name: "format",
            needs: &[],
            run: |scope, _| command::run(&mut scope.checkout.cargo(["fmt", "--all", "--check"])),
        },
        Step { name: "tidy", needs: &[], run: |scope, _| tidy::run(scope.checkout) },
        Step { name: "migrations", needs: &[], run: |scope, _| migrations::run(scope.checkout, false) },
        Step { name: "clippy", needs: &[], run: clippy },
        Step { name: "build", needs: &[], run: build },
        Step { name: "tests", needs: &["set up", "build"], run: tests },
        Step { name: "doc tests", needs: &["build"], run: doc_tests },
        Step { name: "docs", needs: &[], run: docs },
    ]
}

/// Runs the steps and prints the table; `false` when one failed. With `name` only tests run whose names hold it, and
/// the steps that these need.
pub(crate) fn run(checkout: &Checkout, keep_going: bool, name: Option<&str>) -> bool {
    let started = Instant::now();
    let mut steps = steps();
    steps.retain(|step| name.is_none() || FOR_SINGLE_TESTS.contains(&step.name));
    let reports = walk(
        &steps,
        &Scope { checkout, name },
        keep_going,
        |index, step| println!("\n=== {}/{} {}", index + 1, steps.len(), step.name),
        |report| {
            let took = report::time(report.took);
            match &report.outcome {
                Outcome::Failed(error) => println!("--- failed after {took}: {error:#}"),
                Outcome::Passed | Outcome::DidNotRun(_) => println!("--- passed in {took}"),
            }
        },
    );
    println!("\n{}", report::table(&reports));
    println!("\nAll in all {}.", report::time(started.elapsed()));
    println!("{}", report::totals(&reports));
    reports.iter().all(|report| matches!(report.outcome, Outcome::Passed))
}

fn clippy(&Scope { checkout, .. }: &Scope<'_>, _: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["clippy", "--locked", "--workspace", "--all-targets"]);
    command::run(command.args(duckdb::FEATURE).args(["--", "-D", "warnings"]))
}

/// The binary and the tests in one call: apart, cargo would settle on other features and compile much of it twice.
fn build(&Scope { checkout, .. }: &Scope<'_>, _: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["build", "--locked", "--workspace", "--lib", "--bins", "--tests"]);
    command::run(command.args(duckdb::features(checkout)))
}

fn tests(&Scope { checkout, name }: &Scope<'_>, counts: &mut Counts) -> Result<()> {
    let arguments = ["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
    let mut command = checkout.cargo(arguments);
    command.args(duckdb::features(checkout)).arg("--").args(name).envs(checkout.test_environment()?);
    let cluster = Postgres::start(THROWN_AWAY)?;
    command.env("TALLYBOOK_POSTGRES_URL", cluster.url());
    command.env("TALLYBOOK_POSTGRES_CA", cluster.authority());
    let mirror = ClickHouse::start(None)?;
    command.env("TALLYBOOK_CLICKHOUSE_URL", mirror.url());
    counted(&mut command, counts)?;
    match name {
        Some(name) if *counts == Counts::default() => bail!("no test has `{name}` in its name"),
        _ => Ok(()),
    }
}

fn doc_tests(&Scope { checkout, .. }: &Scope<'_>, counts: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"]);
    counted(command.args(duckdb::features(checkout)), counts)
}

fn docs(&Scope { checkout, .. }: &Scope<'_>, _: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["doc", "--locked", "--workspace", "--no-deps"]);
    command::run(command.args(duckdb::FEATURE).env("RUSTDOCFLAGS", "-D warnings"))
}

fn counted(command: &mut Command, counts: &mut Counts) -> Result<()> {
    let mut reader = Reader::default();
    let result = command::run_reading(command, |line| reader.read(line));
    *counts = reader.counts();
    result?;
    reader.every_test_ran()
}

#[cfg(test)]
mod list {
    use super::*;

    #[test]
    fn a_step_needs_only_steps_before_it() {
        let steps = steps();
        for (index, step) in steps.iter().enumerate() {
            for need in step.needs {
                assert!(steps[..index].iter().any(|earlier| earlier.name == *need), "{} needs {need}", step.name);
            }
        }
    }
}
