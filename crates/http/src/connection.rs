//! One connection: HTTP/1, bounded headers, and an end at which the client can still read its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Bytes thrown away at a time after the last answer.
const LINGER_BUFFER_BYTES: usize = 64 << 10;

/// Who is at the other end of a request's connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// Our end, as the client reached it.
    pub local: SocketAddr,
}

/// How connections are told to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stops {
    /// Take no new request.
    pub graceful: CancellationToken,
    /// Drop everything.
    pub now: CancellationToken,
}

/// Serves the requests of `stream`, one after the other, until it ends.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    config: Config,
    stops: Stops,
) {
    let Ok(local) = stream.local_addr() else { return };
    let peer = Peer { address, local };
    let answered = tokio::select! {
        biased;
        () = stops.now.cancelled() => None,
        stream = answer_all(stream, peer, router, config, stops.graceful) => stream,
    };
    if let Some(stream) = answered {
        tokio::select! {
            biased;
            () = stops.now.cancelled() => {}
            () = linger(stream, Duration::from_millis(config.linger_ms)) => {}
        }
    }
}

/// Answers requests; gives the stream back unless it is of no more use.
async fn answer_all(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    config: Config,
    graceful: CancellationToken,
) -> Option<TcpStream> {
    let address = peer.address;
    let routes = TowerToHyperService::new(router);
    // Boxed, so that it may be moved and the connection taken apart at its end.
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let answer = routes.call(request);
        let answer: Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>> = Box::pin(answer);
        answer
    });
    let mut connection = builder(&config).serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = graceful.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    if let Err(error) = &ended {
        tracing::debug!(%address, "a connection ended with an error: {error}");
    }
    Some(connection.into_parts().io.into_inner())
}

fn builder(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.headers_timeout_ms))
        .max_headers(config.headers_max)
        .max_header_size(config.headers_bytes_max);
    builder
}

/// Says that nothing more comes, and throws away what the client still sends for a while: closing a socket with unread
/// bytes would reset the connection, and the client might never see its answer.
async fn linger(mut stream: TcpStream, duration: Duration) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = vec![0; LINGER_BUFFER_BYTES];
    let drained = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    // Not in time: closed all the same.
    _ = tokio::time::timeout(duration, drained).await;
}
