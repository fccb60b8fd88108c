//! A PostgreSQL cluster for the tests: the machine's programs, a temporary folder, a free port, gone with the run.

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command;

/// Who runs the server where we are root, which PostgreSQL refuses to be.
const USER: &str = "postgres";

/// What the tests do with it is thrown away, so nothing is worth an fsync; and there are many small databases at a time.
pub(crate) const THROWN_AWAY: &[&str] = &["fsync=off", "full_page_writes=off", "max_connections=300"];

/// A running cluster; stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes a cluster whose locale does not sort bytewise, so that a forgotten collation shows, and starts it with these
    /// settings.
    pub(crate) fn start(settings: &[&str]) -> Result<Self> {
        let programs = programs().context("there is no PostgreSQL; on Debian: sudo apt-get install postgresql")?;
        let folder = tempfile::Builder::new().prefix("tallybook-postgres-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { folder, programs, port };
        let folder = cluster.folder.path().to_owned();
        if is_root() {
            command::run(Command::new("chown").arg(USER).arg(&folder))?;
        }
        command::run(
            cluster
                .program("initdb")
                .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"])
                .args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]),
        )?;
        cluster.ask_some_for_passwords()?;
        cluster.make_certificates()?;
        let place = folder.display();
        let mut options = format!(
            "-p {port} -k {place} -c listen_addresses=127.0.0.1 -c ssl=on \
             -c ssl_cert_file={place}/server.crt -c ssl_key_file={place}/server.key"
        );
        for setting in settings {
            let _ = write!(options, " -c {setting}");
        }
        command::run(
            cluster
                .program("pg_ctl")
                .args(["--wait", "--silent", "--options", &options])
                .arg("--log")
                .arg(folder.join("log"))
                .arg("start"),
        )?;
        Ok(cluster)
    }

    /// The superuser's URL, without a database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// The folder of the programs, for tests that need a cluster of their own.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Everybody is trusted but the members of the role `needs_password`, which tests make.
    fn ask_some_for_passwords(&self) -> Result<()> {
        let path = self.folder.path().join("data/pg_hba.conf");
        let trusting = fs::read_to_string(&path).context("initdb wrote no pg_hba.conf")?;
        fs::write(&path, format!("host all +needs_password 127.0.0.1/32 scram-sha-256\n{trusting}"))?;
        Ok(())
    }

    /// An authority, and a certificate for `localhost` signed by it.
    fn make_certificates(&self) -> Result<()> {
        let days = ["-days", "2"];
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let authority = ["-subj", "/CN=Tallybook test authority", "-keyout", "ca.key", "-out", "ca.crt"];
        let server = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key"];
        let signed = [
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-out",
            "server.crt",
        ];
        let openssl = || {
            let mut command = self.as_user("openssl".as_ref());
            command.args(["req", "-x509"]).args(days).args(new_key);
            command
        };
        command::run(openssl().args(authority))?;
        command::run(openssl().args(server).args(signed))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = self.as_user(&self.programs.join(name));
        command.arg("--pgdata").arg(self.folder.path().join("data"));
        command
    }

    fn as_user(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The current folder may be one that the other user cannot enter.
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = command::run(self.program("pg_ctl").args(["--mode=immediate", "--silent", "stop"])) {
            eprintln!("the tests' PostgreSQL may still run: {error:#}");
        }
    }
}

/// The folder of the newest PostgreSQL that is installed: Debian keeps servers out of the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = installed
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path));
    newest.map(|path| path.join("bin"))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output();
    user.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
