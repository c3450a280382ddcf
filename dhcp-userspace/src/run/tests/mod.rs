//! The whole daemon in this process, without signals, on a veth pair in a namespace of its own.

mod explain;
mod leases;
mod links;
mod netboot;
mod packets;
mod reload;
mod transact;
mod wait;

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::answer::answer;
use super::shared::Shared;
use super::start::{Daemon, Ground};
use crate::config::{self, Config};
use crate::control::protocol::Request;
use crate::net::link::Framing;
use crate::net::tests::{frame, mac, wire};
use crate::net::{Nic, port67, receive, socket};

const SERVER: [u8; 4] = [10, 0, 0, 1];

const CONFIG: &str = "
server: {state_dir: DIR/state, control_socket: DIR/control.sock, workers: 2}
fast_path: {mode: \"off\"}
subnets:
  - subnet: 10.0.0.0/24
    pools: [10.0.0.100-10.0.0.109]
    authoritative: true
    lease_time: 1h
";

/// A running daemon and the far end of its wire.
struct Lab {
    directory: tempfile::TempDir,
    daemon: Option<Daemon>,
    shared: Arc<Shared>,
    client: Nic,
    ear: crate::net::Socket,
}

impl Lab {
    fn start(client: Nic) -> Self {
        Self::start_with(client, CONFIG)
    }

    fn start_with(client: Nic, config: &str) -> Self {
        Self::start_changed(client, config, |_| {})
    }

    /// With a configuration that is changed once it is read.
    fn start_changed(client: Nic, config: &str, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ear = reply_socket(&client);
        let path = write(&directory, config);
        let mut config = config::load(&path).unwrap();
        change(&mut config);
        let (daemon, shared) = start_as(&path, config);
        Self {
            directory,
            daemon: Some(daemon),
            shared,
            client,
            ear,
        }
    }

    fn restart(&mut self) {
        self.daemon.take().unwrap().stop().unwrap();
        let path = self.directory.path().join("dhcp.yaml");
        let (daemon, shared) = start(&path);
        (self.daemon, self.shared) = (Some(daemon), shared);
    }

    /// Sends a message and waits for the answer.
    fn ask(&self, message: &Message) -> Answer {
        wire::put(&self.client, [message.frame()]);
        self.hear()
    }

    fn hear(&self) -> Answer {
        Answer::of(&self.hear_frame())
    }

    fn hear_frame(&self) -> Vec<u8> {
        let mut batch = receive::Batch::default();
        loop {
            wire::wait_readable(&self.ear);
            // One at a time: the batch is of this call.
            if batch.receive_one(&self.ear).unwrap() != 0 {
                return batch.frame(0).unwrap().bytes.to_vec();
            }
        }
    }

    /// DISCOVER to ACK; gives the address.
    fn bind(&self, client: u32) -> [u8; 4] {
        let offer = self.ask(&Message::new(client, 1));
        assert_eq!(offer.kind(), 2);
        let mut select = Message::new(client, 3);
        select.options.insert(50, offer.yiaddr.to_vec());
        select.options.insert(54, SERVER.to_vec());
        let ack = self.ask(&select);
        assert_eq!((ack.kind(), ack.yiaddr), (5, offer.yiaddr));
        ack.yiaddr
    }

    fn control(&self, request: Request) -> (Vec<Value>, Value) {
        let mut items = Vec::new();
        let done = answer(&self.shared, request, &mut |item| {
            items.push(item);
            true
        });
        (items, done.unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().unwrap();
        }
    }
}

fn write(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("dhcp.yaml");
    let directory = directory.path().to_str().unwrap();
    std::fs::write(&path, text.replace("DIR", directory)).unwrap();
    path
}

fn start(path: &std::path::Path) -> (Daemon, Arc<Shared>) {
    start_as(path, config::load(path).unwrap())
}

fn start_as(path: &std::path::Path, config: Config) -> (Daemon, Arc<Shared>) {
    let ground = Ground::take(&config).unwrap();
    Daemon::start(path, &Arc::new(config), port67::take().unwrap(), ground).unwrap()
}

/// A socket that takes replies to any client: the filter for requests for another port, and
/// without its beginning, which leaves out frames to other MACs.
fn reply_socket(nic: &Nic) -> crate::net::Socket {
    let socket = socket::open(nic, &[], 1).unwrap().remove(0);
    let mut filter = crate::net::filter::requests(Framing::Ethernet).split_off(3);
    for op in &mut filter {
        if op.k == 67 {
            op.k = 68;
        }
    }
    socket::attach_filter(socket.as_raw_fd(), &filter).unwrap();
    socket
}

/// A DHCP message of a client.
struct Message {
    client: u32,
    xid: u32,
    ciaddr: [u8; 4],
    destination: [u8; 4],
    options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    fn new(client: u32, kind: u8) -> Self {
        Self {
            client,
            xid: 0x7d0c_0001,
            ciaddr: [0; 4],
            destination: [255; 4],
            options: BTreeMap::from([(53, vec![kind]), (55, vec![1, 3, 51])]),
        }
    }

    fn renewal(client: u32, address: [u8; 4]) -> Self {
        Self {
            ciaddr: address,
            destination: SERVER,
            ..Self::new(client, 3)
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut bootp = vec![0; 240];
        bootp[..3].copy_from_slice(&[1, 1, 6]);
        bootp[4..8].copy_from_slice(&self.xid.to_be_bytes());
        bootp[12..16].copy_from_slice(&self.ciaddr);
        bootp[28..34].copy_from_slice(&mac(self.client));
        bootp[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for (code, data) in &self.options {
            bootp.extend([*code, data.len() as u8]);
            bootp.extend(data);
        }
        bootp.push(255);
        frame(mac(self.client), [self.ciaddr, self.destination], &bootp)
    }
}

struct Answer {
    yiaddr: [u8; 4],
    options: BTreeMap<u8, Vec<u8>>,
}

impl Answer {
    fn of(frame: &[u8]) -> Self {
        let payload = &frame[42..];
        let mut rest = &payload[240..];
        let mut options = BTreeMap::new();
        while let [code @ 1..=254, len, data @ ..] = rest {
            let (data, behind) = data.split_at(usize::from(*len));
            options.insert(*code, data.to_vec());
            rest = behind;
        }
        Self {
            yiaddr: payload[16..20].try_into().unwrap(),
            options,
        }
    }

    fn kind(&self) -> u8 {
        self.options[&53][0]
    }
}
