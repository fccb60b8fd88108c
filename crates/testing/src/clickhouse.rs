//! A ClickHouse: the machine's program, a temporary folder, free ports, gone with the test.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::free_addresses;

const PROGRAM: &str = "clickhouse-server";
/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(180);

/// A running server; killed when dropped. Everybody on this machine is the user `default`; `reader` (password `secret`) may
/// only read.
#[derive(Debug)]
pub struct ClickHouse {
    child: Child,
    /// Of its configuration and its log, which must not fill the disk of its data.
    folder: TempDir,
    port: u16,
}

impl ClickHouse {
    /// Starts one with nothing in it, and its data in this folder, or else in one of its own.
    ///
    /// # Errors
    /// When it does not start; the error holds its log.
    pub fn start(data: Option<&Path>) -> Result<Self> {
        let program =
            Self::program().context("there is no ClickHouse; on Debian: sudo apt-get install clickhouse-server")?;
        let folder = tempfile::Builder::new().prefix("tallybook-clickhouse-").tempdir()?;
        let ports = free_addresses()?.map(|address| address.port());
        let config = folder.path().join("config.xml");
        fs::write(&config, configuration(folder.path(), data.unwrap_or(folder.path()), ports))?;
        fs::write(folder.path().join("users.xml"), users())?;
        let child = Command::new(&program)
            .arg(format!("--config-file={}", config.display()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let server = Self { child, folder, port: ports[0] };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            let said = || fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            ensure!(begun.elapsed() < START_MAX, "{PROGRAM} does not answer; it said:\n{}", said());
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Where the program is: Debian keeps it out of the path of most users.
    pub fn program() -> Option<PathBuf> {
        let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
        folders.into_iter().map(|folder| Path::new(folder).join(PROGRAM)).find(|path| path.exists())
    }

    /// As a mirror is named, without a database.
    pub fn url(&self) -> String {
        format!("clickhouse://127.0.0.1:{}", self.port)
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        // What is in it is thrown away, and it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, data: &Path, [http, tcp, between]: [u16; 3]) -> String {
    let (log, data) = (folder.join("log"), data.display());
    format!(
        "<yandex><logger><level>warning</level><log>{log}</log></logger>\
         <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{between}</interserver_http_port>\
         <listen_host>127.0.0.1</listen_host><path>{data}/data/</path><tmp_path>{data}/tmp/</tmp_path>\
         <users_config>users.xml</users_config><default_profile>default</default_profile>\
         <default_database>default</default_database><mark_cache_size>268435456</mark_cache_size></yandex>",
        log = log.display()
    )
}

fn users() -> String {
    let user = |name: &str, password: &str, profile: &str| {
        format!(
            "<{name}><password>{password}</password><networks><ip>127.0.0.1</ip></networks>\
             <profile>{profile}</profile><quota>default</quota></{name}>"
        )
    };
    format!(
        "<yandex><profiles><default/><looking><readonly>1</readonly></looking></profiles>\
         <users>{}{}</users><quotas><default/></quotas></yandex>",
        user("default", "", "default"),
        user("reader", "secret", "looking")
    )
}
