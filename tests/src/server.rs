//! A running server, spoken to as its clients speak to it and looked at from outside.

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use rustix::process::{Pid, Signal as UnixSignal, kill_process};
use serde_json::Value;
use tokio::process::Child;

use crate::answer::Answer;
use crate::otlp::{Export, Signal};
use crate::setup::Addresses;

/// How long a stop may take: more than the server allows itself.
const STOP_MAX: Duration = Duration::from_secs(45);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A running `tallybook serve`; it is killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: Pid,
    client: Client,
    log_file: PathBuf,
}

/// A client of a server; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the server listens.
    pub addresses: Addresses,
    http1: reqwest::Client,
    http2: reqwest::Client,
}

/// The body of an OTLP request, in one of its encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf.
    Protobuf,
    /// JSON.
    Json,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Protobuf, Self::Json];

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

impl Server {
    pub(crate) fn new(child: Child, addresses: Addresses, log_file: PathBuf) -> Result<Self> {
        let id = child.id().context("the process has just been started")?;
        let pid = Pid::from_raw(id.try_into()?).context("process ids are positive")?;
        Ok(Self { child, pid, client: Client::new(addresses)?, log_file })
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What it has said so far, on both outputs.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log_file)?)
    }

    /// Whether it has its ports.
    pub(crate) fn has_bound(&self) -> Result<bool> {
        Ok(self.log()?.contains(&format!("API at http://{}/", self.addresses.api)))
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(mut self) -> Result<ExitStatus> {
        kill_process(self.pid, UnixSignal::TERM)?;
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the server did not end within {} s; it said:\n{}", STOP_MAX.as_secs(), self.log()?),
        }
    }

    /// Ends it as a user does, and checks that it ended well.
    ///
    /// # Errors
    /// When it did not.
    pub async fn stop(self) -> Result<()> {
        let log_file = self.log_file.clone();
        let status = self.terminate().await?;
        ensure!(status.success(), "the server ended with {status}; it said:\n{}", fs::read_to_string(log_file)?);
        Ok(())
    }

    /// Ends it without a chance to do anything about it (SIGKILL).
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn kill(mut self) -> Result<()> {
        ensure!(!self.has_ended()?, "the server had ended by itself; it said:\n{}", self.log()?);
        Ok(self.child.kill().await?)
    }

    /// The most memory it ever held, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory_mib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero()))
            .with_context(|| format!("the server is gone; it said:\n{}", self.log().unwrap_or_default()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.split_whitespace().next().context("VmHWM is empty")?.parse()?;
        Ok(kib / 1024)
    }
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    fn new(addresses: Addresses) -> Result<Self> {
        let builder = || reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX);
        Ok(Self { addresses, http1: builder().build()?, http2: builder().http2_prior_knowledge().build()? })
    }

    /// GET of an address of the API; `path` begins with a slash.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::read(self.http1.get(format!("http://{}{path}", self.addresses.api)).send().await?).await
    }

    /// The same, with a token.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Answer> {
        let request = self.http1.get(format!("http://{}{path}", self.addresses.api)).bearer_auth(token);
        Answer::read(request.send().await?).await
    }

    /// The JSON of `/api/v1/…`.
    ///
    /// # Errors
    /// When the answer is not 200 and JSON.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let answer = self.get(&format!("/api/v1/{path}")).await?;
        ensure!(answer.status == 200, "{path} answered {}: {}", answer.status, answer.text());
        answer.json()
    }

    /// POST of a body to an address of the API, with these headers.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn post_to_api(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer> {
        let mut request = self.http1.post(format!("http://{}/api/v1/{path}", self.addresses.api)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await?).await
    }

    /// All items of a list of the API, page by page; checks that each page says how many there are.
    ///
    /// # Errors
    /// When an answer is not a page, or the number of all is not the number of items.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = self.api(&format!("{path}{separator}limit=500{after}")).await?;
            let total = page["total"].as_u64().with_context(|| format!("{path} has no total"))?;
            match page["data"].take() {
                Value::Array(data) => items.extend(data),
                _ => bail!("{path} has no data"),
            }
            let Some(next) = page["next"].as_str() else {
                ensure!(total == items.len() as u64, "{path} says {total} and gives {}", items.len());
                return Ok(items);
            };
            after = format!("&after={next}");
        }
    }

    /// The accounting of the telemetry family, checked: every record offered is somewhere.
    ///
    /// # Errors
    /// When it does not add up.
    pub async fn accounting(&self) -> Result<Accounting> {
        let stats = self.api("stats").await?;
        let family = &stats["families"]["telemetry"];
        let number = |name: &str| family[name].as_u64().with_context(|| format!("no `{name}` in {stats}"));
        let accounting = Accounting {
            offered: number("offered")?,
            merged: number("merged")?,
            rejected: number("rejected")?,
            queued: number("queued")?,
        };
        let parts = ["stored", "merged", "duplicate", "rejected", "shed", "queued"];
        let sum = parts.iter().map(|part| number(part)).sum::<Result<u64>>()?;
        ensure!(sum == accounting.offered, "the account does not add up: {family}");
        Ok(accounting)
    }

    /// Waits until this many records are known, when the server feeds itself.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_for_records(&self, records: u64) -> Result<()> {
        let begun = Instant::now();
        while self.accounting().await?.merged < records {
            ensure!(begun.elapsed() < ANSWER_MAX, "{records} records are not there after {} s", ANSWER_MAX.as_secs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// POST of a body, as it is, to OTLP/HTTP.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn post(
        &self,
        signal: Signal,
        encoding: Encoding,
        compression: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let url = format!("http://{}{}", self.addresses.otlp_http, signal.http_path());
        let mut request = self.http1.post(url).header("content-type", encoding.content_type()).body(body.into());
        if let Some(compression) = compression {
            request = request.header("content-encoding", compression);
        }
        Answer::read(request.send().await?).await
    }

    /// A gRPC call with a message as it is.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn call(&self, signal: Signal, compression: Option<&str>, message: &[u8]) -> Result<Answer> {
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(compression.is_some().into());
        frame.put_u32(message.len().try_into()?);
        frame.put_slice(message);
        let url = format!("http://{}{}", self.addresses.otlp_grpc, signal.grpc_path());
        let mut request = self.http2.post(url).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(compression) = compression {
            request = request.header("grpc-encoding", compression);
        }
        Answer::read(request.body(frame.freeze()).send().await?).await
    }

    /// Sends a request over OTLP/HTTP; it must be taken.
    ///
    /// # Errors
    /// When it is not.
    pub async fn send<E: Export>(&self, request: &E) -> Result<()> {
        let answer = self.post(E::SIGNAL, Encoding::Protobuf, None, request.encode_to_vec()).await?;
        ensure!(answer.status == 200, "refused with {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Sends a request over OTLP/gRPC; it must be taken.
    ///
    /// # Errors
    /// When it is not.
    pub async fn send_grpc<E: Export>(&self, request: &E) -> Result<()> {
        let answer = self.call(E::SIGNAL, None, &request.encode_to_vec()).await?;
        let code = answer.grpc_code()?;
        ensure!(code == 0, "refused with code {code}: {:?}", answer.header("grpc-message"));
        Ok(())
    }
}

/// Where the records of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the accounting are explained where it is made")]
pub struct Accounting {
    pub offered: u64,
    pub merged: u64,
    pub rejected: u64,
    pub queued: u64,
}
