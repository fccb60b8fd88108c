//! A ClickHouse for the tests: the machine's program, a temporary folder, free ports, gone with the run.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const PROGRAM: &str = "clickhouse-server";
/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server. Everybody on this machine is the user `default`; `reader` (password `secret`) may only read.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts one with nothing in it.
    pub(crate) fn start() -> Result<Self> {
        let program = program().context("there is no ClickHouse; on Debian: sudo apt-get install clickhouse-server")?;
        let folder = tempfile::Builder::new().prefix("tallybook-clickhouse-").tempdir()?;
        let ports = [free_port()?, free_port()?, free_port()?];
        fs::write(folder.path().join("config.xml"), config(folder.path(), ports))?;
        fs::write(folder.path().join("users.xml"), users())?;
        let child = Command::new(program)
            .arg(format!("--config-file={}", folder.path().join("config.xml").display()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, folder, port: ports[0] };
        server.wait()?;
        Ok(server)
    }

    /// As a mirror is named, without a database.
    pub(crate) fn url(&self) -> String {
        format!("clickhouse://127.0.0.1:{}", self.port)
    }

    fn wait(&self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > START_MAX {
                let said = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
                bail!("{PROGRAM} does not answer; it said:\n{said}");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is in it is thrown away, and it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the program is: Debian keeps it out of the path of most users.
pub(crate) fn program() -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    folders.into_iter().map(|folder| Path::new(folder).join(PROGRAM)).find(|path| path.exists())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn config(folder: &Path, [http, tcp, between]: [u16; 3]) -> String {
    let place = folder.display();
    format!(
        "<yandex><logger><level>warning</level><log>{place}/log</log><errorlog>{place}/errors</errorlog></logger>\
         <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{between}</interserver_http_port>\
         <listen_host>127.0.0.1</listen_host><path>{place}/data/</path><tmp_path>{place}/tmp/</tmp_path>\
         <users_config>users.xml</users_config><default_profile>default</default_profile>\
         <default_database>default</default_database><mark_cache_size>268435456</mark_cache_size></yandex>"
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
