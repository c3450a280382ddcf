//! The server under test, its clients, and what each may be answered.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dhcp_userspace::clock::Now;
use dhcp_userspace::config::Config;
use dhcp_userspace::config::model::{Mac, Times};
use dhcp_userspace::engine::{Binding, Commit, Engine, Interface, Outcome};
use dhcp_userspace::fastpath::{self, FastPath, Platform};
use dhcp_userspace::lease::table::{Size, Table};
use dhcp_userspace::net::frame::{Frame, parse};
use dhcp_userspace::net::link::{Framing, LinkAddress};

use crate::common::config;
use crate::common::message::{DECLINE, DISCOVER, Message, RELEASE, REQUEST};

/// Test runs want an interface of this namespace: lo.
pub const IFINDEX: u32 = 1;
const SERVER_MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const ADDRESSES: usize = 64;
pub const CLIENTS: usize = 96;
/// Configurations that reloads go through.
pub const VARIANTS: u64 = 3;

/// An address by its number.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 1, number as u8)
}

/// The number of an address.
pub fn number(address: Ipv4Addr) -> usize {
    usize::from(address.octets()[3])
}

pub fn mac(client: usize) -> Mac {
    [0x52, 0x54, 0, 0, 0, client as u8]
}

pub fn client(mac: Mac) -> usize {
    usize::from(mac[5])
}

/// A configuration in which the answer to every client differs from those of the others. What is served
/// for so short a time can only be written by a test.
fn variant(dir: &std::path::Path, variant: u64) -> Result<Config> {
    let host = |client: usize| {
        let [.., last] = mac(client);
        let server = 10 + client % 5;
        format!(
            "      - {{mac: '52:54:00:00:00:{last:02x}', hostname: node{client}, \
             options: {{ntp-servers: [10.77.0.{server}]}}}}\n"
        )
    };
    let hosts: String = (0..CLIENTS).map(host).collect();
    let text = format!(
        "subnets:\n  - subnet: 10.77.0.0/20\n    pools: [10.77.1.0-10.77.1.63]\n    \
         options: {{routers: [10.77.0.1], domain-name: v{variant}.example}}\n    \
         reservations:\n{hosts}fast_path: {{mode: generic, reserve: 1.6}}\n"
    );
    let mut config = config::load(dir, &text)?;
    let lease = Duration::from_secs(if variant == 2 { 2 } else { 1 });
    for subnet in &mut config.subnets {
        subnet.times = Times::of(lease);
        subnet.lease_bounds = (lease, lease);
    }
    config.server.decline_hold = Duration::from_secs(1);
    config.server.offer_hold = Duration::from_secs(1);
    Ok(config)
}

/// What a client sends. Every other one has a client identifier.
fn message(kind: u8, client: usize) -> Message {
    let mut message = Message::new(kind, mac(client), client as u32);
    message.to_mac = SERVER_MAC;
    message
}

fn with_options(message: Message, client: usize) -> Message {
    let message = message.with(55, &[1, 3, 12, 15, 42, 51]);
    if client.is_multiple_of(2) {
        return message;
    }
    message.with(61, &[&[1][..], &mac(client)].concat())
}

pub fn discover(client: usize) -> Vec<u8> {
    with_options(message(DISCOVER, client), client).frame()
}

pub fn selecting(client: usize, address: Ipv4Addr) -> Vec<u8> {
    let request = message(REQUEST, client);
    let request = request.with(50, &address.octets());
    with_options(request.with(54, &SERVER.octets()), client).frame()
}

fn from(mut message: Message, address: Ipv4Addr) -> Message {
    (message.ciaddr, message.source, message.destination) = (address, address, SERVER);
    message
}

pub fn renewing(client: usize, address: Ipv4Addr) -> Vec<u8> {
    with_options(from(message(REQUEST, client), address), client).frame()
}

pub fn release(client: usize, address: Ipv4Addr) -> Vec<u8> {
    from(message(RELEASE, client), address).frame()
}

pub fn decline(client: usize, address: Ipv4Addr) -> Vec<u8> {
    let message = message(DECLINE, client);
    message.with(50, &address.octets()).frame()
}

/// A frame as a worker gets it.
pub fn handle(engine: &Engine, frame: &[u8], now: Now, reply: &mut Vec<u8>) -> Result<Outcome> {
    let frame = Frame {
        bytes: frame,
        ifindex: IFINDEX,
        verify_udp: false,
        framing: Framing::Ethernet,
        from: LinkAddress::default(),
        arrived: 0,
    };
    let incoming = parse(&frame).ok().context("the daemon would not take it")?;
    Ok(engine.handle(now, &incoming, reply))
}

