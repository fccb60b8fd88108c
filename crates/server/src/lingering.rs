//! A request's body that its reader may leave before the end: the rest is read and dropped, so that the client comes to read
//! the answer.
//!
//! A connection that closes while the client still sends resets it, and the client finds a broken pipe where the answer
//! ("too large", "no such path") would have told it what to do. RFC 9112, section 9.6, asks servers to close in steps.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, header};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the rest of a body may take, and what ends that earlier.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    pub(crate) stop: CancellationToken,
}

/// A body whose rest is read when it is dropped.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// Nothing once the end was reached.
    body: Option<Incoming>,
    patience: Patience,
}

impl Lingering {
    /// The same request. A client that waits to be told whether to send its body needs nobody who reads it.
    pub(crate) fn request(request: Request<Incoming>, patience: &Patience) -> Request<axum::body::Body> {
        if request.headers().contains_key(header::EXPECT) || request.body().is_end_stream() {
            return request.map(axum::body::Body::new);
        }
        request.map(|body| axum::body::Body::new(Self { body: Some(body), patience: patience.clone() }))
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let Patience { limit, stop } = self.patience.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = timeout(limit, read_to_end(body)) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn read_to_end(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
