//! A database of its own for each test, in the cluster that `cargo xtask test` starts.

use std::sync::atomic::{AtomicU32, Ordering};

use tallybook_core::{Error, ErrorKind, Result};
use tokio_postgres::NoTls;

/// Where the cluster is: a superuser's URL without a database.
const CLUSTER: &str = "TALLYBOOK_POSTGRES_URL";

/// A new, empty database; dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        Self { name: format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Its URL; it is made at the first call.
    pub(crate) async fn url(&self) -> Result<String> {
        let cluster = cluster()?;
        let admin = connect(&format!("{cluster}/postgres?sslmode=disable")).await?;
        let found = admin
            .query_one("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", &[&self.name])
            .await
            .map_err(unreachable)?;
        if !found.get::<_, bool>(0) {
            admin.batch_execute(&format!("CREATE DATABASE {}", self.name)).await.map_err(unreachable)?;
        }
        Ok(format!("{cluster}/{}?sslmode=disable", self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A thread of its own: the test's runtime may be on its way out.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let admin = connect(&format!("{}/postgres?sslmode=disable", cluster()?)).await?;
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.map_err(unreachable)
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("a test database stays: {error}");
        }
    }
}

fn cluster() -> Result<String> {
    std::env::var(CLUSTER).map_err(|_| {
        Error::new(
            ErrorKind::Unavailable,
            "testing on PostgreSQL",
            format!("{CLUSTER} is not set; run `cargo xtask test`, or give it a superuser's URL such as postgres://postgres@127.0.0.1:5432"),
        )
    })
}

/// A plain connection for looking at a database from outside.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(unreachable)?;
    tokio::spawn(connection);
    Ok(client)
}

fn unreachable(error: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "testing on PostgreSQL", "the cluster does not do as asked").with_source(error)
}
