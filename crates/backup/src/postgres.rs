//! The same for PostgreSQL: `pg_dump` and `pg_restore`, under the same manifest.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use percent_encoding::percent_decode_str;
use tallybook_core::Timestamp;
use tallybook_sqlite::ErrorKind;
use url::Url;

use crate::manifest::{Entry, Kind, Manifest};
use crate::restore::Restored;
use crate::take::{TakeOptions, finish};
use crate::target::{Found, Target};
use crate::{Error, Result, files};

const DUMP: &str = "postgres.dump";
/// Debian keeps these programs out of the path.
const INSTALLED: &str = "/usr/lib/postgresql";

/// Backs up the database at `url`, as it is at one moment, while others write to it.
///
/// # Errors
/// Nothing has the backup's name then. `Statement` where `pg_dump` is not installed or refuses.
pub fn take_postgres(url: &str, target: &Target, options: &TakeOptions) -> Result<Found> {
    let (time, begun) = (Timestamp::now(), Instant::now());
    let address = Address::new(url)?;
    let unfinished = target.begin(time)?;
    let to = unfinished.path.join(DUMP);
    let file = format!("--file={}", to.display());
    address.run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", &file, &address.url])?;
    // Reads its table of contents: a dump that was cut off has none.
    address.run("pg_restore", ["--list", &to.display().to_string()])?;
    fs::File::open(&to).and_then(|file| file.sync_all()).map_err(Error::io(&to, "put on disk"))?;
    let sum = files::sum(&to, false)?;
    let entry = Entry { stored_bytes: sum.bytes, ..Entry::new(DUMP, Kind::PostgresDump, sum) };
    finish(unfinished, target, &options.keep, &Manifest::new(time, begun, vec![entry]))
}

/// Puts a backup back into the database at `url`, all of it or nothing.
///
/// # Errors
/// `Statement` when there are tables already: a restore overwrites nothing. `Corrupt` when the backup is not what it was.
pub fn restore_postgres(found: &Found, url: &str) -> Result<Restored> {
    let address = Address::new(url)?;
    let manifest = found.verify()?;
    let entry = manifest.files.iter().find(|entry| entry.kind == Kind::PostgresDump).ok_or_else(|| {
        Error::new(ErrorKind::Statement, format!("{} is none of PostgreSQL; restore it with USE_DB=sqlite", found.name))
    })?;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let counted =
        address.run("psql", ["--no-psqlrc", "--tuples-only", "--no-align", "--command", tables, &address.url])?;
    if String::from_utf8_lossy(&counted.stdout).trim() != "0" {
        let context = "the database has tables already, and a restore overwrites nothing; name an empty one";
        return Err(Error::new(ErrorKind::Statement, context));
    }
    let file = found.path.join(entry.stored_path());
    let database = format!("--dbname={}", address.url);
    let arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", &database];
    address.run("pg_restore", arguments.into_iter().chain([&*file.display().to_string()]))?;
    Ok(Restored { files: 1, bytes: entry.bytes })
}

/// Where a database is, with the password apart: whoever lists processes sees their arguments.
struct Address {
    url: String,
    password: Option<String>,
}

impl Address {
    fn new(url: &str) -> Result<Self> {
        let refused =
            |_| Error::new(ErrorKind::Statement, "DATABASE_URL is no URL such as postgres://user@host/database");
        let mut url = Url::parse(url).map_err(refused)?;
        let mut password = url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
        // Only a URL that has no host refuses, and it has no password either.
        let _ = url.set_password(None);
        let settings: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if let Some((_, set)) = settings.iter().find(|(name, _)| name == "password") {
            password = Some(set.clone());
            let others = settings.iter().filter(|(name, _)| name != "password");
            url.query_pairs_mut().clear().extend_pairs(others);
        }
        Ok(Self { url: url.into(), password })
    }

    fn run<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        let mut command = Command::new(installed(program));
        command.args(arguments).stdin(Stdio::null());
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        let output = command.output().map_err(|error| {
            let context = format!("{program} cannot be started: {error}; install the client programs of PostgreSQL");
            Error::new(ErrorKind::Statement, context)
        })?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(ErrorKind::Statement, format!("{program} failed: {}", said.trim().replace('\n', "; "))))
    }
}

/// The newest one that is installed, or else the one in the path.
fn installed(program: &str) -> PathBuf {
    let version = |path: &Path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    let folders = fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = folders.filter(|path| path.join("bin").join(program).exists()).max_by_key(|path| version(path));
    newest.map_or_else(|| program.into(), |path| path.join("bin").join(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_part_of_the_arguments_wherever_it_stands() {
        let address = |url| Address::new(url).expect("a URL");
        let plain = address("postgres://me@db:5432/records?sslmode=require");
        assert_eq!((&*plain.url, plain.password), ("postgres://me@db:5432/records?sslmode=require", None));
        for url in [
            "postgres://me:p%40ss@db/records?sslmode=require",
            "postgres://me@db/records?password=p%40ss&sslmode=require",
        ] {
            let Address { url, password } = address(url);
            assert_eq!((&*url, password.as_deref()), ("postgres://me@db/records?sslmode=require", Some("p@ss")));
        }
    }
}
