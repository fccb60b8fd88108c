//! Where records come from or go to, as a move, a comparison and a mirror name it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use tallybook_core::{Error, ErrorKind, Follower, Result, Store};
use tallybook_mirror_clickhouse::{Address, ClickHouseMirror};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

use crate::duckdb;

const OPENING: &str = "opening a place";

/// A store or a mirror, by its address.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// `sqlite:DIR`: a data folder.
    Sqlite(PathBuf),
    /// `postgres://…`: a database.
    Postgres(String),
    /// `clickhouse://…`: a mirror.
    ClickHouse(String),
    /// `duckdb:///PATH`: a mirror in one file.
    DuckDb(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!("`{text}` names no place; {}", Self::kinds()));
        };
        match scheme {
            "sqlite" => match path_of(rest) {
                Some(path) => Ok(Self::Sqlite(path)),
                None => Err("`sqlite:` needs a data folder, as in sqlite:./data".into()),
            },
            "duckdb" => match path_of(rest) {
                Some(path) => duckdb::is_compiled_in().map(|()| Self::DuckDb(path)),
                None => Err("`duckdb:` needs a file, as in duckdb:///var/lib/tallybook/mirror.duckdb".into()),
            },
            // `postgres:postgres://…` as well as the URL itself.
            "postgres" if rest.starts_with("postgres") => Self::from_str(rest),
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(Self::Postgres(text.to_owned())),
            "postgres" | "postgresql" => {
                Err("a PostgreSQL database is named as postgres://user:password@host:5432/database".into())
            }
            "clickhouse" => match Address::parse(text) {
                Ok(_) => Ok(Self::ClickHouse(text.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            "memory" => Err("what lies in memory is known to its server alone; start that with MIRROR_URL, and it \
                             fills another place while it runs"
                .into()),
            // Never the rest, which may hold a password.
            scheme => Err(format!("there is no kind of place `{scheme}`; {}", Self::kinds())),
        }
    }
}

impl Place {
    fn kinds() -> String {
        "places are sqlite:DIR, postgres://user:password@host:5432/database, \
         clickhouse://user:password@host:8123/database and duckdb:///FILE"
            .to_owned()
    }

    /// Opens it to be followed.
    ///
    /// # Errors
    /// One sentence that says what cannot be opened and what to do.
    pub async fn open_store(&self, holder: &str) -> Result<Arc<dyn Store>> {
        match self {
            Self::Sqlite(folder) => Ok(open_sqlite(folder, holder, false)?),
            Self::Postgres(url) => Ok(open_postgres(url).await?),
            Self::ClickHouse(_) | Self::DuckDb(_) => {
                let context = format!("{self} is a mirror: it follows a store, and cannot be followed itself");
                Err(Error::new(ErrorKind::Unsupported, OPENING, context))
            }
        }
    }

    /// Opens it to follow a store; a data folder is made if it is not there.
    ///
    /// # Errors
    /// As above.
    pub async fn open_follower(&self, holder: &str) -> Result<Arc<dyn Follower>> {
        match self {
            Self::Sqlite(folder) => Ok(open_sqlite(folder, holder, true)?),
            Self::Postgres(url) => Ok(open_postgres(url).await?),
            Self::ClickHouse(url) => Ok(Arc::new(ClickHouseMirror::open(&Address::parse(url)?).await?)),
            Self::DuckDb(file) => duckdb::open_mirror(file).await,
        }
    }

    /// Opens what is there, to be read.
    ///
    /// # Errors
    /// As above; and where there is nothing.
    pub async fn open_existing(&self, holder: &str) -> Result<Arc<dyn Follower>> {
        match self {
            Self::Sqlite(folder) => Ok(open_sqlite(folder, holder, false)?),
            Self::DuckDb(file) if !file.exists() => {
                Err(Error::invalid(OPENING, format!("there is no {}; name the file of a mirror", file.display())))
            }
            Self::Postgres(_) | Self::ClickHouse(_) | Self::DuckDb(_) => self.open_follower(holder).await,
        }
    }
}

/// Without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(folder) => write!(f, "sqlite:{}", folder.display()),
            Self::DuckDb(file) => write!(f, "duckdb:{}", file.display()),
            Self::Postgres(url) | Self::ClickHouse(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// The path in `PATH` or `//PATH`.
fn path_of(rest: &str) -> Option<PathBuf> {
    Some(rest.strip_prefix("//").unwrap_or(rest)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// `scheme://host/rest`: who logs in, and the settings behind `?`, are nobody's business.
fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            // A password may hold an @, an address does not.
            let (login, address) = rest.rsplit_once('@').unwrap_or(("", rest));
            let user = login.split(':').next().unwrap_or_default();
            let at = if user.is_empty() { "" } else { "@" };
            format!("{scheme}://{user}{at}{address}")
        }
        None => url.to_owned(),
    }
}

fn open_sqlite(folder: &Path, holder: &str, make: bool) -> Result<Arc<SqliteStore>> {
    let database = folder.join("tallybook.db");
    if make {
        make_folder(folder)?;
    } else if !database.exists() {
        let context = format!("there is no {}; name the data folder of a Tallybook", database.display());
        return Err(Error::invalid(OPENING, context));
    }
    let options = SqliteOptions { lock_note: holder.to_owned(), ..SqliteOptions::default() };
    Ok(Arc::new(SqliteStore::open(&database, options)?))
}

async fn open_postgres(url: &str) -> Result<Arc<PostgresStore>> {
    Ok(Arc::new(PostgresStore::open(url, PostgresOptions::default()).await?))
}

/// Makes a data folder if it is not there.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let context = format!("the data folder {} cannot be made; choose another", folder.display());
        Error::new(ErrorKind::Unavailable, OPENING, context).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_its_address_and_shown_without_its_password() {
        let shown = |text: &str| text.parse::<Place>().map(|place| format!("{place}"));
        assert_eq!(shown("sqlite:./data").as_deref(), Ok("sqlite:./data"));
        assert_eq!(shown("sqlite:///var/lib/tallybook").as_deref(), Ok("sqlite:/var/lib/tallybook"));
        let url = "postgres://me:p@ss:w@db:5432/records?sslmode=require";
        assert_eq!(shown(url).as_deref(), Ok("postgres://me@db:5432/records"));
        assert_eq!(shown(&format!("postgres:{url}")).as_deref(), Ok("postgres://me@db:5432/records"));
        assert_eq!(shown("postgres://db/records").as_deref(), Ok("postgres://db/records"));
        assert_eq!(shown("clickhouse://me:p%40ss@mirror/d").as_deref(), Ok("clickhouse://me@mirror/d"));
        for text in ["data", "sqlite:", "mysql://u:secret@h/d", "postgres:db", "memory:"] {
            let error = shown(text).expect_err("no place");
            assert!(!error.contains("secret") && !error.is_empty(), "{error}");
        }
        assert!(!format!("{:?}", url.parse::<Place>()).contains("p@ss"));
    }

    #[test]
    fn a_duckdb_file_is_a_place_where_duckdb_was_compiled_in() {
        let shown = "duckdb:///var/lib/mirror.duckdb".parse::<Place>().map(|place| format!("{place}"));
        if cfg!(feature = "duckdb") {
            assert_eq!(shown.as_deref(), Ok("duckdb:/var/lib/mirror.duckdb"));
        } else {
            let error = shown.expect_err("DuckDB is not there");
            assert!(error.contains("compiled out") && error.contains("--features duckdb"), "{error}");
        }
        assert!("duckdb:".parse::<Place>().is_err());
    }
}
