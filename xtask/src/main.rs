//! `cargo xtask`: everything CI does, one verb each.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::checkout::Checkout;

mod bench;
mod checkout;
mod command;
mod counts;
mod duckdb;
mod migrations;
mod report;
mod setup;
mod steps;
mod test;
mod tidy;

/// The chores of this workspace. Whatever CI checks can be run here, on its own.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:
  cargo xtask test                 everything CI runs; stops at the first failure
  cargo xtask test --keep-going    the same, but every step that can still run does
  cargo xtask tidy                 only the rules of the house
  cargo xtask bench ingest         one benchmark, in release mode
  eval \"$(cargo xtask setup)\"      then `cargo test -p tallybook-tests` finds its tools"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs every check, in order, and ends with the line `N passed, N failed`
    #[command(after_help = "Examples:
  cargo xtask test
  cargo xtask test --keep-going
  cargo xtask test outage            only tests whose names hold this, with the servers they need

A failed step that has no failed tests of its own (format, clippy, …) counts as one failure.")]
    Test {
        /// Go on after a failure with the steps that do not need what failed
        #[arg(long)]
        keep_going: bool,
        /// A part of the names of the only tests to run
        name: Option<String>,
    },

    /// Installs what the tests need and prints the environment they expect, for a shell to `eval`
    #[command(after_help = "Example:
  eval \"$(cargo xtask setup)\" && cargo build && cargo test -p tallybook-tests

The packages of Python and npm go into $XDG_CACHE_HOME/tallybook (default ~/.cache/tallybook).")]
    Setup,

    /// Fetches a libduckdb that is built already and prints the environment to build with, for a shell to `eval`
    #[command(after_help = "Example:
  eval \"$(cargo xtask duckdb)\" && cargo build --release --features duckdb

It comes from npm, for Linux and macOS, and lies in $XDG_CACHE_HOME/tallybook (default ~/.cache/tallybook). The programs that are
built find it there, or beside themselves. docs/duckdb.md has other ways.")]
    Duckdb,

    /// Checks dependency edges against docs/architecture.md, the dependency tree and the sources
    #[command(after_help = "Example:
  cargo xtask tidy")]
    Tidy,

    /// Checks that no migration changed since it was accepted
    #[command(after_help = "Examples:
  cargo xtask migrations             compare every migration with migrations/checksums.txt
  cargo xtask migrations --accept    add new migrations to it; refuses changed ones")]
    Migrations {
        /// Record migrations that are new; a changed or removed one stays an error
        #[arg(long)]
        accept: bool,
    },

    /// Builds the release server and runs one benchmark against it
    #[command(
        override_usage = "cargo xtask bench NAME [ARGS]...",
        disable_help_subcommand = true,
        after_help = "Examples:
  cargo xtask bench                  the names there are
  cargo xtask bench ingest
  cargo xtask bench ingest --help    the benchmark's own help"
    )]
    Bench {
        #[command(subcommand)]
        benchmark: Option<Benchmark>,
    },
}

/// A subcommand that clap does not know, because only then `--help` after the name is left to the benchmark.
#[derive(Debug, Subcommand)]
enum Benchmark {
    #[command(external_subcommand)]
    NameAndArgs(Vec<OsString>),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the verb; `false` is a failure that has been told already.
fn run(verb: Verb) -> Result<bool> {
    let checkout = Checkout::find()?;
    match verb {
        Verb::Test { keep_going, name } => return Ok(test::run(&checkout, keep_going, name.as_deref())),
        Verb::Setup => {
            setup::run(&checkout)?;
            duckdb::fetch(&checkout)?;
            print_exports(checkout.test_environment()?);
            print_exports(duckdb::environment(&checkout));
        }
        Verb::Duckdb => {
            duckdb::fetch(&checkout)?;
            print_exports(duckdb::environment(&checkout));
        }
        Verb::Tidy => tidy::run(&checkout)?,
        Verb::Migrations { accept } => migrations::run(&checkout, accept)?,
        Verb::Bench { benchmark } => {
            let words = benchmark.map_or_else(Vec::new, |Benchmark::NameAndArgs(words)| words);
            bench::run(&checkout, &words)?;
        }
    }
    Ok(true)
}

fn print_exports(variables: impl IntoIterator<Item = (&'static str, PathBuf)>) {
    for (name, value) in variables {
        println!("export {name}='{}'", value.display());
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_after_the_name_belong_to_the_benchmark() {
        let cli = Cli::parse_from(["xtask", "bench", "ingest", "--help", "--batch", "100"]);
        let Verb::Bench { benchmark: Some(Benchmark::NameAndArgs(words)) } = cli.verb else {
            panic!("not a benchmark: {cli:?}");
        };
        assert_eq!(words, ["ingest", "--help", "--batch", "100"]);
    }
}
