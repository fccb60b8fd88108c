//! A libduckdb that is built already: fetched from npm, pinned by xtask/duckdb, and told to every cargo that is run here.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{checkout::Checkout, setup};

/// Where libduckdb-sys looks for the library, and where the programs look that are linked to it (mirror-duckdb/rpath.rs).
const LIBRARY_FOLDER: &str = "DUCKDB_LIB_DIR";

/// Fetches it unless it is there.
pub(crate) fn fetch(checkout: &Checkout) -> Result<()> {
    if env::var_os(LIBRARY_FOLDER).is_some() {
        return Ok(());
    }
    let environment = checkout.duckdb_environment()?;
    setup::make_node_once(&environment, &checkout.duckdb_packages())?;
    library(checkout)
        .with_context(|| format!("there is no libduckdb for this machine in {}", environment.display()))?;
    Ok(())
}

/// What cargo has to know; nothing where there is no library.
pub(crate) fn environment(checkout: &Checkout) -> Vec<(&'static str, PathBuf)> {
    let folder = library(checkout);
    folder.map_or_else(Vec::new, |folder| vec![(LIBRARY_FOLDER, folder), ("DUCKDB_NO_PKG_CONFIG", "1".into())])
}

/// What turns DuckDB on, where there is a library to link.
pub(crate) fn features(checkout: &Checkout) -> &'static [&'static str] {
    if library(checkout).is_some() { FEATURE } else { &[] }
}

/// Turns DuckDB on; checking it needs no library.
pub(crate) const FEATURE: &[&str] = &["--features", "tallybook/duckdb,tallybook-tests/duckdb"];

/// The folder that it is in: the one that is named already, or the package for this machine, which npm chose.
fn library(checkout: &Checkout) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(LIBRARY_FOLDER) {
        return Some(folder.into());
    }
    let packages = fs::read_dir(checkout.duckdb_environment().ok()?.join("node_modules/@duckdb")).ok()?;
    let has_library =
        |folder: &PathBuf| ["libduckdb.so", "libduckdb.dylib"].iter().any(|name| folder.join(name).exists());
    packages.filter_map(std::result::Result::ok).map(|package| package.path()).find(has_library)
}
