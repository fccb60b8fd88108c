//! The settings of a server: every address and limit has a name, and its unit in it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tallybook_mirror::Mirror;
use tallybook_runner::Artifacts;

use crate::{Commands, Doctor, StartError};

/// Where a server listens, who may use it, and how much it takes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where OTLP/gRPC is received (`OTLP_GRPC_ADDR`). Port 0 picks a free one.
    pub otlp_grpc_addr: SocketAddr,
    /// Where OTLP/HTTP is received (`OTLP_HTTP_ADDR`). Port 0 picks a free one.
    pub otlp_http_addr: SocketAddr,
    /// Where the JSON API answers (`API_ADDR`). Port 0 picks a free one.
    pub api_addr: SocketAddr,
    /// What every request has to show, on all three ports (`API_TOKEN`). Needed where an address is not loopback.
    pub api_token: Option<Token>,
    /// The origins whose web pages may send OTLP/HTTP, such as `https://shop.example`. None by default.
    pub otlp_cors_origins: Vec<String>,
    /// Whether the configured targets are probed by this server. Servers that share a store each probe a share of them.
    pub probe_targets: bool,
    /// Tallybook's own database, where the store is SQLite: it may be read with SQL, where there is a token.
    pub own_database: Option<PathBuf>,
    /// The folder of SQLite databases that are used over HTTP, where there is a token.
    pub databases: Option<PathBuf>,
    /// Who answers `GET /api/v1/doctor`.
    pub doctor: Option<Arc<dyn Doctor>>,
    /// Where contents of artifacts are kept; without it, none are.
    pub artifacts: Option<Artifacts>,
    /// Starts commands over HTTP, where there is a token.
    pub commands: Option<Arc<dyn Commands>>,
    /// What follows the store, where anything does: its state is told, and it takes orders.
    pub mirror: Option<Mirror>,
    /// How much is taken.
    pub limits: Limits,
}

/// How much a server takes, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of an OTLP request as it arrives.
    pub max_request_bytes: usize,
    /// Bytes of an OTLP request once it is decompressed. Decompression stops there.
    pub max_decompressed_bytes: usize,
    /// Bytes of all OTLP requests that are being received and decompressed; more is refused with 429 or
    /// RESOURCE_EXHAUSTED. Never less than the largest request needs by itself.
    pub max_inflight_bytes: usize,
    /// Bytes of a body that is sent to the API where it brings no records.
    pub max_api_body_bytes: u64,
    /// Connections per port; more wait to be accepted.
    pub max_connections: usize,
    /// Requests at a time on one gRPC connection.
    pub max_concurrent_streams: u32,
    /// How long a client may take to send its headers; and how long an idle HTTP/1 connection is kept.
    pub header_read_timeout: Duration,
    /// How long a client may take to send its body.
    pub body_read_timeout: Duration,
    /// How long running requests may go on after the server was told to stop.
    pub stop_limit: Duration,
}

/// A secret that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A secret of printable ASCII without blanks, as it stands in a header.
    ///
    /// # Errors
    /// When it is empty or has other characters.
    pub fn new(secret: impl Into<String>) -> Result<Self, StartError> {
        let secret = secret.into();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "API_TOKEN must consist of printable ASCII characters without blanks, and not be empty";
            return Err(StartError::Setting(message.to_owned()));
        }
        Ok(Self(secret))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Default for Options {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            otlp_grpc_addr: loopback(4317),
            otlp_http_addr: loopback(4318),
            api_addr: loopback(8090),
            api_token: None,
            otlp_cors_origins: Vec::new(),
            probe_targets: true,
            own_database: None,
            databases: None,
            doctor: None,
            artifacts: None,
            commands: None,
            mirror: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_bytes: 64 << 20,
            max_decompressed_bytes: 64 << 20,
            max_inflight_bytes: 256 << 20,
            max_api_body_bytes: 64 << 10,
            max_connections: 1024,
            max_concurrent_streams: 256,
            header_read_timeout: Duration::from_secs(90),
            body_read_timeout: Duration::from_secs(60),
            stop_limit: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// [`Limits::max_inflight_bytes`], or what the largest request needs before and after it is decompressed.
    pub(crate) fn inflight_bytes(&self) -> usize {
        // One byte more is read to see that a request goes on.
        let largest = self.max_request_bytes.saturating_add(self.max_decompressed_bytes).saturating_add(1);
        self.max_inflight_bytes.max(largest)
    }
}

impl Options {
    /// The addresses with the names of their settings.
    pub(crate) fn addresses(&self) -> [(&'static str, SocketAddr); 3] {
        [("OTLP_GRPC_ADDR", self.otlp_grpc_addr), ("OTLP_HTTP_ADDR", self.otlp_http_addr), ("API_ADDR", self.api_addr)]
    }

    /// Checks what does not need a port.
    ///
    /// # Errors
    /// When an address can be reached from other machines and there is no token, or an origin is not one.
    pub fn validate(&self) -> Result<(), StartError> {
        for (setting, address) in self.addresses() {
            if !address.ip().is_loopback() && self.api_token.is_none() {
                return Err(StartError::Setting(format!(
                    "{setting} is {address}, which other machines can reach: set API_TOKEN, or use a loopback address"
                )));
            }
        }
        for origin in &self.otlp_cors_origins {
            if !origin.contains("://") || http::HeaderValue::from_str(origin).is_err() {
                return Err(StartError::Setting(format!("`{origin}` is not an origin such as https://shop.example")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_needs_a_token() {
        let mut options = Options { otlp_http_addr: "0.0.0.0:4318".parse().unwrap(), ..Options::default() };
        let message = options.validate().unwrap_err().to_string();
        assert!(message.contains("OTLP_HTTP_ADDR") && message.contains("API_TOKEN"), "{message}");
        options.api_token = Some(Token::new("secret").unwrap());
        options.validate().unwrap();
    }

    #[test]
    fn a_token_is_not_shown_and_fits_a_header() {
        let token = Token::new("s3cret").unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
        assert!(Token::new("").is_err());
        assert!(Token::new("two words").is_err());
        assert!(Token::new("naïve").is_err());
    }

    #[test]
    fn the_largest_request_always_fits_the_limit_of_all_requests() {
        let large = Limits { max_request_bytes: 100, max_decompressed_bytes: 900, ..Limits::default() };
        assert_eq!(Limits { max_inflight_bytes: 500, ..large }.inflight_bytes(), 1001);
        assert_eq!(Limits { max_inflight_bytes: 5000, ..large }.inflight_bytes(), 5000);
    }

    #[test]
    fn what_is_not_an_origin_is_refused() {
        let options = Options { otlp_cors_origins: vec!["*".to_owned()], ..Options::default() };
        assert!(options.validate().is_err());
    }
}
