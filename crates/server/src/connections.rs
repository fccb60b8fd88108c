//! One port: accepts connections up to a limit, serves them, and closes them in order.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::Limits;
use crate::lingering::{Lingering, Patience};

/// The pause after an accept failed for want of file handles or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// HTTP/2 credit: a batch of a thousand records fits without a round trip in between.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// A client that does not answer a ping in time is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 without TLS, as gRPC has it.
    Http2,
}

/// Serves until `stop` is cancelled; then lets running requests finish for the stop limit. Says how many connections were
/// cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    protocol: Protocol,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let graceful = GracefulShutdown::new();
    let abort = CancellationToken::new();
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let connection = Connection { stream, protocol, router: router.clone(), limits };
                let (watcher, stop, abort) = (graceful.watcher(), stop.clone(), abort.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection.serve(watcher, stop) => {}
                        () = abort.cancelled() => {}
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(limits.stop_limit, graceful.shutdown()).await.is_ok() {
        return 0;
    }
    let left = limits.max_connections - slots.available_permits();
    abort.cancel();
    left
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    router: Router,
    limits: Limits,
}

impl Connection {
    /// Serves until the client leaves or the port closes. What goes wrong with a connection is the client's affair.
    async fn serve(self, watcher: Watcher, stop: CancellationToken) {
        let Self { stream, protocol, router, limits } = self;
        // Answers are small and must not wait for more to send.
        let _ = stream.set_nodelay(true);
        // Who connects and says nothing must neither keep a slot nor hold up the end.
        let mut first = [0];
        tokio::select! {
            first_byte = timeout(limits.header_read_timeout, stream.peek(&mut first)) => match first_byte {
                Ok(Ok(1)) => {}
                _ => return,
            },
            () = stop.cancelled() => return,
        }
        let io = TokioIo::new(stream);
        let served = match protocol {
            Protocol::Http1 => {
                let patience = Patience { limit: limits.body_read_timeout, stop };
                let service = service_fn(move |request| router.clone().call(Lingering::request(request, &patience)));
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.header_read_timeout)
                    .serve_connection(io, service);
                pin!(watcher.watch(connection)).await
            }
            Protocol::Http2 => {
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .max_concurrent_streams(limits.max_concurrent_streams)
                    .keep_alive_interval(PING_INTERVAL)
                    .keep_alive_timeout(PING_TIMEOUT)
                    .serve_connection(io, TowerToHyperService::new(router));
                pin!(watcher.watch(connection)).await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
