//! The body of a request, collected into one piece of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::buffer::{Budget, Buffer};
use super::failure::{Failure, FailureKind};

/// Room is made for this much of an announced length; for the rest, what has arrived must vouch.
const ANNOUNCED_MAX_BYTES: usize = 1 << 20;

/// How much a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) max_bytes: usize,
    pub(crate) read_timeout: Duration,
}

/// Reads `body` to its end. `announced` tells its length from what has arrived, as soon as it can be told.
///
/// # Errors
/// When it is larger or slower than allowed, or the client leaves.
pub(crate) async fn collect(
    body: Body,
    announced: impl Fn(&[u8]) -> Option<usize>,
    limits: BodyLimits,
    budget: &Arc<Budget>,
) -> Result<Buffer, Failure> {
    match timeout(limits.read_timeout, read(body, announced, limits.max_bytes, budget)).await {
        Ok(read) => read,
        Err(_) => Err(Failure::new(
            FailureKind::TooSlow,
            format!("the request took longer than {} s to arrive", limits.read_timeout.as_secs()),
        )),
    }
}

async fn read(
    mut body: Body,
    announced: impl Fn(&[u8]) -> Option<usize>,
    max_bytes: usize,
    budget: &Arc<Budget>,
) -> Result<Buffer, Failure> {
    let mut buffer = Buffer::new(budget);
    let mut is_announced = false;
    loop {
        if !is_announced && let Some(length) = announced(buffer.as_ref()) {
            if length > max_bytes {
                return Err(too_large(max_bytes));
            }
            buffer.reserve(length.min(ANNOUNCED_MAX_BYTES).saturating_sub(buffer.len()))?;
            is_announced = true;
        }
        let Some(frame) = body.frame().await else {
            return Ok(buffer);
        };
        let broken = |error| Failure::new(FailureKind::Undecodable, format!("the request broke off: {error}"));
        // Trailers say nothing to a receiver.
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            if buffer.len() + data.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            buffer.extend(&data)?;
        }
    }
}

fn too_large(max_bytes: usize) -> Failure {
    Failure::new(FailureKind::TooLarge, format!("the request is larger than {max_bytes} bytes; send smaller batches"))
}
