//! The engines that the mirror is tested over: the server that `cargo xtask test` starts, and a current engine behind a small
//! bridge.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

/// `clickhouse://host:port` of the oldest server that can be installed.
const SERVER: &str = "TALLYBOOK_CLICKHOUSE_URL";
/// Python with the packages of the tests.
const PYTHON: &str = "TALLYBOOK_PYTHON";

/// A running engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// `host:port`.
    pub(crate) address: String,
    /// What has to be said in each URL.
    pub(crate) options: &'static str,
    /// Whether it knows users and what they may do.
    pub(crate) has_users: bool,
    bridge: Option<Arc<Mutex<Bridge>>>,
}

#[derive(Debug)]
struct Bridge {
    child: Child,
    _folder: TempDir,
}

impl Engine {
    pub(crate) fn stop(&self) {
        let Some(bridge) = &self.bridge else { return };
        let mut bridge = bridge.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = bridge.child.kill();
        let _ = bridge.child.wait();
    }
}

pub(crate) fn start() -> Result<Vec<Engine>, String> {
    Ok(vec![server()?, start_bridge()?])
}

fn server() -> Result<Engine, String> {
    let not_set = |_| format!("{SERVER} is not set; run `cargo xtask test`, which starts a ClickHouse of its own");
    let url = std::env::var(SERVER).map_err(not_set)?;
    let address = url.trim_start_matches("clickhouse://").to_owned();
    Ok(Engine { name: "clickhouse_18_16", address, options: "", has_users: true, bridge: None })
}

fn start_bridge() -> Result<Engine, String> {
    let python = std::env::var(PYTHON).map_err(|_| format!("{PYTHON} is not set; run `cargo xtask test`"))?;
    let folder = tempfile::Builder::new().prefix("tallybook-chdb-").tempdir().map_err(|error| error.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/chdb_bridge.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the bridge over chdb does not start: {error}"))?;
    let stdout = child.stdout.take().ok_or("the bridge has an output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let port = line.trim().parse::<u16>();
    let port = port.map_err(|_| "the bridge over chdb ended; is chdb-core installed?".to_owned())?;
    let bridge = Some(Arc::new(Mutex::new(Bridge { child, _folder: folder })));
    let address = format!("127.0.0.1:{port}");
    Ok(Engine { name: "chdb_26_9", address, options: "?compression=none", has_users: false, bridge })
}
