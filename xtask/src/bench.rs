//! `cargo xtask bench`: one benchmark, in release mode, against a release server.

use std::{env, ffi::OsString};

use anyhow::{Result, bail};
use cargo_metadata::Metadata;
use tallybook_testing::{ClickHouse, Postgres};

use crate::{checkout::Checkout, command::run as run_command, duckdb};

const PACKAGE: &str = "tallybook-benches";
/// The benchmarks that need a PostgreSQL.
const WITH_POSTGRES: [&str; 2] = ["series", "stores"];
const DATABASE_URL: &str = "DATABASE_URL";
/// The benchmark that needs a ClickHouse.
const MIRROR: &str = "mirror";
const MIRROR_URL: &str = "MIRROR_URL";

/// Takes a name and its arguments. Builds the server as a user would, then runs the benchmark with `TALLYBOOK_BIN` set to it.
pub(crate) fn run(checkout: &Checkout, words: &[OsString]) -> Result<()> {
    let names = names(&checkout.metadata()?);
    let Some((name, args)) = words.split_first() else {
        bail!("which benchmark? There are: {}", names.join(", "));
    };
    let Some(name) = names.iter().find(|known| name == known.as_str()) else {
        bail!("no benchmark {}; there are: {}", name.display(), names.join(", "));
    };
    // A build of its own: together with the benchmark it would get the benchmark's features as well.
    run_command(&mut checkout.cargo(["build", "--release", "--package", "tallybook"]))?;
    let into_duckdb = env::var_os(MIRROR_URL).is_some_and(|url| url.to_string_lossy().starts_with("duckdb:"));
    if into_duckdb {
        duckdb::fetch(checkout)?;
    }
    let mut benchmark = checkout.cargo(["run", "--release", "--package", PACKAGE, "--bin", name]);
    benchmark.args(into_duckdb.then_some("--features=duckdb")).arg("--");
    benchmark.args(args).env("TALLYBOOK_BIN", checkout.server("release"));
    // Compared with PostgreSQL as it comes, unless a database is named.
    let needs_one = WITH_POSTGRES.contains(&name.as_str()) && env::var_os(DATABASE_URL).is_none();
    let cluster = if needs_one { Some(Postgres::start(&[])?) } else { None };
    if let Some(cluster) = &cluster {
        benchmark.env(DATABASE_URL, format!("{}/postgres?sslmode=disable", cluster.url()));
    }
    let server =
        if name == MIRROR && env::var_os(MIRROR_URL).is_none() { Some(ClickHouse::start(None)?) } else { None };
    if let Some(server) = &server {
        benchmark.env(MIRROR_URL, format!("{}/bench", server.url()));
    }
    run_command(&mut benchmark)
}

/// The benchmarks there are, by name.
fn names(metadata: &Metadata) -> Vec<String> {
    let mut names: Vec<String> = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.name == PACKAGE)
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.clone())
        .collect();
    names.sort();
    names
}
