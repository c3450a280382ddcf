//! The generator in the kernel: `BPF_PROG_TEST_RUN` makes renewals of random clients and sends them over the cable
//! as fast as that goes; a program at the same end looks at every answer. Both are in `dhcp-ebpf/src/bench.rs`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};
use dhcp_common::layout::bench::{
    COUNTS, FLOOD, FRAME, KEPT, KEPT_FRAMES, KEPT_LEN, MADE, MAP, Plan, RIGHT, SINK, WRONG,
};
use dhcp_common::wire::Sum;
use xdhcpd_tests::{interrupt, link};

use crate::client::{BOUND, Client, LEASE, SERVER};
use crate::cpu::{self, Usage};
use crate::reply;
use crate::request::{IDENTIFIER, Requests, Sender};
use crate::site::{GENERATOR, GENERATOR_CPU, Receivers, Site};
use crate::time::now;

/// Frames that one call makes, and of these so many at once.
const REPEAT: u32 = 1 << 16;
const BATCH: u32 = 64;
/// Nothing is on its way any more after so long without an answer.
const SETTLED: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct PodPlan(Plan);

// SAFETY: integers and bytes without padding, repr(C).
unsafe impl Pod for PodPlan {}

/// What a flood brought.
pub struct Flood {
    pub made: u64,
    pub right: u64,
    /// The same with the first frames, which are not measured.
    pub all: u64,
    pub wrong: u64,
    pub nanos: u64,
    pub usage: Usage,
    /// What was wrong with answers that were kept.
    pub examples: Vec<String>,
}

/// Floods the server with renewals of so many clients, a power of two.
pub fn flood(
    (site, receivers): (&Site, Receivers),
    object: &[u8],
    (clients, echoes): (u32, bool),
    server: Option<u32>,
    time: Duration,
) -> Result<Flood> {
    ensure!(
        clients.is_power_of_two(),
        "{clients} clients are no power of two"
    );
    let mut ebpf = EbpfLoader::new().load(object)?;
    let plan = plan(site, clients, echoes);
    let map = ebpf.map_mut(MAP).context("the plan's map")?;
    Array::try_from(map)?.set(0, PodPlan(plan), 0)?;
    for name in [FLOOD, SINK] {
        program(&mut ebpf, name)?.load()?;
    }
    let generator = &site.lab.switch;
    site.instead_of_pass(|| {
        let flooded = generator.enter(|| run(&mut ebpf, receivers, server, time))?;
        // Its program leaves the cable before another one comes.
        let flooded = flooded.and_then(|flood| look(&ebpf, flood, echoes));
        drop(ebpf);
        flooded
    })
}

fn plan(site: &Site, clients: u32, echoes: bool) -> Plan {
    let sender = Sender {
        client: Client(0),
        xid: 0,
        secs: 0,
    };
    let mut frame = Requests::new(site.server_mac).renew(sender, BOUND);
    // 0 says that there is none (RFC 768); the IP checksum is made for each client.
    frame[40..42].fill(0);
    let ip_sum = Sum::default().slice(&frame[14..24]).slice(&frame[30..34]);
    Plan {
        first_address: BOUND.to_bits(),
        client_mask: clients - 1,
        ip_sum: ip_sum.fold().into(),
        // Behind the two bytes that all MACs begin with.
        number_at: IDENTIFIER as u32 + 2,
        answer_op: if echoes { 1 } else { 2 },
        frame,
    }
}

/// In the generator's namespace, on a thread of its own.
fn run(
    ebpf: &mut Ebpf,
    receivers: Receivers,
    server: Option<u32>,
    time: Duration,
) -> Result<Flood> {
    cpu::pin(0, GENERATOR_CPU)?;
    // What else runs on this machine is to be no part of the rate. The kernel leaves it a twentieth.
    cpu::before_all_others(0)?;
    program(ebpf, SINK)?.attach(GENERATOR, XdpMode::Driver)?;
    let context = context(link::index(GENERATOR)?.cast_unsigned());
    // A first one, until pages and caches are there.
    shoot(ebpf, &context)?;
    settle(ebpf)?;
    let (before, usage, began) = (counts(ebpf)?, Usage::now(receivers, server)?, now());
    while now() - began < time.as_nanos() as u64 {
        shoot(ebpf, &context)?;
        interrupt::check()?;
    }
    let nanos = now() - began;
    settle(ebpf)?;
    let (usage, after) = (Usage::now(receivers, server)?.since(usage), counts(ebpf)?);
    let [right, wrong, made] =
        [RIGHT, WRONG, MADE].map(|what| after[what as usize] - before[what as usize]);
    Ok(Flood {
        made,
        right,
        all: after[RIGHT as usize],
        wrong,
        nanos,
        usage,
        examples: Vec::new(),
    })
}

fn shoot(ebpf: &mut Ebpf, context: &[u8]) -> Result<()> {
    let frame = [0; FRAME];
    let options = TestRunOptions {
        data_in: Some(&frame),
        ctx_in: Some(context),
        repeat: REPEAT,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::default()
    };
    program(ebpf, FLOOD)?.test_run(options)?;
    Ok(())
}

/// A `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
fn context(interface: u32) -> Vec<u8> {
    let fields = [0, FRAME as u32, 0, interface, 0, 0];
    fields.map(u32::to_ne_bytes).as_flattened().to_vec()
}

fn settle(ebpf: &Ebpf) -> Result<()> {
    loop {
        let before = counts(ebpf)?;
        std::thread::sleep(SETTLED);
        if counts(ebpf)? == before {
            return Ok(());
        }
    }
}

/// Of all CPUs together.
fn counts(ebpf: &Ebpf) -> Result<[u64; 3]> {
    let counts: PerCpuArray<&MapData, u64> =
        PerCpuArray::try_from(ebpf.map(COUNTS).context("counts")?)?;
    let mut sums = [0; 3];
    for (what, sum) in sums.iter_mut().enumerate() {
        *sum = counts.get(&(what as u32), 0)?.iter().sum();
    }
    Ok(sums)
}

/// Looks at the answers that were kept as at those to the other generator.
fn look(ebpf: &Ebpf, mut flood: Flood, echoes: bool) -> Result<Flood> {
    let kept: Array<&MapData, [u8; KEPT_LEN]> =
        Array::try_from(ebpf.map(KEPT).context("kept frames")?)?;
    let mut seen = 0;
    for place in 0..KEPT_FRAMES {
        let frame = kept.get(&place, 0)?;
        if frame.iter().all(|byte| *byte == 0) {
            continue;
        }
        seen += 1;
        if let Some(wrong) = wrong_with(&frame, echoes) {
            flood.wrong += 1;
            flood.examples.push(wrong);
        }
    }
    ensure!(seen > 0 || flood.right == 0, "no answer was kept");
    Ok(flood)
}

fn wrong_with(frame: &[u8], echoes: bool) -> Option<String> {
    let read = if echoes {
        reply::read_echo
    } else {
        reply::read
    };
    match read(frame) {
        Err(wrong) => Some(wrong.to_string()),
        Ok(reply) => {
            let address = reply.client.address();
            let lease = if echoes { 0 } else { LEASE };
            let expected = reply::Expected {
                kind: reply::ACK,
                client: reply.client,
                address: address.to_bits()..=address.to_bits(),
                server: SERVER,
                lease: lease..=lease,
            };
            expected.check(&reply).err().map(|wrong| wrong.to_string())
        }
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}
