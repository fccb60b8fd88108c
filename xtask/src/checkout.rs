//! Where things are: the checkout, what cargo builds, and the cache folder outside both.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use sha2::{Digest, Sha256};

use crate::{command::cargo, duckdb, setup};

/// The workspace this runs in.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// The folder of the root Cargo.toml.
    pub(crate) root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// Asks cargo which workspace the current folder belongs to.
    pub(crate) fn find() -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// The whole dependency graph, with every feature on and for every platform.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let metadata = MetadataCommand::new()
            .manifest_path(self.root.join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(vec!["--locked".to_owned()])
            .exec()?;
        Ok(metadata)
    }

    /// `cargo <args>` at the root of the workspace. All of them know the same libduckdb, or each would build anew.
    pub(crate) fn cargo<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = cargo();
        command.args(args).current_dir(&self.root).envs(duckdb::environment(self));
        command
    }

    /// The server as a build with this profile's folder (`debug`, `release`) leaves it.
    pub(crate) fn server(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("tallybook")
    }

    /// The pinned Python packages, as pip reads them.
    pub(crate) fn requirements(&self) -> PathBuf {
        self.root.join("xtask/requirements.txt")
    }

    /// The virtual environment with exactly these requirements.
    pub(crate) fn python_environment(&self) -> Result<PathBuf> {
        let requirements = self.requirements();
        let alone = requirements.with_file_name(setup::ALONE);
        environment("python", &[requirements, alone])
    }

    /// The pinned packages of npm: a folder with package.json and package-lock.json.
    pub(crate) fn node_packages(&self) -> PathBuf {
        self.root.join("xtask/node")
    }

    /// The folder whose `node_modules` are exactly these packages.
    pub(crate) fn node_environment(&self) -> Result<PathBuf> {
        environment("node", &[self.node_packages().join("package-lock.json")])
    }

    /// The pinned package of npm with libduckdb.
    pub(crate) fn duckdb_packages(&self) -> PathBuf {
        self.root.join("xtask/duckdb")
    }

    /// The folder whose `node_modules` are exactly these packages.
    pub(crate) fn duckdb_environment(&self) -> Result<PathBuf> {
        environment("duckdb", &[self.duckdb_packages().join("package-lock.json")])
    }

    /// What tests learn about this machine: where the server's binary, Python and Node's packages are.
    pub(crate) fn test_environment(&self) -> Result<[(&'static str, PathBuf); 3]> {
        Ok([
            ("TALLYBOOK_BIN", self.server("debug")),
            ("TALLYBOOK_PYTHON", self.python_environment()?.join("bin/python")),
            ("TALLYBOOK_NODE", self.node_environment()?),
        ])
    }
}

/// The place in the cache of what is made from the lists of packages at `pinned`. Its name holds their hash, so that two
/// checkouts with different lists never change each other's.
fn environment(kind: &str, pinned: &[PathBuf]) -> Result<PathBuf> {
    let mut packages = Sha256::new();
    for list in pinned {
        packages.update(fs::read(list).with_context(|| format!("cannot read {}", list.display()))?);
    }
    let hash = hex::encode(packages.finalize());
    Ok(cache()?.join(format!("{kind}-{}", &hash[..16])))
}

fn cache() -> Result<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| Path::is_absolute(path));
    let Some(cache) = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache"))) else {
        bail!("no place for a cache: set HOME or XDG_CACHE_HOME to an absolute path");
    };
    Ok(cache.join("tallybook"))
}
