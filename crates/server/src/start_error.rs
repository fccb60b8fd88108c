//! Why a server did not start, in one sentence that names the setting.

use std::io;
use std::net::SocketAddr;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong; the text says which, and what to do.
    #[error("{0}")]
    Setting(String),
    /// Another program listens there.
    #[error("{address} is in use by another program: stop it, or set {setting} to another address")]
    PortInUse {
        /// The setting that gives the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The setting that gives the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn listen(setting: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { setting, address },
            _ => Self::Listen { setting, address, source },
        }
    }
}
