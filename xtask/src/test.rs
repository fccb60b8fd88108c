//! `cargo xtask test`: what CI does, step by step.

use std::{process::Command, time::Instant};

use anyhow::Result;
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

/// Cheap steps come first: a wrong space is not worth the wait for a build.
const STEPS: &[Step<Checkout>] = &[
    Step { name: "set up", needs: &[], run: |checkout, _| setup::run(checkout) },
    Step { name: "libduckdb", needs: &["set up"], run: |checkout, _| duckdb::fetch(checkout) },
    Step {
        name: "format",
        needs: &[],
        run: |checkout, _| command::run(&mut checkout.cargo(["fmt", "--all", "--check"])),
    },
    Step { name: "tidy", needs: &[], run: |checkout, _| tidy::run(checkout) },
    Step { name: "migrations", needs: &[], run: |checkout, _| migrations::run(checkout, false) },
    Step { name: "clippy", needs: &[], run: clippy },
    Step { name: "build", needs: &[], run: build },
    Step { name: "tests", needs: &["set up", "build"], run: tests },
    Step { name: "doc tests", needs: &["build"], run: doc_tests },
    Step { name: "docs", needs: &[], run: docs },
];

/// Runs the steps and prints the table; `false` when one failed.
pub(crate) fn run(checkout: &Checkout, keep_going: bool) -> bool {
    let started = Instant::now();
    let reports = walk(
        STEPS,
        checkout,
        keep_going,
        |index, step| println!("\n=== {}/{} {}", index + 1, STEPS.len(), step.name),
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

fn clippy(checkout: &Checkout, _: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["clippy", "--locked", "--workspace", "--all-targets"]);
    command::run(command.args(duckdb::FEATURE).args(["--", "-D", "warnings"]))
}

/// The binary and the tests in one call: apart, cargo would settle on other features and compile much of it twice.
fn build(checkout: &Checkout, _: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["build", "--locked", "--workspace", "--lib", "--bins", "--tests"]);
    command::run(command.args(duckdb::features(checkout)))
}

fn tests(checkout: &Checkout, counts: &mut Counts) -> Result<()> {
    let arguments = ["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
    let mut command = checkout.cargo(arguments);
    command.args(duckdb::features(checkout)).envs(checkout.test_environment()?);
    let cluster = Postgres::start(THROWN_AWAY)?;
    command.env("TALLYBOOK_POSTGRES_URL", cluster.url());
    command.env("TALLYBOOK_POSTGRES_CA", cluster.authority());
    let mirror = ClickHouse::start(None)?;
    command.env("TALLYBOOK_CLICKHOUSE_URL", mirror.url());
    counted(&mut command, counts)
}

fn doc_tests(checkout: &Checkout, counts: &mut Counts) -> Result<()> {
    let mut command = checkout.cargo(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"]);
    counted(command.args(duckdb::features(checkout)), counts)
}

fn docs(checkout: &Checkout, _: &mut Counts) -> Result<()> {
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
        for (index, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(STEPS[..index].iter().any(|earlier| earlier.name == *need), "{} needs {need}", step.name);
            }
        }
    }
}
