//! The API, wherever it is: of the server that is named, of the one that holds the data folder, or one of this process's own
//! for as long as a command needs it. So every command reads in one way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tallybook_backends::Backend;
use tallybook_core::{ErrorKind, Store};
use tallybook_runner::{ArtifactLimits, Artifacts, Courier, Spool};
use tallybook_server::{Options, Server, Token};
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::Writer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::run::StoreDestination;
use crate::serve::writer_options;
use crate::settings::Settings;
use crate::store;

/// How long a server may take to be reached.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the end of an own server may take.
const CLOSE_MAX: Duration = Duration::from_secs(10);
/// Rows of a page.
const PAGE: usize = 1_000;

/// A server to ask.
pub(crate) struct Api {
    client: Client,
    address: String,
    token: Option<String>,
    own: Option<Own>,
}

/// A server of this process's own, on a port and with a token that nobody else knows.
struct Own {
    store: Arc<dyn Store>,
    writer: Writer,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Api {
    /// Finds or starts a server. One of its own takes over what runs left in the spool first.
    ///
    /// # Errors
    /// One sentence when there is none, and none can be started.
    pub(crate) async fn find(settings: &Settings, server: Option<&str>, token: Option<&str>) -> Result<Self> {
        let token = token.map(ToOwned::to_owned).or_else(|| settings.network.api_token.clone());
        let client = Client::builder().connect_timeout(CONNECT_MAX).build()?;
        if let Some(address) = server {
            return Ok(Self { client, address: store::server_address(address)?, token, own: None });
        }
        if settings.store.use_db == Backend::Memory {
            bail!("USE_DB=memory keeps nothing outside of its server; name that with --server");
        }
        match store::open_soon(settings, "tallybook executions").await {
            Ok(store) => {
                let secret = uuid::Uuid::now_v7().simple().to_string();
                let (own, address) = Own::start(settings, store, &secret).await?;
                Ok(Self { client, address, token: Some(secret), own: Some(own) })
            }
            Err(error) if error.kind() == ErrorKind::Unavailable && settings.store.use_db == Backend::Sqlite => {
                match store::holder_address(&settings.store.data_dir) {
                    Some(address) => Ok(Self { client, address, token, own: None }),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The JSON at `/api/v1/…`.
    ///
    /// # Errors
    /// One sentence: nobody answers, or what the server says is wrong.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.request(Method::GET, path, None).await?.json().await?)
    }

    /// All items of a list, page by page, `limit` of them at the most.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn list(&self, path: &str, limit: usize) -> Result<Vec<Value>> {
        let (mut items, mut after) = (Vec::new(), String::new());
        while items.len() < limit {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = PAGE.min(limit - items.len());
            let mut answer = self.get(&format!("{path}{separator}limit={page}{after}")).await?;
            if let Value::Array(data) = answer["data"].take() {
                items.extend(data);
            }
            match answer["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        Ok(items)
    }

    /// Any request, once the answer has begun.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let url = format!("{}/api/v1/{path}", self.address);
        let mut request = self.client.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|_| {
            anyhow!("no server answers at {}; start one with `tallybook serve`, or name another", self.address)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let answer: Value = response.json().await.unwrap_or_default();
        bail!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default())
    }

    /// Whether the server is of this process's own, so that nothing comes to it by itself.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends a server of its own.
    ///
    /// # Errors
    /// When the store cannot be closed.
    pub(crate) async fn close(self) -> Result<()> {
        let Some(Own { store, writer, stop, running }) = self.own else { return Ok(()) };
        drop((self.client, stop));
        running.await?;
        writer.stop(CLOSE_MAX).await;
        store.close().await.context("closing the store")
    }
}

impl Own {
    async fn start(settings: &Settings, store: Arc<dyn Store>, secret: &str) -> Result<(Self, String)> {
        let spool = Spool::of(&settings.store.data_dir);
        Courier::new(spool, None).round(&StoreDestination::new(store.clone(), None)).await?;
        let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), writer_options(settings));
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options {
            otlp_grpc_addr: here,
            otlp_http_addr: here,
            api_addr: here,
            api_token: Some(Token::new(secret)?),
            probe_targets: false,
            artifacts: Some(Artifacts::of(&settings.store.data_dir, ArtifactLimits::default())),
            ..Options::default()
        };
        let server = Server::bind(options, store.clone(), writer.clone()).await?;
        let address = format!("http://{}", server.addresses().api);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            server
                .run(async {
                    // Told by being dropped.
                    let _ = stopped.await;
                })
                .await;
        });
        Ok((Self { store, writer, stop, running }, address))
    }
}
