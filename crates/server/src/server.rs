//! The server as a whole: opens its ports, answers, and closes them in order.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tallybook_core::Store;
use tallybook_writer::Writer;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::alerts::Alerts;
use crate::api::{Api, Guard, Sql};
use crate::connections::{Protocol, serve};
use crate::counters::Counters;
use crate::databases::Databases;
use crate::otlp::{Grpc, Receiver, http_router};
use crate::ping_targets::PingTargets;
use crate::probing::{Probing, Pump};
use crate::stored::Stored;
use crate::{Limits, Options, StartError};

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP/gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP/HTTP.
    pub otlp_http: SocketAddr,
    /// The JSON API.
    pub api: SocketAddr,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut off because their requests ran past the limit.
    pub cut_off: usize,
}

/// A server whose ports are open.
pub struct Server {
    addresses: Addresses,
    limits: Limits,
    grpc: (TcpListener, Router),
    http: (TcpListener, Router),
    api: (TcpListener, Router),
    health: HealthReporter,
    probing: Probing,
    pump: Pump,
    alerts: Alerts,
    databases: Option<Databases>,
    stopping: CancellationToken,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Checks the options and opens the ports. Clients may connect from now on; they are answered once it runs.
    ///
    /// # Errors
    /// When an option is wrong or an address cannot be used.
    pub async fn bind(options: Options, store: Arc<dyn Store>, writer: Writer) -> Result<Self, StartError> {
        options.validate()?;
        let [grpc_listener, http_listener, api_listener] = listen(&options).await?;
        let addresses = Addresses { otlp_grpc: grpc_listener.0, otlp_http: http_listener.0, api: api_listener.0 };
        let Options {
            api_token: token,
            otlp_cors_origins,
            probe_targets,
            own_database,
            databases,
            doctor,
            artifacts,
            commands,
            mirror,
            limits,
            ..
        } = options;
        let databases = databases.map(Databases::new);
        let sql = Sql::new(token.is_some(), own_database, databases.clone());
        let commands = commands.filter(|_| token.is_some());
        let stopping = CancellationToken::new();
        let counters = Counters::default();
        let receiver = Receiver::new(writer.clone(), token.clone(), limits, counters.clone());
        let grpc = Grpc::new(receiver.clone()).await;
        let health = grpc.health();
        let guard = Guard {
            token,
            max_body_bytes: limits.max_api_body_bytes,
            max_data_bytes: limits.max_request_bytes as u64,
            counters: counters.clone(),
        };
        let stored = Stored::new(store.clone());
        let alerts = Alerts::new(stored.clone()).await;
        let targets = PingTargets::new(stored);
        let probing = Probing::new(targets, writer.clone(), alerts.clone(), probe_targets);
        let (probing, pump) = probing.map_err(|error| StartError::Setting(error.to_string()))?;
        let api = Api::new(
            store,
            writer,
            mirror,
            receiver.clone(),
            probing.clone(),
            alerts.clone(),
            &counters,
            stopping.clone(),
        )
        .with_files(artifacts, sql, doctor)
        .with_commands(commands);
        Ok(Self {
            addresses,
            limits,
            grpc: (grpc_listener.1, grpc.router),
            http: (http_listener.1, http_router(receiver, &otlp_cors_origins)),
            api: (api_listener.1, api.router(guard)),
            probing,
            pump,
            alerts,
            databases,
            health,
            stopping,
        })
    }

    /// Where it listens; with the ports that were picked where the options said 0.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Answers until `shutdown` completes. Then the receivers close: what is being received is finished within
    /// [`Limits::stop_limit`], while the API goes on and says that it is not ready. The API closes last, likewise.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Stopped {
        let Self { limits, grpc, http, api, health, probing, pump, alerts, databases, stopping, .. } = self;
        let pump = tokio::spawn(pump.run());
        let probes = tokio::spawn(probing.clone().run());
        tokio::spawn(alerts.run(stopping.clone()));
        let api_stopping = CancellationToken::new();
        let api = tokio::spawn(serve(api.0, Protocol::Http1, api.1, limits, api_stopping.clone()));
        let grpc = tokio::spawn(serve(grpc.0, Protocol::Http2, grpc.1, limits, stopping.clone()));
        let http = tokio::spawn(serve(http.0, Protocol::Http1, http.1, limits, stopping.clone()));
        shutdown.await;
        Grpc::closing(&health).await;
        stopping.cancel();
        probes.abort();
        probing.stop().await;
        let (grpc, http, pumped) = tokio::join!(grpc, http, timeout(limits.stop_limit, pump));
        if pumped.is_err() {
            tracing::error!("the last pings could not be written in time");
        }
        api_stopping.cancel();
        let ended = [grpc, http, api.await];
        if let Some(databases) = databases
            && tokio::task::spawn_blocking(move || databases.close()).await.is_err()
        {
            tracing::error!("the databases could not be closed");
        }

        Stopped { cut_off: ended.into_iter().map(Result::unwrap_or_default).sum() }
    }
}

async fn listen(options: &Options) -> Result<[(SocketAddr, TcpListener); 3], StartError> {
    let [grpc, http, api] = options.addresses();
    Ok([listen_at(grpc).await?, listen_at(http).await?, listen_at(api).await?])
}

async fn listen_at((setting, address): (&'static str, SocketAddr)) -> Result<(SocketAddr, TcpListener), StartError> {
    let listener = TcpListener::bind(address).await.map_err(|error| StartError::listen(setting, address, error))?;
    let bound = listener.local_addr().map_err(|error| StartError::listen(setting, address, error))?;
    if !bound.ip().is_loopback() {
        tracing::warn!("{setting} is {bound}: the token and all data cross the network without TLS");
    }
    Ok((bound, listener))
}
