//! `cargo xtask mutants`: faults put into the XDP program one at a time, each of which the test
//! kernel-versus-engine must find. A fault that it does not find is a hole in the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xdhcpd_tests::interrupt;

use crate::build_ebpf;
use crate::compiler::{self, Compiler};
use crate::paths;
use crate::progress::{self, step};

/// Frames that each faulty program is given.
pub(crate) const FRAMES: &str = "100000";
/// With which each of the faults is found by so few.
const SEED: &str = "2026";
const TEST: &str = "kernel_versus_engine";

pub(crate) struct Mutant {
    /// What the faulty program does.
    pub(crate) name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

pub(crate) const fn mutant(
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutant {
    Mutant {
        name,
        file,
        from,
        to,
    }
}

const SLOT: &str = "dhcp-common/src/slot.rs";
const FAST: &str = "dhcp-common/src/fast.rs";
const GUARD: &str = "dhcp-common/src/guard.rs";
const HEAD: &str = "dhcp-common/src/head.rs";
const MEMO: &str = "dhcp-common/src/memo.rs";
const BOOT: &str = "dhcp-common/src/boot.rs";
const REPLY: &str = "dhcp-common/src/reply.rs";
const FRAME: &str = "dhcp-ebpf/src/frame.rs";

/// `from` stands exactly once in `file`.
const MUTANTS: &[Mutant] = &[
    mutant(
        "answers any MAC",
        SLOT,
        "chaddr >> 16 != asked.chaddr",
        "chaddr == u64::MAX",
    ),
    mutant(
        "answers any options",
        SLOT,
        "self.memo.load() == memo,",
        "memo != 0,",
    ),
    mutant(
        "revives lapsed leases",
        SLOT,
        "checked.expires <= now",
        "checked.expires == now",
    ),
    mutant(
        "breaks the promise",
        SLOT,
        "until > checked.reserved_until",
        "until == u64::MAX",
    ),
    mutant(
        "keeps clients that moved",
        SLOT,
        "link != self.link.load()",
        "link == u64::MAX",
    ),
    mutant(
        "believes any IP header",
        FAST,
        "sum != 0xffff",
        "sum == 0xfffe",
    ),
    mutant(
        "answers for other servers",
        FAST,
        "!broadcast && request.destination != facts.server",
        "!broadcast && request.destination == 0",
    ),
    mutant(
        "answers relayed renewals",
        FAST,
        "be32(&window.bootp, bootp::GIADDR) != 0",
        "be32(&window.bootp, bootp::GIADDR) == u32::MAX",
    ),
    mutant(
        "takes any source address",
        FAST,
        "be32(&window.ip, 12) != ciaddr",
        "be32(&window.ip, 12) == 0xe000_0001",
    ),
    mutant(
        "sends a wrong TTL",
        HEAD,
        "[64, PROTO_UDP, 0, 0]",
        "[63, PROTO_UDP, 0, 0]",
    ),
    mutant(
        "forgets the flags",
        HEAD,
        "[0, 0, b[bootp::FLAGS], b[bootp::FLAGS + 1]]",
        "[0; 4]",
    ),
    mutant(
        "takes any source of who boots",
        FAST,
        "be32(&window.ip, 12) != 0 {",
        "be32(&window.ip, 12) == 0xe000_0001 {",
    ),
    mutant(
        "gives who boots time beyond the promise",
        FAST,
        "matches!(self.boot.says, Says::Ack)",
        "self.request.ciaddr != 0",
    ),
    mutant(
        "offers to all",
        REPLY,
        "& FLAG_BROADCAST != 0",
        "& FLAG_BROADCAST == 0",
    ),
    mutant(
        "offers what another client was offered",
        BOOT,
        "memo ^ chaddr.wrapping_mul(SPREAD)",
        "memo | chaddr & 1",
    ),
    mutant(
        "loses a VLAN tag",
        HEAD,
        "18 => l2_of::<18, 6>",
        "18 => l2_of::<14, 2>",
    ),
    mutant(
        "hashes padding too",
        MEMO,
        "if word != 0 {",
        "if word != 1 {",
    ),
    mutant(
        "cuts options one byte off",
        FRAME,
        "black_box(from) & 511",
        "black_box(from + 1) & 511",
    ),
    mutant(
        "hears who is blocked",
        GUARD,
        "until > now && !asker.foreign",
        "until == 1 && !asker.foreign",
    ),
    mutant(
        "throttles clients that it knows",
        GUARD,
        "duty & RATES == 0 || may_be_known(lines, orders, asker)",
        "duty & RATES == 0",
    ),
    mutant(
        "drops what others serve",
        FAST,
        "!guard::is_served(env, &meta.guard, request.link, request.destination)",
        "request.destination == 0",
    ),
    mutant(
        "lets strangers pass that claim other hardware",
        GUARD,
        "!asker.foreign && (found || turned)",
        "asker.foreign || (found || turned)",
    ),
    mutant(
        "writes before the last check",
        FAST,
        "    let slot = env.slot(grant.slot)",
        "    env.store_end(0, 1);\n    let slot = env.slot(grant.slot)",
    ),
];

/// Tells how many were caught (all of them), and how long that took.
pub(crate) fn mutants() -> Result<(usize, Duration)> {
    let started = progress::now();
    let compiler = compiler::choose()?;
    step("building the test", &mut test("--no-run"))?;
    let mut survivors = Vec::new();
    for (number, mutant) in MUTANTS.iter().enumerate() {
        let object = build(mutant, number, &compiler)?;
        if !caught(mutant, &object)? {
            survivors.push(mutant.name);
        }
    }
    if !survivors.is_empty() {
        bail!(
            "not caught by {TEST}: a program that {}",
            survivors.join("; that ")
        );
    }
    Ok((MUTANTS.len(), started.elapsed()))
}

fn test(last: &str) -> Command {
    let mut command = Command::new(paths::cargo());
    command.current_dir(paths::root());
    command.args(["test", "--package", "xdhcpd-tests", "--test", TEST, last]);
    command
        .env("XDHCPD_FRAMES", FRAMES)
        .env("XDHCPD_SEED", SEED);
    command
}

/// Whether the test fails with the faulty program, and not for want of one.
fn caught(mutant: &Mutant, object: &Path) -> Result<bool> {
    let mut command = test("the_kernel_says_what_the_engine_says");
    let run = command.env("XDHCPD_TEST_OBJECT", object).output()?;
    interrupt::check()?;
    let output = String::from_utf8_lossy(&run.stdout);
    let name = mutant.name;
    ensure!(
        run.status.success() || output.contains("1 failed"),
        "the test did not run with a program that {name}:\n{output}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let caught = !run.status.success();
    let verdict = if caught { "found out" } else { "NOT FOUND" };
    eprintln!("  {verdict}: a program that {name}");
    Ok(caught)
}

/// The faulty program, built from a copy of the sources.
fn build(mutant: &Mutant, number: usize, compiler: &Compiler) -> Result<PathBuf> {
    let tree = paths::target().join("mutants/tree");
    plant(mutant, &tree)?;
    let built = build_ebpf::build_tree(&tree, &paths::target().join("mutants/build"), compiler)?;
    let object = paths::target().join(format!("mutants/{number}.bpf.o"));
    fs::copy(&built, &object).with_context(|| format!("no {}", built.display()))?;
    Ok(object)
}

/// Makes a copy of the sources with the fault in it.
pub(crate) fn plant(mutant: &Mutant, tree: &Path) -> Result<()> {
    copy_sources(tree)?;
    let file = tree.join(mutant.file);
    let source = fs::read_to_string(&file)?;
    let found = source.matches(mutant.from).count();
    ensure!(
        found == 1,
        "{:?} stands {found} times in {}",
        mutant.from,
        mutant.file
    );
    fs::write(&file, source.replace(mutant.from, mutant.to))?;
    Ok(())
}

/// What the XDP program is built from. The workspace's other members are needed by name only.
fn copy_sources(tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    fs::create_dir_all(tree)?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(paths::root().join(file), tree.join(file))?;
    }
    for entry in fs::read_dir(paths::root())? {
        let member = entry?;
        if member.path().join("Cargo.toml").is_file() {
            copy_dir(&member.path(), &tree.join(member.file_name()))?;
        }
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
