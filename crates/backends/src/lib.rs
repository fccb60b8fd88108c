//! The only crate that names every backend: a setting goes in, an `Arc<dyn Store>` or an `Arc<dyn Follower>` comes out.

pub mod duckdb;
mod place;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tallybook_core::{Error, Result, Store};
use tallybook_store_memory::MemoryStore;
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

pub use place::Place;
pub use tallybook_store_postgres::{DeadRows, PostgresState, Replica, Slot, Transaction};

/// A primary backend, as `USE_DB` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One file in the data folder; the default.
    Sqlite,
    /// A database that many servers may share.
    Postgres,
    /// Nothing outlives the process.
    Memory,
}

impl Backend {
    /// All of them, the default first.
    pub const ALL: &'static [Self] = &[Self::Sqlite, Self::Postgres, Self::Memory];

    /// The name in `USE_DB`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|backend| backend.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|backend| backend.as_str()).collect();
            format!("there is no backend `{name}`; there are: {}", names.join(", "))
        })
    }
}

/// Which store to open, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The backend.
    pub use_db: Backend,
    /// The folder of everything that is kept in files; made if it is not there.
    pub data_dir: PathBuf,
    /// The database of [`Backend::Postgres`].
    pub database_url: Option<String>,
    /// Who holds the store, for the sentence a second process on the same folder is refused with.
    pub holder: String,
}

/// What the server of [`Backend::Postgres`] says of itself; nothing is changed there.
///
/// # Errors
/// As those of [`open`].
pub async fn postgres_state(database_url: Option<&str>) -> Result<PostgresState> {
    PostgresState::look(needed(database_url)?).await
}

fn needed(database_url: Option<&str>) -> Result<&str> {
    database_url.ok_or_else(|| {
        Error::invalid(
            "opening the store",
            "USE_DB=postgres needs DATABASE_URL, such as postgres://user:password@host:5432/database",
        )
    })
}

/// Opens the store and brings its schema up to date.
///
/// # Errors
/// One sentence that says what cannot be opened and what to do; see [`tallybook_core::ErrorKind`].
pub async fn open(config: &Config) -> Result<Arc<dyn Store>> {
    match config.use_db {
        Backend::Memory => Ok(Arc::new(MemoryStore::new())),
        Backend::Postgres => {
            let url = needed(config.database_url.as_deref())?;
            Ok(Arc::new(PostgresStore::open(url, PostgresOptions::default()).await?))
        }
        Backend::Sqlite => {
            place::make_folder(&config.data_dir)?;
            let options = SqliteOptions { lock_note: config.holder.clone(), ..SqliteOptions::default() };
            Ok(Arc::new(SqliteStore::open(&config.data_dir.join("tallybook.db"), options)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_backend_is_answered_with_the_names_there_are() {
        let error = "postgresql".parse::<Backend>().expect_err("no such backend");
        assert_eq!(error, "there is no backend `postgresql`; there are: sqlite, postgres, memory");
        for backend in Backend::ALL {
            assert_eq!(backend.as_str().parse(), Ok(*backend));
        }
    }
}
