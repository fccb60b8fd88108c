//! What the tests need beside Rust: Python with the packages of requirements.txt and an engine of ClickHouse, Node with
//! those of node/package.json, the sqlite3 command line tool, a clock that can be set (faketime), PostgreSQL, and a ClickHouse as old as Debian's.

use std::{
    fs::{self, File},
    io::stderr,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail};
use fs4::fs_std::FileExt;
use tallybook_testing::{ClickHouse, Postgres, is_root};

use crate::{
    checkout::Checkout,
    command::{self, succeeds},
};

/// Fails unless this is a Python that can make virtual environments and that the packages support.
const PYTHON_PROBE: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";

/// Fails unless this is a Node that the packages support.
const NODE_PROBE: &str = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";

/// Finds the package in the environment, which breaks when the Python it was made with is replaced.
const PACKAGE_PROBE: &str =
    "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ['schemathesis', 'chdb'])))";

/// Packages that do without what they bring along.
pub(crate) const ALONE: &str = "requirements-alone.txt";

/// The file that says that an environment is complete.
const STAMP: &str = "complete";

/// Installs what is missing; quick when nothing is.
pub(crate) fn run(checkout: &Checkout) -> Result<()> {
    let missing = missing_packages();
    if !missing.is_empty() {
        install(&missing)?;
        if !missing_packages().is_empty() {
            bail!("installed, but still not usable (Python 3.11 or later?): {}", missing.join(" "));
        }
    }
    let python = checkout.python_environment()?;
    make_once(&python, python_works, || make_python(&python, &checkout.requirements()))?;
    make_node_once(&checkout.node_environment()?, &checkout.node_packages())
}

/// Makes a folder with the packages of npm that are pinned in the folder `packages`, unless it is complete.
pub(crate) fn make_node_once(environment: &Path, packages: &Path) -> Result<()> {
    make_once(environment, node_works, || make_node(environment, packages))
}

/// The Debian packages whose programs are not there or do not work.
fn missing_packages() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !succeeds(Command::new("python3").args(["-c", PYTHON_PROBE])) {
        missing.extend(["python3", "python3-venv"]);
    }
    if !succeeds(Command::new("sqlite3").arg("--version")) {
        missing.push("sqlite3");
    }
    if !succeeds(Command::new("faketime").arg("--version")) {
        missing.push("faketime");
    }
    if ClickHouse::program().is_none() {
        missing.push("clickhouse-server");
    }
    if Postgres::programs().is_none() {
        missing.push("postgresql");
    }
    if !succeeds(Command::new("node").args(["-e", NODE_PROBE])) {
        missing.push("nodejs");
    }
    if !succeeds(Command::new("npm").arg("--version")) {
        missing.push("npm");
    }
    missing
}

fn install(packages: &[&str]) -> Result<()> {
    if !is_root() || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("the tests need {0}; install them first, on Debian with: sudo apt-get install {0}", packages.join(" "));
    }
    talk(Command::new("apt-get").args(["update", "--quiet"]))?;
    talk(
        Command::new("apt-get")
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Standard output belongs to what `cargo xtask setup` prints for the shell.
fn talk(command: &mut Command) -> Result<()> {
    command::run(command.stdout(stderr()))
}

/// Makes `environment` with `make` unless it is complete, which `works` and a stamp say.
fn make_once(environment: &Path, works: fn(&Path) -> bool, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let is_complete = || environment.join(STAMP).exists() && works(environment);
    if is_complete() {
        return Ok(());
    }
    if let Some(cache) = environment.parent() {
        fs::create_dir_all(cache)?;
    }
    // Two checkouts may be set up at the same time; the second finds the work done.
    let lock = File::create(environment.with_extension("lock"))?;
    lock.lock_exclusive()?;
    if is_complete() {
        return Ok(());
    }
    make().with_context(|| format!("cannot make {}", environment.display()))?;
    fs::write(environment.join(STAMP), "")?;
    Ok(())
}

fn make_python(environment: &Path, requirements: &Path) -> Result<()> {
    let python = environment.join("bin/python");
    talk(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    talk(
        Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(requirements),
    )?;
    talk(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .arg("--requirement")
            .arg(requirements.with_file_name(ALONE)),
    )
}

fn python_works(environment: &Path) -> bool {
    succeeds(Command::new(environment.join("bin/python")).args(["-c", PACKAGE_PROBE]))
}

/// Peers are left out: the database comes in a build of its own.
fn make_node(environment: &Path, packages: &Path) -> Result<()> {
    fs::create_dir_all(environment)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(packages.join(file), environment.join(file))?;
    }
    let quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
    talk(Command::new("npm").args(["ci", "--legacy-peer-deps"]).args(quietly).current_dir(environment))
}

fn node_works(environment: &Path) -> bool {
    environment.join("node_modules").is_dir()
}
