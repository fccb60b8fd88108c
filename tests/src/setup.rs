//! How a server is started: its folders, settings and ports.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::server::Server;

/// The pause between two questions whether the server is ready.
const READY_EVERY: Duration = Duration::from_millis(10);
/// Another process may take a port between the moment it was found free and the start of the server.
const PORT_ATTEMPTS: usize = 5;

/// Everything a server is started with; a second start from the same setup is a restart.
#[derive(Debug)]
pub struct Setup {
    home: TempDir,
    data_dir: PathBuf,
    settings: BTreeMap<String, String>,
    arguments: Vec<String>,
    addresses: Option<Addresses>,
}

/// The end of a process that did not want to start.
#[derive(Debug)]
pub struct Refusal {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it said, on both outputs.
    pub said: String,
}

impl Setup {
    /// A server with default settings and folders of its own.
    pub fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("tallybook-test-").tempdir()?;
        let data_dir = home.path().join("data");
        Ok(Self { home, data_dir, settings: BTreeMap::new(), arguments: Vec::new(), addresses: None })
    }

    /// With this setting, by its name in the environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With this argument after `serve`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With its data in this folder.
    pub fn data_in(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.data_dir);
        self
    }

    /// At the addresses that an earlier server had; others are free ones.
    pub fn at(mut self, addresses: Addresses) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// The folder that the process runs in, where it looks for `tallybook.toml`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder of its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The file of the SQLite store.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("tallybook.db")
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error holds its log.
    pub async fn start(&self) -> Result<Server> {
        let mut said = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let (child, addresses) = self.spawn()?;
            let mut server = Server::new(child, addresses, self.log_file())?;
            if self.wait_until_ready(&mut server).await? {
                return Ok(server);
            }
            said = server.log()?;
            if !said.contains("in use") {
                break;
            }
        }
        bail!("the server did not start; it said:\n{said}")
    }

    /// Whether it became ready before it ended.
    async fn wait_until_ready(&self, server: &mut Server) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // Until it says so, it may be another server that answers there.
            if server.has_bound()? && server.get("/api/v1/ready").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(true);
            }
            if server.has_ended()? {
                return Ok(false);
            }
            tokio::time::sleep(READY_EVERY).await;
        }
        bail!("the server was not ready after {} s; it said:\n{}", PATIENCE.as_secs(), server.log()?)
    }

    /// Starts a server that is expected to refuse, and waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn start_refused(&self) -> Result<Refusal> {
        let (mut child, _) = self.spawn()?;
        let Ok(status) = tokio::time::timeout(PATIENCE, child.wait()).await else {
            bail!("the server did not refuse to start; it said:\n{}", fs::read_to_string(self.log_file())?);
        };
        Ok(Refusal { code: status?.code(), said: fs::read_to_string(self.log_file())? })
    }

    fn spawn(&self) -> Result<(Child, Addresses)> {
        let addresses = self.addresses.map_or_else(Addresses::free, Ok)?;
        let program = crate::tools::tallybook()?;
        let log = File::create(self.log_file())?;
        let mut command = Command::new(&program);
        command
            .arg("serve")
            .args(&self.arguments)
            .current_dir(self.home())
            // Settings of the one who runs the tests must not change what they test.
            .env_clear()
            .env("DATA_DIR", &self.data_dir)
            .env("OTLP_GRPC_ADDR", addresses.otlp_grpc.to_string())
            .env("OTLP_HTTP_ADDR", addresses.otlp_http.to_string())
            .env("API_ADDR", addresses.api.to_string())
            .envs(&self.settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok((child, addresses))
    }

    fn log_file(&self) -> PathBuf {
        self.home().join("server.log")
    }
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP/gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP/HTTP.
    pub otlp_http: SocketAddr,
    /// The JSON API.
    pub api: SocketAddr,
}

impl Addresses {
    fn free() -> Result<Self> {
        let [otlp_grpc, otlp_http, api] = tallybook_testing::free_addresses()?;
        Ok(Self { otlp_grpc, otlp_http, api })
    }
}

impl Refusal {
    /// Checks that it failed and said one line that holds all these words.
    ///
    /// # Errors
    /// What it said otherwise.
    pub fn says(&self, words: &[&str]) -> Result<()> {
        ensure!(self.code.is_some_and(|code| code != 0), "it ended with {:?} and said:\n{}", self.code, self.said);
        ensure!(self.said.trim_end().lines().count() == 1, "this is not one sentence:\n{}", self.said);
        for word in words {
            ensure!(self.said.contains(word), "`{word}` is not in: {}", self.said);
        }
        Ok(())
    }
}
