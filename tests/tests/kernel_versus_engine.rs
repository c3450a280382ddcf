//! The loaded XDP program against the same source on the host, and against the engine, byte for byte:
//!
//! - verdict, reason and every byte of the frame are the same in the kernel and on the host;
//! - what is not answered is unchanged;
//! - what is answered, the engine in the same state answers with the same bytes;
//! - what the guard drops is no known client's, unless that client is blocked.
//!
//! Frames come from what real clients sent (`captures/`), mutated, truncated at every byte, tagged,
//! padded, with random MACs and addresses. A failure prints the seed and the frame. `XDHCPD_FRAMES` sets
//! how many there are; `XDHCPD_TEST_OBJECT` names another XDP program to hold against the host:
//! `cargo xtask mutants` gives faulty ones, which must be caught by fewer.

mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use dhcp_common::Reason;
use dhcp_common::fast::Scratch;
use dhcp_common::guard::{self, Asker, Class};
use dhcp_common::slot::Link;
use dhcp_common::wire::mac_bits;
use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::engine::{Commit, Engine, Interface, Outcome};
use dhcp_userspace::fastpath::{self, FastPath, Platform, host::HostEnv};
use dhcp_userspace::lease::table::Table;
use dhcp_userspace::net::frame::{Frame, parse};
use dhcp_userspace::net::link::{Framing, LinkAddress};

use common::mutate::mutate;
use common::random::Random;
use common::{captures, config, frame};
use xdhcpd_tests::Campaign;

/// Test runs want an interface of this namespace: lo.
const IFINDEX: u32 = 1;
const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const CLIENTS: u32 = 512;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// These need another CPU at the right moment, a frame without any room around it, or a kernel
/// that contradicts itself: loom, and the veth tests, are there for the first two.
const NOT_BY_TEST_RUN: [Reason; 3] = [Reason::Raced, Reason::NoRoom, Reason::Broken];

/// Frames after which the clients renew once more.
const LESSON: u64 = 5000;

const CONFIG: &str = "
subnets:
  - subnet: 10.77.0.0/20
    pools: [10.77.1.0-10.77.9.255]
    lease_time: 1h
    options: {routers: [10.77.0.1], domain-name-servers: [10.77.0.2, 10.77.0.3], domain-name: lab.example}
    reservations:
      - {mac: '52:54:00:00:00:05', address: 10.77.0.5, hostname: node005}
      - {mac: '52:54:00:00:00:06', address: 10.77.0.6, hostname: a-much-longer-name-of-node006, options: {ntp-servers: [10.77.0.9]}}
fast_path: {mode: generic, reserve: 1.6}
";

/// A client with a lease, and what it sends.
struct Client {
    renewal: Vec<u8>,
    /// DISCOVER and REQUEST of its next boot.
    boot: [Vec<u8>; 2],
}

struct Bench {
    fast_path: FastPath,
    table: Arc<Table>,
    engine: Engine,
    scratch: Box<Scratch>,
}

/// The lease time of all clients.
const LEASE: u64 = 3600 * SECOND;

/// Mutated frames. As many as the long form's take a quarter of an hour in a release build.
const SHORT: u64 = 500_000;
const LONG: u64 = 100_000_000;

/// Every other frame meets a guard that blocks one client in sixteen and lets no stranger pass.
const DUTY: u64 = guard::BLOCKS | guard::RATES;

