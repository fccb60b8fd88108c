//! A ClickHouse of a test's own, whose disk may become full.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Where Debian keeps it.
const PROGRAM: &str = "/usr/sbin/clickhouse-server";
/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct ClickHouse {
    child: Child,
    /// Of its configuration and its log, which must not fill the disk of its data.
    _folder: TempDir,
    port: u16,
}

impl ClickHouse {
    /// Starts one with its data in this folder.
    ///
    /// # Errors
    /// When it does not start; the error holds its log.
    pub async fn start(data: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tallybook-clickhouse-").tempdir()?;
        let (config, log) = (folder.path().join("config.xml"), folder.path().join("log"));
        // Held together, so that they differ.
        let listeners = [listen()?, listen()?, listen()?];
        let mut ports = [0; 3];
        for (port, listener) in ports.iter_mut().zip(listeners) {
            *port = listener.local_addr()?.port();
        }
        fs::write(&config, configuration(data, &log, ports))?;
        let child = Command::new(PROGRAM)
            .arg(format!("--config-file={}", config.display()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {PROGRAM}; `cargo xtask setup` installs it"))?;
        let server = Self { child, _folder: folder, port: ports[0] };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            ensure!(begun.elapsed() < START_MAX, "ClickHouse does not answer; it said:\n{}", said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// A database of it, as a mirror is named.
    pub fn url(&self) -> String {
        format!("clickhouse://127.0.0.1:{}/tallybook", self.port)
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        // What is in it is thrown away, and it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").context("no free port on loopback")
}

fn configuration(data: &Path, log: &Path, [http, tcp, between]: [u16; 3]) -> String {
    let (data, log) = (data.display(), log.display());
    format!(
        "<yandex><logger><level>warning</level><log>{log}</log></logger>\
         <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{between}</interserver_http_port>\
         <listen_host>127.0.0.1</listen_host><path>{data}/data/</path><tmp_path>{data}/tmp/</tmp_path>\
         <default_profile>default</default_profile><default_database>default</default_database>\
         <mark_cache_size>268435456</mark_cache_size><profiles><default/></profiles><quotas><default/></quotas>\
         <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
         <quota>default</quota></default></users></yandex>"
    )
}