fn engine(config: &Arc<Config>, table: Arc<Table>) -> Result<Engine> {
    let engine = Engine::new(Arc::clone(config), table)?;
    let lo = Interface {
        index: IFINDEX,
        name: "lo".to_owned(),
        mac: SERVER_MAC,
        mtu: 1500,
        addresses: vec!["10.77.0.1/20".parse()?],
    };
    engine.set_interfaces(vec![lo], Now::read());
    engine.restore([], Now::read());
    engine.set_secret([7; 32]);
    Ok(engine)
}

pub struct Site {
    pub fast_path: FastPath,
    pub table: Arc<Table>,
    pub engine: Engine,
    pub configs: Vec<Arc<Config>>,
    /// Reloads that have begun, and that are done: which configurations may be in force.
    pub begun: AtomicU64,
    pub done: AtomicU64,
    oracles: Vec<Oracle>,
    _dir: tempfile::TempDir,
}

impl Drop for Site {
    /// Leaves no pins behind.
    fn drop(&mut self) {
        let _ = self.fast_path.detach();
    }
}

impl Site {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let configs: Vec<_> = (0..VARIANTS)
            .map(|number| variant(dir.path(), number).map(Arc::new))
            .collect::<Result<_>>()?;
        let fast_path = fastpath::open_on(&configs[0], &platform()?)?;
        let why = fast_path.why_off();
        ensure!(fast_path.is_kernel(), "no kernel program: {why:?}");
        let table = fast_path.table();
        table.meta().ports[IFINDEX as usize].set(IFINDEX, 0x0200_0000_0001);
        Ok(Self {
            engine: engine(&configs[0], Arc::clone(&table))?,
            oracles: configs.iter().map(Oracle::new).collect::<Result<_>>()?,
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            fast_path,
            table,
            configs,
            _dir: dir,
        })
    }

    /// The configurations that were in force at some time since `done` was read: their numbers.
    pub fn variants_since(&self, done: u64) -> impl Iterator<Item = usize> {
        let begun = self.begun.load(Ordering::SeqCst);
        (done..=begun.min(done + VARIANTS - 1)).map(|reload| (reload % VARIANTS) as usize)
    }

    /// Holds a reply against what any configuration since `done` gives this client here; tells for how
    /// long the lease is.
    pub fn check(&self, done: u64, client: usize, number: usize, reply: &[u8]) -> Result<u64> {
        let mut variants = self.variants_since(done).peekable();
        let first = variants.peek().copied().unwrap_or(0);
        for variant in variants {
            if *self.oracles[variant].renewal(client, number)? == *reply {
                return Ok(self.configs[variant].subnets[0].times.lease.as_nanos() as u64);
            }
        }
        let expected = self.oracles[first].renewal(client, number)?;
        bail!(
            "client {client} on address {number} got {}, not {}",
            crate::common::frame::hex(reply),
            crate::common::frame::hex(&expected)
        )
    }
}

/// This machine, with the program that the environment names or the built one.
fn platform() -> Result<Platform> {
    let mut platform = Platform::current();
    if let Some(path) = std::env::var_os("XDHCPD_TEST_OBJECT") {
        platform.object = Some(std::fs::read(&path)?.leak());
    }
    Ok(platform)
}

type Replies = HashMap<(usize, usize), Arc<[u8]>>;

/// An engine with one client at a time: what it answers is what the client may get.
struct Oracle {
    engine: Engine,
    replies: Mutex<Replies>,
}

impl Oracle {
    fn new(config: &Arc<Config>) -> Result<Self> {
        let table = Table::anonymous(Size::for_addresses(16, 1))?;
        Ok(Self {
            engine: engine(config, Arc::new(table))?,
            replies: Mutex::default(),
        })
    }

    fn renewal(&self, client: usize, number: usize) -> Result<Arc<[u8]>> {
        let replies = self.replies.lock();
        let mut replies = replies.unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = replies.get(&(client, number)) {
            return Ok(Arc::clone(reply));
        }
        let reply: Arc<[u8]> = self.ask(client, number)?.into();
        replies.insert((client, number), Arc::clone(&reply));
        Ok(reply)
    }

    fn ask(&self, client: usize, number: usize) -> Result<Vec<u8>> {
        let (engine, address, now) = (&self.engine, address(number), Now::read());
        let binding = Binding {
            address,
            mac: mac(client),
            expires: u64::MAX / 2,
            since: now.unix,
            client_id: Vec::new(),
            hostname: Vec::new(),
            relay_agent: Vec::new(),
        };
        let done = |commit: Commit| engine.complete(&commit.change, now);
        done(engine.force_bind(binding, now)?);
        let mut reply = Vec::new();
        match handle(engine, &renewing(client, address), now, &mut reply)? {
            Outcome::Reply(_) => {}
            Outcome::Commit(commit) => done(commit),
            other => bail!("the oracle says {other:?}"),
        }
        done(engine.force_release(address, None, now)?);
        Ok(reply)
    }
}
