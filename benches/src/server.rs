//! A server process of its own, measured from outside through `/proc`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A running `tallybook serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where OTLP/HTTP is received.
    pub otlp_http: SocketAddr,
    /// Where the API answers.
    pub api: SocketAddr,
}

/// The binary next to this one, or the one `TALLYBOOK_BIN` names.
///
/// # Errors
/// When there is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TALLYBOOK_BIN") {
        return Ok(path.into());
    }
    let path = std::env::current_exe()?.with_file_name("tallybook");
    if !path.exists() {
        bail!("{} is not there; build it with `cargo build --release`", path.display());
    }
    Ok(path)
}

impl Server {
    /// Starts a server on `data_dir` with its default settings (and what `USE_DB` says) and waits until it is ready; gives it
    /// and the time from start to ready.
    ///
    /// # Errors
    /// When it does not become ready within a minute.
    pub fn start(data_dir: &Path) -> Result<(Self, Duration)> {
        let [grpc, otlp_http, api] = tallybook_testing::free_addresses()?;
        let started = Instant::now();
        let child = Command::new(binary()?)
            .arg("serve")
            .env("DATA_DIR", data_dir)
            .env("OTLP_GRPC_ADDR", grpc.to_string())
            .env("OTLP_HTTP_ADDR", otlp_http.to_string())
            .env("API_ADDR", api.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(data_dir.join("server.log"))?)
            .spawn()
            .context("starting the server")?;
        let mut server = Self { child, otlp_http, api };
        loop {
            if server.get("/api/v1/ready").is_ok_and(|(status, _)| status == 200) {
                return Ok((server, started.elapsed()));
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}: {}", fs::read_to_string(data_dir.join("server.log"))?);
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the server was not ready within a minute");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Processor time used so far, user and system, over all threads.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the name in parentheses; user and system time are the 14th and 15th, in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 =
            fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The most memory it ever held, in MiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
        let kib: f64 = line.split_whitespace().nth(1).context("VmHWM")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// One GET of the API on a connection of its own: the status and the body.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer HTTP.
    pub fn get(&self, path: &str) -> Result<(u16, Vec<u8>)> {
        self.request(&format!("GET {path}"), "", &[])
    }

    /// One POST of the API likewise.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer HTTP.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let headers = format!("content-type: {content_type}\r\ncontent-length: {}\r\n", body.len());
        self.request(&format!("POST {path}"), &headers, body)
    }

    fn request(&self, what: &str, headers: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.api)?;
        stream.set_nodelay(true)?;
        write!(stream, "{what} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", self.api)?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let status = std::str::from_utf8(answer.get(9..12).context("a status line")?)?.parse()?;
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").context("a body")? + 4;
        Ok((status, answer.split_off(body)))
    }

    /// Stops the server with SIGTERM and waits for it.
    ///
    /// # Errors
    /// When it did not end well.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").arg("-TERM").arg(&pid).status()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only reached alive when a benchmark failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