#[test]
fn the_kernel_says_what_the_engine_says() -> Result<()> {
    common::root();
    let campaign = Campaign::from_env();
    let frames: u64 = common::env("XDHCPD_FRAMES", campaign.times(SHORT, LONG));
    let seed = campaign.seed;
    let mut random = Random::new(seed);
    let (mut bench, clients, _dirs) = Bench::new(&mut random)?;
    let captured = captures::all()?;
    let mut seen = BTreeSet::new();
    let (mut hits, mut boots) = (0u64, 0u64);
    let buckets = bench.table.meta().buckets.load();
    for number in 0..frames {
        if number % LESSON == 0 {
            bench.teach(&clients)?;
        }
        let mut frame = pick(&clients, &captured, number, &mut random);
        mutate(&mut frame, &mut random);
        let duty = if random.one_in(2) { DUTY } else { 0 };
        bench.table.meta().guard.duty.store(duty);
        let knows_boots = !random.one_in(16);
        let known = if knows_boots { buckets } else { 0 };
        bench.table.meta().buckets.store(known);
        let reason = bench.compare(&frame).with_context(|| {
            format!("XDHCPD_SEED={seed}, frame {number}: {}", frame::hex(&frame))
        })?;
        hits += u64::from(reason == Reason::Hit);
        boots += u64::from(reason == Reason::Boot);
        seen.insert(reason);
    }
    println!(
        "{frames} frames, {hits} renewals and {boots} boots answered, {} reasons: {seen:?}",
        seen.len()
    );
    for reason in Reason::ALL
        .iter()
        .filter(|reason| !NOT_BY_TEST_RUN.contains(reason))
    {
        ensure!(
            seen.contains(reason),
            "no frame of {frames} ended in {reason:?}"
        );
    }
    ensure!(
        hits > frames / 20 && boots > frames / 20,
        "only {hits} renewals and {boots} boots of {frames} frames were answered"
    );
    let checked = format!(
        "verdict and bytes of the kernel, the host and the engine; {hits} renewals and {boots} boots were answered, \
         by {} ways out",
        seen.len()
    );
    campaign.tell("mutated frame", frames, &checked, 0, "-");
    Ok(())
}

#[test]
fn truncated_at_every_byte() -> Result<()> {
    common::root();
    let (mut bench, clients, _dirs) = Bench::new(&mut Random::new(1))?;
    let captured = captures::all()?;
    let renewals = clients.iter().take(3).map(|client| &client.renewal);
    for whole in renewals.chain(captured.iter().map(|capture| &capture.frame)) {
        for len in 14..whole.len() {
            bench
                .compare(&whole[..len])
                .with_context(|| format!("cut at {len}"))?;
        }
    }
    Ok(())
}

