//! The one state behind both ports.

use std::sync::Arc;

use ::http::HeaderMap;
use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use tallybook_core::{Signal, Timestamp};
use tallybook_telemetry::json;
use tallybook_writer::{Observed, Writer};

use super::body::{self, BodyLimits};
use super::buffer::{Budget, Buffer};
use super::failure::{Failure, FailureKind};
use super::inflate::{Encoding, inflate};
use crate::counters::{Counters, Transport};
use crate::{Limits, Token};

/// JSON longer than this is read on a thread that may block: about two milliseconds of work.
const TRANSCODE_INLINE_MAX_BYTES: usize = 256 << 10;

/// Takes OTLP requests, however they came.
#[derive(Clone, Debug)]
pub(crate) struct Receiver(Arc<State>);

#[derive(Debug)]
struct State {
    writer: Writer,
    token: Option<Token>,
    limits: Limits,
    budget: Arc<Budget>,
    counters: Counters,
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

/// One request, as it arrived.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) transport: Transport,
    pub(crate) signal: Signal,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) body: Buffer,
}

impl Receiver {
    pub(crate) fn new(writer: Writer, token: Option<Token>, limits: Limits, counters: Counters) -> Self {
        let budget = Budget::new(limits.inflight_bytes());
        Self(Arc::new(State { writer, token, limits, budget, counters }))
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.0.token.as_ref()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn max_request_bytes(&self) -> usize {
        self.0.limits.max_request_bytes
    }

    /// Collects a body of `max_bytes` at the most, see [`body::collect`].
    ///
    /// # Errors
    /// When it is too large or too slow.
    pub(crate) async fn collect(
        &self,
        body: Body,
        announced: impl Fn(&[u8]) -> Option<usize>,
        max_bytes: usize,
    ) -> Result<Buffer, Failure> {
        let limits = BodyLimits { max_bytes, read_timeout: self.0.limits.body_read_timeout };
        body::collect(body, announced, limits, &self.0.budget).await
    }

    /// Collects and decompresses the body of a request that is not OTLP.
    ///
    /// # Errors
    /// When it is too large or too slow, or cannot be decompressed.
    pub(crate) async fn body(&self, request: Request) -> Result<Buffer, Failure> {
        let encoding = Encoding::parse(request.headers().get(CONTENT_ENCODING))?;
        let length = content_length(request.headers());
        let body = self.collect(request.into_body(), |_| length, self.max_request_bytes()).await?;
        inflate(encoding, body, self.0.limits.max_decompressed_bytes).await
    }

    /// Decompresses a request, reads it and brings it to the store.
    ///
    /// # Errors
    /// When it cannot be read, or there is no room for it.
    pub(crate) async fn receive(&self, export: Export) -> Result<Observed, Failure> {
        let received = Timestamp::now();
        let State { writer, limits, counters, .. } = &*self.0;
        let Export { transport, signal, format, encoding, body } = export;
        counters.received(transport, signal, body.len());
        let request = inflate(encoding, body, limits.max_decompressed_bytes).await?;
        counters.decompressed(transport, signal, request.len());
        let request = match format {
            // Nothing is the empty request in protobuf, and some clients send it as JSON, too.
            _ if request.len() == 0 => return Ok(Observed { records: 0, rejected: 0, message: None }),
            Format::Protobuf => request.into_shared(),
            Format::Json => transcode(signal, request).await?,
        };
        Ok(writer.telemetry(signal, request, received).await?)
    }
}

/// The length of the body that its sender announces.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn transcode(signal: Signal, request: Buffer) -> Result<Bytes, Failure> {
    let long = request.len() > TRANSCODE_INLINE_MAX_BYTES;
    let work = move || {
        let protobuf = json::transcode(signal, request.as_ref())
            .map_err(|error| Failure::new(FailureKind::Undecodable, error.to_string()))?;
        Ok(request.replaced_by(protobuf)?.into_shared())
    };
    if !long {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?
}
