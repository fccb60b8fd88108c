//! What is probed, read from text: `host`, `icmp://host`, `tcp://host:port`, `http://…` or `https://…`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use tallybook_core::Ping;
use url::Url;

use crate::ProbeError;

/// A host name or an address.
pub type Host = url::Host<String>;

/// The longest host name that DNS can carry, in bytes.
const MAX_HOST_BYTES: usize = 253;
/// The longest part of a host name between two dots, in bytes.
const MAX_LABEL_BYTES: usize = 63;
/// How much of a bad text its error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// Something that can be probed. Equal targets have equal names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: Arc<str>,
    kind: Kind,
}

/// How a target is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By an ICMP echo request.
    Icmp {
        /// Whom it is sent to.
        host: Host,
    },
    /// By opening a TCP connection.
    Tcp {
        /// Whom to connect to.
        host: Host,
        /// The port, never 0.
        port: u16,
    },
    /// By a GET request, each over a connection of its own; redirects are not followed.
    Http {
        /// What is asked for.
        url: Url,
    },
}

impl Target {
    /// The target of this kind.
    ///
    /// # Errors
    /// [`ProbeError::Target`] when no such host or port can exist.
    pub fn new(kind: &Kind) -> Result<Self, ProbeError> {
        kind.name().parse()
    }

    /// The name its pings are recorded under; read as a target, it gives this one.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How it is probed.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The host that is to answer.
    pub(crate) fn host(&self) -> url::Host<&str> {
        match &self.kind {
            Kind::Icmp { host } | Kind::Tcp { host, .. } => match host {
                Host::Domain(name) => url::Host::Domain(name),
                Host::Ipv4(address) => url::Host::Ipv4(*address),
                Host::Ipv6(address) => url::Host::Ipv6(*address),
            },
            Kind::Http { url } => url.host().expect("a URL without a host was refused when it was read"),
        }
    }
}

impl Kind {
    fn name(&self) -> String {
        match self {
            Self::Icmp { host: Host::Ipv6(address) } => address.to_string(),
            Self::Icmp { host } => host.to_string(),
            Self::Tcp { host, port } => format!("tcp://{host}:{port}"),
            Self::Http { url } => url.to_string(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl FromStr for Target {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        let refused = |why| ProbeError::Target { text: text.chars().take(MAX_SHOWN_CHARS).collect(), why };
        let kind = read_kind(text).map_err(refused)?;
        let name = kind.name();
        if name.len() > Ping::MAX_TARGET_BYTES {
            return Err(refused("it is longer than 1,024 bytes"));
        }
        Ok(Self { name: name.into(), kind })
    }
}

fn read_kind(text: &str) -> Result<Kind, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > Ping::MAX_TARGET_BYTES {
        return Err("it is longer than 1,024 bytes");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it holds white space or control characters");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return read_bare(text) };
    match scheme.to_ascii_lowercase().as_str() {
        "icmp" => read_bare(rest),
        "tcp" => read_tcp(rest),
        "http" | "https" => read_http(text),
        _ => Err("its scheme is none of icmp, tcp, http and https"),
    }
}

fn read_bare(text: &str) -> Result<Kind, &'static str> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if bracketed.is_none() && text.contains(':') && text.parse::<IpAddr>().is_err() {
        return Err("ICMP knows no ports; for a TCP port write tcp://HOST:PORT");
    }
    Ok(Kind::Icmp { host: read_host(bracketed.unwrap_or(text))? })
}

fn read_tcp(text: &str) -> Result<Kind, &'static str> {
    const PORT: &str = "it needs a port from 1 to 65535, such as tcp://example.com:443";
    let (host, port) = text.rsplit_once(':').ok_or(PORT)?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or("a bracket of its address is missing")?,
        None if host.contains(':') => return Err("an IPv6 address stands in brackets, such as tcp://[::1]:443"),
        None => host,
    };
    // `parse` would take a sign.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|&port| digits && port != 0).ok_or(PORT)?;
    Ok(Kind::Tcp { host: read_host(host)?, port })
}

fn read_http(text: &str) -> Result<Kind, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "it is no valid URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password would be recorded with every ping; leave them out");
    }
    if url.port() == Some(0) {
        return Err("port 0 does not exist");
    }
    check_host(&url.host().ok_or("it names no host")?)?;
    url.set_fragment(None);
    Ok(Kind::Http { url })
}

