//! Asks hosts whether they answer, and how fast: ICMP echo, TCP connect and HTTP GET, each probe one
//! [`tallybook_core::Ping`].
//!
//! A [`Prober`] sends single probes; a [`Daemon`] probes many targets for ever, each at its own pace. Both only measure:
//! whoever holds them stores what they tell.

mod daemon;
mod error;
mod http;
mod icmp;
mod pace;
mod prober;
mod resolver;
mod series;
mod target;

pub use daemon::{Daemon, TargetConfig, TargetState};
pub use error::ProbeError;
pub use pace::MAX_PAUSE;
pub use prober::{MAX_PACKET_SIZE, MIN_PACKET_SIZE, ProbeOptions, Prober};
pub use series::Series;
pub use target::{Host, Kind, Target};
