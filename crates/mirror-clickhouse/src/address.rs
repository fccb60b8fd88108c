//! Where the mirror is: `clickhouse://user:password@host:8123/database?cluster=…`.

use std::fmt;

use tallybook_core::{Error, Result};
use url::Url;

const OPENING: &str = "opening the ClickHouse mirror";
const DEFAULT_DATABASE: &str = "tallybook";

/// An address that was read from its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `http://host:8123`, as the driver wants it.
    pub(crate) endpoint: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    /// The tables are replicated and distributed over these servers.
    pub(crate) cluster: Option<String>,
    pub(crate) compressed: bool,
}

impl Address {
    /// Reads `clickhouse://user:password@host:8123/database`. Behind `?`: `cluster` (the name of one the server knows),
    /// `secure=true` (TLS, port 8443), `compression=none`.
    ///
    /// # Errors
    /// `Invalid`, without quoting the password.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |what: String| Error::invalid(OPENING, what);
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "clickhouse").ok_or_else(|| {
            wrong("the URL is none; it looks like clickhouse://user:password@host:8123/database".to_owned())
        })?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("the URL names no host".to_owned()))?;
        let (mut cluster, mut secure, mut compressed) = (None, false, true);
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("cluster", name) => cluster = Some(identifier("cluster", name)?),
                ("secure", "true") => secure = true,
                ("secure", "false") => secure = false,
                ("compression", "lz4") => compressed = true,
                ("compression", "none") => compressed = false,
                (name, _) => {
                    let known = "cluster=NAME, secure=true|false and compression=lz4|none";
                    return Err(wrong(format!("`{name}` is not understood; behind the ? there may be {known}")));
                }
            }
        }
        let port = url.port().unwrap_or(if secure { 8443 } else { 8123 });
        let database = url.path().trim_matches('/');
        let database = identifier("database", if database.is_empty() { DEFAULT_DATABASE } else { database })?;
        let decoded = |text: &str| percent_decoded(text).ok_or_else(|| wrong("the login is not UTF-8".to_owned()));
        let user = decoded(if url.username().is_empty() { "default" } else { url.username() })?;
        Ok(Self {
            endpoint: format!("{}://{host}:{port}", if secure { "https" } else { "http" }),
            user,
            password: decoded(url.password().unwrap_or_default())?,
            database,
            cluster,
            compressed,
        })
    }

    /// `host:8123/database`.
    pub(crate) fn place(&self) -> String {
        let endpoint = self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, rest)| rest);
        format!("{endpoint}/{}", self.database)
    }
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}@{})", self.user, self.place())
    }
}

/// A name that needs no quotes, so that it can stand in any statement.
fn identifier(what: &str, name: &str) -> Result<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let fits = name.chars().all(plain) && name.starts_with(|first: char| !first.is_ascii_digit());
    if name.is_empty() || !fits {
        let context = format!("the {what} must be named with letters, digits and _, and not begin with a digit");
        return Err(Error::invalid(OPENING, context));
    }
    Ok(name.to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_defaults() {
        let address =
            Address::parse("clickhouse://me:p%40ss@mirror:9000/records?cluster=both&compression=none").unwrap();
        assert_eq!((address.endpoint.as_str(), address.user.as_str()), ("http://mirror:9000", "me"));
        assert_eq!((address.password.as_str(), address.cluster.as_deref()), ("p@ss", Some("both")));
        assert!(!address.compressed);
        let address = Address::parse("clickhouse://mirror?secure=true").unwrap();
        assert_eq!((address.endpoint.as_str(), address.database.as_str()), ("https://mirror:8443", "tallybook"));
        assert_eq!(address.user, "default");
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn a_name_that_could_be_sql_is_refused() {
        for url in ["clickhouse://h/a;b", "clickhouse://h/1a", "clickhouse://h/d?cluster=a'b", "clickhouse://h/d?x=1"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        assert!(Address::parse("http://h/d").is_err());
    }
}
