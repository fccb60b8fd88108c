//! The one error of this crate: why a target cannot be probed at all. A probe that is lost is no error but a ping.

use std::io;
use std::sync::Arc;

/// Why nothing can be probed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// The text names no target.
    #[error("{text:?} is no target: {why}")]
    Target {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A setting is outside its limits.
    #[error("{0}")]
    Setting(String),
    /// This process may open neither kind of ICMP socket.
    #[error(
        "this process may not send ICMP; allow it with `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"` or \
         `setcap cap_net_raw+ep` on the program, or probe a TCP port or a URL instead"
    )]
    NotPermitted,
    /// The machine lacks what such a probe needs.
    #[error("{what} is not available on this machine ({source})")]
    Unavailable {
        /// What is missing.
        what: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
}