impl Drop for Bench {
    /// Leaves no pins behind.
    fn drop(&mut self) {
        let _ = self.fast_path.detach();
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

impl Bench {
    fn new(random: &mut Random) -> Result<(Self, Vec<Client>, tempfile::TempDir)> {
        let dir = tempfile::tempdir()?;
        let config = Arc::new(config::load(dir.path(), CONFIG)?);
        let fast_path = fastpath::open_on(&config, &platform()?)?;
        ensure!(
            fast_path.is_kernel(),
            "no kernel program: {:?}",
            fast_path.why_off()
        );
        let table = fast_path.table();
        table.meta().ports[IFINDEX as usize].set(IFINDEX, 0x0200_0000_0001);
        let now = Now::read();
        let engine = Engine::new(Arc::clone(&config), Arc::clone(&table))?;
        engine.set_interfaces(
            vec![Interface {
                index: IFINDEX,
                name: "lo".to_owned(),
                mac: SERVER_MAC,
                mtu: 1500,
                addresses: vec!["10.77.0.1/20".parse()?],
            }],
            now,
        );
        let mut bench = Self {
            fast_path,
            table,
            engine,
            scratch: Box::default(),
        };
        let clients = bench.bind_all(random)?;
        bench.set_guard();
        Ok((bench, clients, dir))
    }

    /// The links of [`Self::bind_all`] are served, and no other.
    fn set_guard(&self) {
        let guard = self.table.guard();
        let link = |outer, inner| Link {
            ifindex: IFINDEX,
            outer,
            inner,
        };
        let links = [link(0, 0), link(100, 0), link(200, 300)].map(Link::pack);
        guard.serve(&links, &[SERVER.to_bits()]);
        self.engine
            .known(&mut |mac, _| guard.know(mac_bits(&mac, 0)));
        for number in (0..u64::from(CLIENTS)).step_by(16) {
            for link in links {
                guard.block(&asker(0x5254_0000_0000 | number, link), u64::MAX, 0);
            }
        }
        self.empty_buckets();
    }

    /// One request is more than any ingress is allowed in days. This takes it from all buckets, which
    /// links and relays share: whoever came first would otherwise pass in the kernel and not on the
    /// host.
    fn empty_buckets(&self) {
        let orders = &self.table.meta().guard;
        orders.interval.store(1 << 50);
        orders.until.store(u64::MAX);
        orders.duty.store(guard::RATES);
        for (link, class) in (0..1 << 16).flat_map(|n| [(n, Class::First), (n, Class::Again)]) {
            let stranger = Asker {
                class,
                ..asker(0, link)
            };
            let _ = guard::judge(&*self.table, orders, &stranger, Now::read().boot, true);
        }
        orders.duty.store(0);
    }

    /// Binds clients of every captured kind: most now, some long ago (lapsed), some so long ago that
    /// the promise does not reach for another lease time.
    fn bind_all(&mut self, random: &mut Random) -> Result<Vec<Client>> {
        let captured = captures::all()?;
        let renews = |client: &str| captures::renewal_of(&captured, client).is_ok();
        let kinds: Vec<_> = captured
            .iter()
            .filter(|capture| capture.name == "selecting" && renews(&capture.client))
            .collect();
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let kind = kinds[number as usize % kinds.len()];
            let renewing = captures::renewal_of(&captured, &kind.client)?;
            let age = match number % 16 {
                0 => 2 * 3600 * SECOND,
                1 => 50 * 60 * SECOND,
                _ => 0,
            };
            let mac = [0x52, 0x54, 0, 0, (number >> 8) as u8, number as u8];
            let tags = match number % 8 {
                6 => vec![(0x8100, 100)],
                7 => vec![(0x88a8, 200), (0x8100, 300)],
                _ => vec![],
            };
            // VLANs are not configured: these clients' frames differ by link only after binding.
            let address = self.bind(&kind.frame, mac, age)?;
            let boot = [
                frame::discover_of(&kind.frame, mac),
                frame::select(&kind.frame, mac, address, SERVER),
            ];
            let mut renewal = frame::retarget(renewing, mac, SERVER_MAC, address, SERVER);
            if random.one_in(16) {
                frame::broadcast(&mut renewal);
            }
            clients.push(Client {
                renewal: frame::tagged(&renewal, &tags),
                boot: boot.map(|message| frame::tagged(&message, &tags)),
            });
        }
        Ok(clients)
    }

    /// DISCOVER and REQUEST, as if `age` ago.
    fn bind(&mut self, selecting: &[u8], mac: [u8; 6], age: u64) -> Result<Ipv4Addr> {
        let now = Now::read();
        let now = Now {
            boot: now.boot.saturating_sub(age),
            unix: now.unix - age,
        };
        let discover = frame::discover_of(selecting, mac);
        let mut reply = Vec::new();
        let outcome = self.handle(&discover, now, &mut reply)?;
        ensure!(
            matches!(outcome, Outcome::Reply(_)),
            "no offer: {outcome:?}"
        );
        let offered = frame::yiaddr(&reply);
        let request = frame::select(selecting, mac, offered, SERVER);
        match self.handle(&request, now, &mut reply)? {
            Outcome::Commit(Commit { change, .. }) => self.engine.complete(&change, now),
            other => anyhow::bail!("no lease: {other:?}"),
        }
        Ok(offered)
    }

    /// The daemon hears the clients' own messages again: what is compared takes memos away, as of
    /// those that are heard on other links. Clients that are to be late stay so.
    fn teach(&mut self, clients: &[Client]) -> Result<()> {
        let now = Now::read();
        let mut reply = Vec::new();
        for (_, client) in clients.iter().enumerate().filter(|(at, _)| at % 16 > 1) {
            for message in client.boot.iter().chain([&client.renewal]) {
                if let Outcome::Commit(Commit { change, .. }) =
                    self.handle(message, now, &mut reply)?
                {
                    self.engine.complete(&change, now);
                }
            }
        }
        Ok(())
    }

    fn handle(&self, frame: &[u8], now: Now, reply: &mut Vec<u8>) -> Result<Outcome> {
        reply.clear();
        let frame = received(frame);
        let incoming = parse(&frame).ok().context("the daemon would not take it")?;
        Ok(self.engine.handle(now, &incoming, reply))
    }

    /// Kernel, host and engine on one frame; the reason that all agree on. They run one after the
    /// other: if a lease ended or a promise came to its end meanwhile, they are asked again.
    fn compare(&mut self, input: &[u8]) -> Result<Reason> {
        let from = Now::read().boot;
        match self.compare_once(input) {
            Err(_) if self.has_ended_since(from) => self.compare_once(input),
            result => result,
        }
    }

    fn has_ended_since(&self, from: u64) -> bool {
        let meanwhile = from..=Now::read().boot;
        let ended = |index: u32| {
            let lease = self.table.slot(index).lease();
            let ends = [lease.expires, lease.reserved_until.saturating_sub(LEASE)];
            ends.iter().any(|end| meanwhile.contains(end))
        };
        self.table.addresses().any(|(_, index)| ended(index))
    }

    fn compare_once(&mut self, input: &[u8]) -> Result<Reason> {
        let foretold = self.fast_path.explain(input, IFINDEX, None, Now::read())?;
        let (action, output) = self.fast_path.test_run(input, IFINDEX)?;
        let mut by_host = input.to_vec();
        let mut host = HostEnv {
            table: &self.table,
            frame: &mut by_host,
            ifindex: IFINDEX,
            now: Now::read().boot,
        };
        let reason = host.answer(&mut self.scratch);
        ensure!(
            foretold == reason,
            "explain says {foretold:?}, the host {reason:?}"
        );
        let want = match reason {
            Reason::Hit | Reason::Boot => XDP_TX,
            Reason::Blocked | Reason::Throttled => XDP_DROP,
            _ => XDP_PASS,
        };
        ensure!(
            action == want,
            "the kernel's action is {action}, the host says {reason:?}"
        );
        ensure!(
            output == by_host,
            "{reason:?}: kernel {}, host {}",
            frame::hex(&output),
            frame::hex(&by_host)
        );
        if !reason.is_answer() {
            ensure!(
                output == input,
                "{reason:?}, but the frame was changed: {}",
                frame::hex(&output)
            );
            return self.dropped_rightly(input, reason).map(|()| reason);
        }
        let mut reply = Vec::new();
        let outcome = self.handle(input, Now::read(), &mut reply)?;
        ensure!(
            matches!(outcome, Outcome::Reply(_)),
            "the engine would not: {outcome:?}"
        );
        ensure!(
            output == reply,
            "kernel {}, engine {}",
            frame::hex(&output),
            frame::hex(&reply)
        );
        Ok(reason)
    }
}

impl Bench {
    fn dropped_rightly(&self, input: &[u8], reason: Reason) -> Result<()> {
        let frame = received(input);
        if reason != Reason::Throttled {
            return Ok(());
        }
        let incoming = parse(&frame).ok().context("the daemon would not take it")?;
        let mac = incoming.payload.get(28..34).context("a chaddr")?;
        if incoming.payload[1..3] != [1, 6] {
            // Not a MAC, so nobody's that is known.
            return Ok(());
        }
        ensure!(
            !self.engine.is_known(mac.try_into()?),
            "a known client is throttled"
        );
        Ok(())
    }
}

/// A client that sends as itself.
fn asker(mac: u64, ingress: u64) -> Asker {
    Asker {
        mac,
        ingress,
        source: mac,
        class: Class::First,
        foreign: false,
        selects: false,
    }
}

/// A frame as a worker gets it.
fn received(bytes: &[u8]) -> Frame<'_> {
    Frame {
        bytes,
        ifindex: IFINDEX,
        verify_udp: false,
        framing: Framing::Ethernet,
        from: LinkAddress::default(),
        arrived: 0,
    }
}

/// A frame to start from: mostly a renewal or a boot, now and then something else that a client sent.
fn pick(
    clients: &[Client],
    captured: &[captures::Capture],
    number: u64,
    random: &mut Random,
) -> Vec<u8> {
    if number % 8 == 7 {
        return captured[random.below(captured.len())].frame.clone();
    }
    let client = &clients[random.below(clients.len())];
    match number % 3 {
        0 => client.boot[random.below(2)].clone(),
        _ => client.renewal.clone(),
    }
}
