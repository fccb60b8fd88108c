//! The way to a database: the URL, the server's version, the schema, the pool.

use std::error::Error as _;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tallybook_core::{EndedSources, Error, ErrorKind, Result};
use tokio_postgres::config::{Config, Host};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};
use tracing::warn;

use crate::partitions::Partitions;
use crate::ticks::Names;
use crate::{PostgresOptions, PostgresStore, error, follow, tls};

const OPERATION: &str = "opening the PostgreSQL store";
/// The oldest server with everything the store uses (incremental sort, upserts into partitions).
const OLDEST_VERSION: u32 = 130_000;
/// Any constant will do, as long as no other program locks it in the same database: the bytes of "tally".
const MIGRATION_LOCK: i64 = 0x0074_616c_6c79;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A lost server is noticed this soon, even where it does not say goodbye.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// How long a call waits for a free connection.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(30);
/// A statement finds the same plan whatever its arrays hold, and a forgotten transaction does not lock out the others.
const SESSION: &str = "-c plan_cache_mode=force_generic_plan -c jit=off -c lock_timeout=30s \
    -c idle_in_transaction_session_timeout=60s -c statement_timeout=60s -c client_min_messages=warning";

pub(crate) mod migrations {
    refinery::embed_migrations!("../../migrations/postgres");
}

/// What a URL asks for, and how the server is to prove who it is.
pub(crate) fn configured(url: &str) -> Result<(Config, tls::Connector)> {
    let (url, verification) = tls::verification(url)?;
    let mut config = parse(&url)?;
    let session = session_options(&config);
    config
        .connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT))
        .tcp_user_timeout(SILENCE_LIMIT)
        .keepalives_idle(SILENCE_LIMIT)
        .options(session);
    if config.get_application_name().is_none() {
        config.application_name("tallybook");
    }
    Ok((config, tls::connector(verification)?))
}

fn parse(url: &str) -> Result<Config> {
    let form = "it looks like postgres://user:password@host:5432/database";
    let not_a_url = || invalid(format!("DATABASE_URL is not a PostgreSQL URL; {form}"));
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(not_a_url());
    }
    url.parse().map_err(|error: tokio_postgres::Error| {
        // The driver may quote a part of the password; the name of a setting is no part of it.
        let settings = url.rsplit_once('?').map_or("@", |(_, settings)| settings);
        let why = error.source().map(ToString::to_string).filter(|why| why.contains(" option `"));
        match why.filter(|_| !settings.contains('@')) {
            Some(why) => invalid(format!("DATABASE_URL has a setting that cannot be used: {why}")),
            None => not_a_url(),
        }
    })
}

/// The server's address and the database, for people.
pub(crate) fn place(config: &Config) -> String {
    format!("{}/{}", address(config), config.get_dbname().unwrap_or_default())
}

/// One connection by itself, which ends with the client.
pub(crate) async fn connect_once(config: &Config, tls: tls::Connector) -> Result<Client> {
    let (client, connection) = config.connect(tls).await.map_err(|error| cannot_connect(config, error))?;
    // Its error is the client's.
    tokio::spawn(connection);
    Ok(client)
}

/// See [`PostgresStore::open`].
pub(crate) async fn open(url: &str, options: &PostgresOptions) -> Result<PostgresStore> {
    let (config, tls) = configured(url)?;
    let version = prepare(&config, &tls).await?;
    let place = place(&config);
    let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Verified });
    let pool = Pool::builder(manager)
        .max_size(options.max_connections)
        .wait_timeout(Some(WAIT_FOR_CONNECTION))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(CONNECT_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, OPERATION, "the pool cannot be made").with_source(error))?;
    let client = pool.get().await.map_err(|error| error::no_connection(OPERATION, error))?;
    let partitions = Partitions::of(&client).await.map_err(|error| error::failed(OPERATION, error))?;
    let id = follow::id(&client).await.map_err(|error| error::failed(OPERATION, error))?;
    drop(client);
    let (names, ended_sources, coalesced) = (Names::default(), EndedSources::default(), AtomicI64::new(0));
    Ok(PostgresStore { pool, version, partitions, names, ended_sources, coalesced, id, place })
}

/// What the URL sets stays, and ours comes first so that it can be overruled.
fn session_options(config: &Config) -> String {
    match config.get_options() {
        Some(options) => format!("{SESSION} {options}"),
        None => SESSION.to_owned(),
    }
}

/// Checks the server and brings the schema up to date; gives the server's version.
async fn prepare(config: &Config, tls: &tls::Connector) -> Result<String> {
    let (mut client, connection) = config.connect(tls.clone()).await.map_err(|error| cannot_connect(config, error))?;
    let connection = tokio::spawn(connection);
    let version = check_server(&client).await?;
    let migrated = migrate(&mut client, config).await;
    drop(client);
    // Ends by itself once the client is gone; its error is the client's.
    if let Ok(Err(error)) = connection.await {
        warn!(%error, "the connection that migrated the schema ended badly");
    }
    migrated.map(|()| version)
}

