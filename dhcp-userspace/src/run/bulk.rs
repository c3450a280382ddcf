//! Bulk lease queries over TCP (RFC 6926): a few relays, for a bounded time each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::wire::SERVER_PORT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::shared::Shared;
use crate::clock::Now;
use crate::control::Metrics;
use crate::engine::bulk::{self, Bulk, BulkStatus};
use crate::engine::{EventKind, Ignored};

/// Connections at once (`BULK_LQ_MAX_CONNS` of RFC 6926 section 6.3).
const CONNECTIONS: usize = 10;
/// How long one side waits for the other (`BULK_LQ_DATA_TIMEOUT`).
const PATIENCE: Duration = Duration::from_secs(300);
/// Who connects has something to ask.
const FIRST_QUERY: Duration = Duration::from_secs(10);
/// The longest query that is read.
const MAX_QUERY: usize = 4096;
/// Leases looked up before other connections have their turn.
const AT_ONCE: usize = 256;
/// Walks over all clients at once: ten relays that ask without end leave all but one core to clients.
const WALKS: usize = 1;

/// Takes the port on all addresses.
///
/// # Errors
/// If another process has it, or this one may not.
pub async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, SERVER_PORT)).await
}

/// Answers queries for ever.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let walks = Arc::new(Semaphore::new(WALKS));
    loop {
        match listener.accept().await {
            // Only who may ask takes one of the few connections.
            Ok((_, peer)) if !is_allowed(&shared, peer) => {
                shared.core.metrics.ignore(Ignored::QueryDenied);
            }
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&free).try_acquire_owned() else {
                    shared.core.metrics.ignore(Ignored::Overload);
                    continue;
                };
                let (shared, walks) = (Arc::clone(&shared), Arc::clone(&walks));
                tokio::spawn(async move {
                    // An error says that the other side went away or is silent.
                    let _ = connection(stream, peer, &shared, &walks).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "bulk lease queries");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    walks: &Semaphore,
) -> io::Result<()> {
    let server = match stream.local_addr()?.ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => return Ok(()),
    };
    let mut patience = FIRST_QUERY;
    loop {
        let query = timeout(patience, read(&mut stream)).await??;
        patience = PATIENCE;
        let xid = bulk::xid_of(&query);
        let found = match is_allowed(shared, peer) {
            true => {
                let _turn = walks.acquire().await.map_err(io::Error::other)?;
                look_up(shared, query, server).await?
            }
            false => Err(BulkStatus::NotAllowed),
        };
        count(&shared.core.metrics, &found);
        match found {
            Ok(found) => tell(&mut stream, shared, &found).await?,
            Err(status) => {
                write(&mut stream, &framed(&bulk::done(xid, server, Some(status)))).await?;
                return Ok(());
            }
        }
    }
}

fn is_allowed(shared: &Shared, peer: SocketAddr) -> bool {
    let config = shared.config.load();
    let IpAddr::V4(peer) = peer.ip() else {
        return false;
    };
    config
        .leasequery
        .allowed
        .iter()
        .any(|net| net.contains(&peer))
}

fn count(metrics: &Metrics, found: &Result<Bulk, BulkStatus>) {
    match found {
        Ok(_) => metrics.event(EventKind::LeaseQuery),
        Err(BulkStatus::NotAllowed) => metrics.ignore(Ignored::QueryDenied),
        Err(_) => metrics.ignore(Ignored::Malformed),
    }
}

/// A walk over all clients takes its time: not on the thread of all connections.
async fn look_up(
    shared: &Arc<Shared>,
    query: Vec<u8>,
    server: Ipv4Addr,
) -> io::Result<Result<Bulk, BulkStatus>> {
    let shared = Arc::clone(shared);
    let look = move || shared.core.engine.bulk_query(Now::read(), &query, server);
    tokio::task::spawn_blocking(look)
        .await
        .map_err(io::Error::other)
}

async fn tell(stream: &mut TcpStream, shared: &Shared, found: &Bulk) -> io::Result<()> {
    for addresses in found.addresses.chunks(AT_ONCE) {
        let now = Now::read();
        let engine = &shared.core.engine;
        let messages = addresses
            .iter()
            .filter_map(|at| engine.bulk_answer(now, found, *at));
        let bytes: Vec<u8> = messages.flat_map(|message| framed(&message)).collect();
        write(stream, &bytes).await?;
    }
    write(stream, &framed(&found.done())).await
}

/// A message behind its length (RFC 6926 section 6.1).
fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend(message);
    bytes
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let len = usize::from(stream.read_u16().await?);
    if len > MAX_QUERY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes)).await?
}
