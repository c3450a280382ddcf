//! What an answer costs in the kernel, by BPF_PROG_TEST_RUN, and what the table costs the daemon.
//! `cargo xtask bench` builds and runs it as root.
//!
//! Every run of the measured program first makes the frame a fresh request of a random client; what
//! that costs is measured by a program that does nothing else, and subtracted. The bare limit, a
//! program that swaps the MAC addresses and sends the frame back, runs in the same rounds.

#[path = "../tests/common/captures.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod captures;
#[path = "../tests/common/frame.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod frame;

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod, VerifierLogLevel};
use dhcp_common::Reason;
use dhcp_common::guard::LINES;
use dhcp_common::layout::bench::{ANSWER, BASE, FRAME, MAP, Plan, SWAP};
use dhcp_common::layout::{ROOT_LEN, map};
use dhcp_common::memo;
use dhcp_common::slot::{Kind, Lease, Link, Splice};
use dhcp_common::template::{FIXED, Facts, MAX_BODY};
use dhcp_common::wire::{BOOTP_HEAD, MAGIC_COOKIE, Sum};
use dhcp_userspace::lease::memory::Memory;
use dhcp_userspace::lease::table::{Parts, Size, Table};
use dhcp_userspace::lease::templates::Content;

const ROUNDS: usize = 7;
const RUNS: u32 = 500_000;
const CLIENTS: [u32; 4] = [1, 1 << 10, 1 << 20, 1 << 24];
const IFINDEX: u32 = 1;
const OUR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const LONG: u64 = u64::MAX / 2;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct PodPlan(Plan);

// SAFETY: integers and bytes without padding, repr(C).
unsafe impl Pod for PodPlan {}

fn main() -> Result<()> {
    let object = std::env::args()
        .nth(1)
        .context("the path of xdhcpd-bench.bpf.o")?;
    let object = std::fs::read(&object).with_context(|| object)?;
    println!("minimum (median) of {ROUNDS} rounds of {RUNS} runs, ns per frame, one CPU\n");
    println!(
        "{:>9}  {:>10}  {:>11}  {:>11}  {:>16}",
        "clients", "MAC swap", "request", "with answer", "answer alone"
    );
    for clients in CLIENTS {
        let mut bench = Bench::new(&object, clients)?;
        println!("{}", bench.round()?);
    }
    println!(
        "\nverified instructions: {} (the measured program)",
        verified(&object)?
    );
    table(1 << 20)
}

struct Bench {
    ebpf: Ebpf,
    clients: u32,
    request: Vec<u8>,
}

impl Bench {
    fn new(object: &[u8], clients: u32) -> Result<Self> {
        let blocks = clients.div_ceil(256);
        let size = Size::for_addresses(blocks, blocks.div_ceil(256));
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(map::BLOCKS, size.pages * 256)
            .map_max_entries(map::SLOTS, size.slots())
            .map_max_entries(map::TAILS, size.slots())
            .map_max_entries(map::TEMPLATES, size.templates)
            .load(object)?;
        let table = Table::new(parts(&ebpf, size)?, size);
        let request = request()?;
        fill(&table, &request, clients)?;
        let mut plan = Plan {
            first_address: FIRST.to_bits(),
            client_mask: clients - 1,
            ip_sum: ip_sum(&request),
            number_at: 0,
            answer_op: 0,
            frame: [0; FRAME],
        };
        plan.frame.copy_from_slice(&request);
        let map = ebpf.map_mut(MAP).context("the plan's map")?;
        Array::try_from(map)?.set(0, PodPlan(plan), 0)?;
        for name in [SWAP, BASE, ANSWER] {
            xdp(&mut ebpf, name)?.load()?;
        }
        Ok(Self {
            ebpf,
            clients,
            request,
        })
    }

    /// One line of the table: all three programs in turn, round by round.
    fn round(&mut self) -> Result<String> {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (name, times) in [SWAP, BASE, ANSWER].iter().zip(&mut times) {
                times.push(self.run(name)?);
            }
        }
        self.all_were_hits()?;
        let [swap, base, answer] = times.map(|mut times| {
            times.sort_unstable();
            (times[0].as_nanos(), times[ROUNDS / 2].as_nanos())
        });
        let (least, median) = (answer.0 - base.0, answer.1 - base.1);
        Ok(format!(
            "{:>9}  {:>4} ({:>3})  {:>5} ({:>3})  {:>5} ({:>3})  {:>10} ({:>3})",
            self.clients, swap.0, swap.1, base.0, base.1, answer.0, answer.1, least, median
        ))
    }

    fn run(&mut self, name: &str) -> Result<Duration> {
        let mut out = vec![0; 4096];
        let options = TestRunOptions {
            data_in: Some(&self.request),
            data_out: Some(&mut out),
            repeat: RUNS,
            ..TestRunOptions::default()
        };
        Ok(xdp(&mut self.ebpf, name)?.test_run(options)?.duration)
    }

    fn all_were_hits(&self) -> Result<()> {
        let counters = self.ebpf.map(map::COUNTERS).context("counters")?;
        let counters: PerCpuArray<_, u64> = PerCpuArray::try_from(counters)?;
        for reason in Reason::ALL {
            let count: u64 = counters.get(&(*reason as u32), 0)?.iter().sum();
            let want = if *reason == Reason::Hit {
                u64::from(RUNS) * ROUNDS as u64
            } else {
                0
            };
            ensure!(count == want, "{count} runs ended in {}", reason.label());
        }
        Ok(())
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?
        .try_into()?)
}

