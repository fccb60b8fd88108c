//! A PostgreSQL cluster: the machine's programs, a temporary folder, a free port, gone with the test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{free_addresses, is_root};

/// Who runs the server where we are root, which PostgreSQL refuses to be.
const USER: &str = "postgres";

/// A cluster that may be stopped and started again; stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    options: String,
}

impl Postgres {
    /// Makes a cluster whose locale does not sort bytewise, so that a forgotten collation shows, and starts it with these
    /// settings (`name=value`). It speaks TLS; everybody is trusted but the members of the role `needs_password`, which tests
    /// make.
    ///
    /// # Errors
    /// When PostgreSQL's programs are not there or do not work.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let programs =
            Self::programs().context("there is no PostgreSQL; on Debian: sudo apt-get install postgresql")?;
        let folder = tempfile::Builder::new().prefix("tallybook-postgres-").tempdir()?;
        let [address] = free_addresses()?;
        let (port, place) = (address.port(), folder.path().display());
        let mut options = format!(
            "-p {port} -k {place} -c listen_addresses=127.0.0.1 -c ssl=on \
             -c ssl_cert_file={place}/server.crt -c ssl_key_file={place}/server.key"
        );
        for setting in settings {
            let _ = write!(options, " -c {setting}");
        }
        let cluster = Self { folder, programs, port, options };
        if is_root() {
            run(Command::new("chown").arg(USER).arg(cluster.folder.path()))?;
        }
        run(cluster
            .program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"])
            .args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]))?;
        cluster.ask_some_for_passwords()?;
        cluster.make_certificates()?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// The folder of the newest PostgreSQL that is installed: Debian keeps servers out of the path.
    pub fn programs() -> Option<PathBuf> {
        let installed = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
        let newest = installed
            .map(|entry| entry.path())
            .filter(|path| path.join("bin/initdb").exists())
            .max_by_key(|path| version(path));
        newest.map(|path| path.join("bin"))
    }

    /// The superuser's URL, without a database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that signed the server's.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Stops it in the middle of what it does.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self) -> Result<()> {
        run(self.program("pg_ctl").args(["--mode=immediate", "--silent", "stop"]))
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not start; the error holds its log.
    pub fn resume(&self) -> Result<()> {
        let log = self.folder.path().join("log");
        let mut start = self.program("pg_ctl");
        start.args(["--wait", "--silent", "--options", &self.options, "--log"]).arg(&log).arg("start");
        run(&mut start).with_context(|| fs::read_to_string(log).unwrap_or_default())
    }

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
        run(openssl().args(authority))?;
        run(openssl().args(server).args(signed))
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

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("a PostgreSQL of the tests may still run: {error:#}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    // A server that is started must not keep a pipe of ours open: it would be waited for.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