fn read_host(text: &str) -> Result<Host, &'static str> {
    let host = match text.parse() {
        Ok(IpAddr::V4(address)) => Host::Ipv4(address),
        Ok(IpAddr::V6(address)) => Host::Ipv6(address),
        Err(_) => Host::parse(text).map_err(|_| "it holds no valid host name or address")?,
    };
    check_host(&host)?;
    Ok(host)
}

fn check_host<S: AsRef<str>>(host: &url::Host<S>) -> Result<(), &'static str> {
    let nobody = match host {
        url::Host::Domain(name) => return check_name(name.as_ref()),
        url::Host::Ipv4(address) => address.is_multicast() || address.is_broadcast() || address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_multicast() || address.is_unspecified(),
    };
    if nobody { Err("its address is not that of one host") } else { Ok(()) }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() <= MAX_HOST_BYTES && name.split('.').all(label) {
        return Ok(());
    }
    Err("it holds no valid host name or address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_in_one_way_and_its_name_reads_as_itself() {
        let cases = [
            ("example.com", "example.com"),
            ("icmp://Example.COM", "example.com"),
            ("1.1.1.1", "1.1.1.1"),
            ("127.1", "127.0.0.1"),
            ("::1", "::1"),
            ("icmp://[2001:DB8::0:1]", "2001:db8::1"),
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("_srv.example.com.", "_srv.example.com."),
            ("tcp://example.com:443", "tcp://example.com:443"),
            ("TCP://[::1]:22", "tcp://[::1]:22"),
            ("https://example.com", "https://example.com/"),
            ("http://[::1]:8080/health?deep=1#top", "http://[::1]:8080/health?deep=1"),
        ];
        for (text, name) in cases {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), name, "{text}");
            assert_eq!(name.parse::<Target>().unwrap(), target, "{text}");
            assert_eq!(Target::new(target.kind()).unwrap(), target, "{text}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_with_what_is_wrong() {
        let long_name = format!("{}.example", "a".repeat(64));
        let many_labels = "a.".repeat(127) + "example";
        let too_long = format!("http://example.com/{}", "x".repeat(1_024));
        // Every space of the path would take three bytes, if it were let in; every `ä` does.
        let long_once_encoded = format!("http://example.com/{}", "ä".repeat(400));
        let cases = [
            ("", "empty"),
            (" example.com", "white space"),
            ("a\nb", "white space"),
            ("exam\0ple", "control"),
            ("http://example.com/\t", "white space"),
            ("-rf", "no valid host"),
            ("a..b", "no valid host"),
            ("../../etc/passwd", "no valid host"),
            ("'; DROP TABLE ping; --", "white space"),
            ("';DROP", "no valid host"),
            ("$(reboot)", "no valid host"),
            ("1.2.3.4.5", "no valid host"),
            ("999.1.1.1", "no valid host"),
            ("fe80::1%eth0", "tcp://HOST:PORT"),
            ("example.com:80", "tcp://HOST:PORT"),
            ("icmp://", "no valid host"),
            (long_name.as_str(), "no valid host"),
            (many_labels.as_str(), "no valid host"),
            ("0.0.0.0", "one host"),
            ("255.255.255.255", "one host"),
            ("ff02::1", "one host"),
            ("tcp://example.com", "needs a port"),
            ("tcp://example.com:0", "needs a port"),
            ("tcp://example.com:+80", "needs a port"),
            ("tcp://example.com:65536", "needs a port"),
            ("tcp://::1:80", "brackets"),
            ("tcp://[::1:80", "bracket"),
            ("tcp://:80", "no valid host"),
            ("http://", "no valid URL"),
            ("http://user:secret@example.com/", "password"),
            ("http://example.com:0/", "port 0"),
            ("http://224.0.0.1/", "one host"),
            (too_long.as_str(), "1,024"),
            (long_once_encoded.as_str(), "1,024"),
            ("ftp://example.com", "scheme"),
            ("file:///etc/passwd", "scheme"),
        ];
        for (text, why) in cases {
            let error = text.parse::<Target>().map(|target| target.to_string()).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(error.len() < 250 && !error.contains(['\n', '\0']), "{error}");
        }
    }
}
