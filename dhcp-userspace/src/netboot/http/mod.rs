//! The HTTP service: GET and HEAD of files, with ranges and conditions, by hyper. No directory is
//! listed, and nothing is served in its place.

mod answer;
mod kind;
mod range;
mod version;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::books::Connection;
use super::shared::Shared;

/// For a request's head, and between two requests.
const IDLE: Duration = Duration::from_secs(15);
/// A client that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(60);
/// What waits to be sent, beside the kernel's own buffer.
const BUFFER: usize = 64 << 10;

/// Answers connections for ever.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let client = SocketAddr::new(client.ip().to_canonical(), client.port());
                if let Some(connection) = shared.books.connect(client) {
                    tokio::spawn(serve_one(stream, client, Arc::clone(&shared), connection));
                }
            }
            // Out of file descriptors: give those who hold them a moment.
            Err(error) => {
                tracing::warn!(%error, "HTTP");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(
    stream: TcpStream,
    client: SocketAddr,
    shared: Arc<Shared>,
    connection: Connection,
) {
    let options = socket2::SockRef::from(&stream);
    let set = options
        .set_tcp_user_timeout(Some(STALLED))
        .and(stream.set_nodelay(true));
    if let Err(error) = set {
        tracing::debug!(%client, %error, "socket options");
    }
    if let Err(error) = converse(stream, &shared, &connection).await {
        tracing::debug!(%client, %error, "HTTP");
    }
}

/// Answers one request after the other.
///
/// # Errors
/// If the client says what is no HTTP, says nothing for too long, or goes.
pub async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
    connection: &Connection,
) -> hyper::Result<()> {
    let service = service_fn(async |request| {
        Ok::<_, Infallible>(answer::answer(shared, connection, &request).await)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
