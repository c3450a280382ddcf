//! Connections of HTTP clients, in memory: what they send, cut where the input says, and all that
//! they are answered.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use dhcp_userspace::netboot::http::converse;
use dhcp_userspace::netboot::shared::Shared;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::input::parts;
use crate::tree;

/// What the connection holds in each direction.
const ROOM: usize = 64 << 10;

pub fn run(data: &[u8]) {
    runtime().block_on(talk(data));
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime")
    })
}

async fn talk(data: &[u8]) {
    let shared = shared();
    let client = SocketAddr::from(([10, 0, 0, 9], 1234));
    let connection = shared.books.connect(client).expect("nobody else is here");
    let (ours, theirs) = duplex(ROOM);
    let server = converse(theirs, shared, &connection);
    // What is no HTTP ends in an error.
    let (_, answer) = tokio::join!(server, ask(ours, data));
    let secret = tree::SECRET.as_bytes();
    let is_told = answer.windows(secret.len()).any(|window| window == secret);
    assert!(!is_told, "{}", data.escape_ascii());
    if !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
    }
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let shared = Shared::default();
        shared.books.set_max(64);
        shared.set_root(tree::root().clone());
        shared
    })
}

/// What ends most connections; the others end when the server waits for more than comes.
const LAST: &[u8] = b"\r\n\r\nGET /a.efi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const PATIENCE: Duration = Duration::from_millis(20);

/// Sends part by part, and reads to the end. Whoever ended its half at once would hear nothing.
async fn ask(stream: DuplexStream, data: &[u8]) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        for part in parts(data).chain([LAST]) {
            if write.write_all(part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        write
    };
    let mut answer = Vec::new();
    let receive =
        async { while let Ok(Ok(1..)) = timeout(PATIENCE, read.read_buf(&mut answer)).await {} };
    // What was not taken is not sent any more once nothing is answered.
    tokio::select! {
        biased;
        () = receive => {}
        () = async { let _write = send.await; std::future::pending().await } => {}
    }
    answer
}
