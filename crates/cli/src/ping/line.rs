//! A ping as one line of JSON.

use serde_json::{Value, json};
use tallybook_core::Ping;

/// The ping as JSON; what is not known of it is left out.
pub(crate) fn to_json(ping: &Ping) -> Value {
    let Ping { target, time, latency, success, ttl, packet_size, sequence, jitter, error } = ping;
    let mut value = json!({
        "target": target,
        "timestamp": time,
        "latency_ms": latency.map(milliseconds),
        "success": success,
        "ttl": ttl,
        "packet_size": packet_size,
        "sequence": sequence,
        "jitter_ms": jitter.map(milliseconds),
        "error": error,
    });
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// Nanoseconds as milliseconds.
pub(crate) fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}