/// The server's version, where it is one that works.
pub(crate) async fn check_server(client: &Client) -> Result<String> {
    let number: u32 = setting(client, "server_version_num").await?.parse().unwrap_or_default();
    let version = setting(client, "server_version").await?;
    if number < OLDEST_VERSION {
        let oldest = OLDEST_VERSION / 10_000;
        return Err(unsupported(format!("the server is PostgreSQL {version}; {oldest} is the oldest that works")));
    }
    let encoding = setting(client, "server_encoding").await?;
    if encoding != "UTF8" {
        return Err(unsupported(format!(
            "the database is encoded in {encoding}; make one with `createdb --encoding=UTF8 --template=template0`"
        )));
    }
    Ok(version)
}

async fn setting(client: &Client, name: &'static str) -> Result<String> {
    let answer = client.simple_query(&format!("SHOW {name}")).await.map_err(|error| error::failed(OPERATION, error))?;
    let value = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    value.ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, format!("the server does not show {name}")))
}

/// Refinery takes no lock of its own: ten servers that start at once would all create the same tables.
async fn migrate(client: &mut Client, config: &Config) -> Result<()> {
    let error = |error| error::failed(OPERATION, error);
    // Waiting for another server's migration is no reason to give up.
    client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await.map_err(error)?;
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.map_err(error)?;
    let report = migrations::migrations::runner().set_abort_missing(true).run_async(client).await;
    // Also released when the connection ends, which is next.
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await.map_err(error)?;
    report.map(drop).map_err(|report| cannot_migrate(config, report))
}

fn cannot_migrate(config: &Config, report: refinery::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&report);
    let refusal = std::iter::from_fn(|| {
        let current = cause?;
        cause = current.source();
        Some(current.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.code().cloned()))
    })
    .flatten()
    .next();
    if refusal == Some(SqlState::INSUFFICIENT_PRIVILEGE) {
        let user = config.get_user().unwrap_or_default();
        let database = config.get_dbname().unwrap_or(user);
        return Error::new(
            ErrorKind::Unavailable,
            OPERATION,
            format!(
                "user `{user}` may not create tables in database `{database}`; \
                 run `GRANT CREATE ON SCHEMA public TO \"{user}\"` there"
            ),
        );
    }
    let divergent =
        matches!(report.kind(), refinery::error::Kind::MissingVersion(_) | refinery::error::Kind::DivergentVersion(..));
    if divergent {
        return unsupported("the schema was made by another version of Tallybook; use the newest".to_owned());
    }
    Error::new(ErrorKind::Internal, OPERATION, "the schema could not be brought up to date").with_source(report)
}

/// One sentence for each way a connection is refused; the password is in none.
fn cannot_connect(config: &Config, error: tokio_postgres::Error) -> Error {
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let server = format!("PostgreSQL at {}", address(config));
    let unavailable = |context: String| Error::new(ErrorKind::Unavailable, OPERATION, context);
    if let Some(refusal) = error.as_db_error() {
        let said = refusal.message();
        return unavailable(match *refusal.code() {
            SqlState::INVALID_PASSWORD => {
                format!("{server} refuses user `{user}`; check user and password in DATABASE_URL")
            }
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                format!(
                    "{server} refuses user `{user}` ({said}); check user and sslmode in DATABASE_URL, and pg_hba.conf"
                )
            }
            SqlState::INVALID_CATALOG_NAME => {
                format!("{server} has no database `{database}`; make it with `createdb {database}`")
            }
            _ => format!("{server} refuses the connection: {said}"),
        });
    }
    let why = error.source().map(ToString::to_string).unwrap_or_default();
    // What kind of failure it was, the driver tells in words only.
    match error.to_string().as_str() {
        "error performing TLS handshake" => unavailable(format!(
            "{server} does not offer TLS as DATABASE_URL asks for it: {why}; check sslmode and sslrootcert"
        )),
        "invalid configuration" | "authentication error" => {
            unavailable(format!("{server} refuses user `{user}`: {why}; check user and password in DATABASE_URL"))
        }
        _ => unavailable(format!("{server} cannot be reached; check DATABASE_URL, and whether PostgreSQL runs there"))
            .with_source(error),
    }
}

/// `host:port`.
fn address(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    format!("{host}:{}", config.get_ports().first().copied().unwrap_or(5432))
}

pub(crate) fn invalid(context: impl Into<String>) -> Error {
    Error::invalid(OPERATION, context)
}

fn unsupported(context: String) -> Error {
    Error::new(ErrorKind::Unsupported, OPERATION, context)
}
