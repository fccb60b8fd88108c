//! A server that runs for the length of a test.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tallybook_core::{Family, Store};
use tallybook_server::{Addresses, Limits, Options, Server, Stopped};
use tallybook_store_memory::MemoryStore;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Accounting, Writer, WriterOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What a test waits for at the most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is to be.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) writer: WriterOptions,
    pub(crate) store: Arc<dyn Store>,
}

pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) client: Client,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Stopped>,
}

/// An answer in JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        let options = Options { otlp_grpc_addr: free, otlp_http_addr: free, api_addr: free, ..Options::default() };
        Self { options, writer: WriterOptions::default(), store: Arc::new(MemoryStore::new()) }
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.options.api_token = Some(tallybook_server::Token::new(token).unwrap());
        self
    }

    /// Only what a test asks for is then read from the store.
    pub(crate) fn without_probes(mut self) -> Self {
        self.options.probe_targets = false;
        self
    }

    pub(crate) fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    pub(crate) async fn start(self) -> Running {
        let Self { options, writer, store } = self;
        let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), writer);
        let server = Server::bind(options, store.clone(), writer.clone()).await.unwrap();
        let addresses = server.addresses();
        let (shutdown, asked) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = asked.await;
        }));
        let client = Client::builder().no_proxy().build().unwrap();
        Running { addresses, store, writer, client, shutdown: Some(shutdown), task }
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.api)
    }

    pub(crate) fn otlp(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.otlp_http)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let response = self.client.get(self.api(path)).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: {}", body.escape_ascii()));
        Answer { status, headers, body }
    }

    /// The body of a success.
    pub(crate) async fn ok(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    /// The status and the code of an error in the API's one form.
    pub(crate) async fn error(&self, path: &str) -> (u16, String) {
        let answer = self.get(path).await;
        let error = &answer.body["error"];
        assert!(!error["message"].as_str().unwrap().is_empty(), "{path}: {}", answer.body);
        (answer.status.as_u16(), error["code"].as_str().unwrap().to_owned())
    }

    pub(crate) fn accounting(&self) -> Accounting {
        self.writer.stats().families.get(&Family::Telemetry).copied().unwrap_or_default()
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.shutdown.take());
    }

    pub(crate) async fn stopped(mut self) -> Stopped {
        self.begin_stop();
        timeout(PATIENCE, self.task).await.expect("the server stops").unwrap()
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}