fn verified(object: &[u8]) -> Result<u32> {
    let mut ebpf = EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .load(object)?;
    let program = xdp(&mut ebpf, ANSWER)?;
    program.load()?;
    program
        .info()?
        .verified_instruction_count()
        .context("the kernel does not tell")
}

fn parts(ebpf: &Ebpf, size: Size) -> Result<Parts> {
    let fd = |name| fd_of(ebpf, name);
    let slots = size.slots() as usize;
    Ok(Parts {
        root: Memory::of_array(fd(map::ROOT)?.as_fd(), ROOT_LEN as usize)?,
        blocks: Memory::of_array(fd(map::BLOCKS)?.as_fd(), size.pages as usize * 256)?,
        slots: Memory::of_array(fd(map::SLOTS)?.as_fd(), slots)?,
        tails: Memory::of_array(fd(map::TAILS)?.as_fd(), slots)?,
        boots: Memory::of_array(fd(map::BOOTS)?.as_fd(), size.buckets as usize)?,
        templates: Memory::of_array(fd(map::TEMPLATES)?.as_fd(), size.templates as usize)?,
        meta: Memory::of_array(fd(map::META)?.as_fd(), 1)?,
        guard: Memory::of_array(fd(map::GUARD)?.as_fd(), LINES as usize)?,
    })
}

fn fd_of(ebpf: &Ebpf, name: &str) -> Result<OwnedFd> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(MapData::fd(data).as_fd().try_clone_to_owned()?),
        _ => anyhow::bail!("no array {name}"),
    }
}

/// dhclient's renewal, with `n` in the last four bytes of its MAC.
fn request() -> Result<Vec<u8>> {
    let captured = captures::all()?;
    let renewal = captures::renewal_of(&captured, "dhclient")?;
    Ok(frame::retarget(
        renewal,
        [0x52, 0x54, 0, 0, 0, 0],
        OUR_MAC,
        FIRST,
        SERVER,
    ))
}

/// Sum of the IP header without source address and checksum.
fn ip_sum(request: &[u8]) -> u32 {
    let (front, back) = (&request[14..24], &request[30..34]);
    u32::from(Sum::default().slice(front).slice(back).fold())
}

/// A lease for every client, all with the memo of the one request and one reply.
fn fill(table: &Table, request: &[u8], clients: u32) -> Result<()> {
    let ports = &table.meta().ports;
    ports[IFINDEX as usize].set(IFINDEX, 0x0200_0000_0001);
    let content = reply();
    table.template(1).write(&content.facts, &content.body);
    let mut region = [0u8; memo::MAX_REGION];
    let options = &request[282..];
    region[..options.len()].copy_from_slice(options);
    let words: [u64; 64] = std::array::from_fn(|i| {
        u64::from_ne_bytes(region[i * 8..][..8].try_into().expect("eight bytes"))
    });
    let memo = memo::hash(&words, options.len(), &table.meta().key);
    for client in 0..clients {
        let slot = table.slot(table.add(Ipv4Addr::from_bits(FIRST.to_bits() + client))?);
        ensure!(slot.try_lock(), "a fresh slot is not locked");
        slot.close();
        slot.publish(Kind::Bound, true, &lease(client, memo));
    }
    Ok(())
}

fn lease(client: u32, memo: u64) -> Lease {
    Lease {
        chaddr: 0x5254_0000_0000 | u64::from(client),
        expires: LONG,
        reserved_until: LONG,
        memo,
        link: Link {
            ifindex: IFINDEX,
            ..Link::default()
        },
        template: 1,
        renewals: 0,
        splice: Splice::default(),
        boots: false,
    }
}

/// A usual reply: mask, router, two name servers, a domain, lease times; 300 bytes with padding.
fn reply() -> Content {
    let mut options = vec![53, 1, 5, 54, 4, 10, 255, 255, 1, 51, 4, 0, 0, 14, 16];
    options.extend([58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78, 1, 4, 255, 0, 0, 0]);
    options.extend([3, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 2, 10, 0, 0, 3]);
    let mut body = [0; MAX_BODY];
    body[FIXED - 4..FIXED].copy_from_slice(&MAGIC_COOKIE);
    body[FIXED..FIXED + options.len()].copy_from_slice(&options);
    let open = FIXED + options.len();
    body[open] = 255;
    let full = 300 - BOOTP_HEAD;
    let facts = Facts {
        server: SERVER.to_bits(),
        siaddr: 0,
        lease_secs: 3600,
        full_sum: Sum::default().slice(&body[..full]).fold(),
        open_sum: Sum::default().slice(&body[..open]).fold(),
        full_len: full as u16,
        open_len: open as u16,
    };
    Content { facts, body }
}

/// What it costs the daemon to fill a table and to walk it.
fn table(clients: u32) -> Result<()> {
    let blocks = clients.div_ceil(256);
    let table = Table::anonymous(Size::for_addresses(blocks, blocks.div_ceil(256)))?;
    let request = request()?;
    let started = now();
    fill(&table, &request, clients)?;
    let filled = started.elapsed();
    let started = now();
    let alive = table
        .addresses()
        .filter(|(_, index)| table.slot(*index).expires() > 1)
        .count();
    let walked = started.elapsed();
    println!("a table of {alive} leases: filled in {filled:.1?}, walked in {walked:.1?}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn now() -> Instant {
    Instant::now()
}
