//! ICMP echo: one socket per address family for all probes, whose answers a thread of its own takes. What the runtime is
//! busy with therefore adds nothing to a latency.

mod packet;
mod pinger;
mod socket;
mod waiting;

pub(crate) use packet::Family;
pub(crate) use pinger::{Answer, Pinger};
