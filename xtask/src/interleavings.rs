//! The models of `dhcp-common/tests/loom`: every interleaving of the kernel's and the daemon's steps; and
//! faults put into the code one at a time, each of which a model must find.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use xdhcpd_tests::interrupt;

use crate::mutants::{Mutant, mutant, plant};
use crate::paths;
use crate::progress;

/// A fault, and the model that finds it.
struct Fault {
    model: &'static str,
    mutant: Mutant,
}

const fn fault(
    name: &'static str,
    model: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Fault {
    Fault {
        model,
        mutant: mutant(name, file, from, to),
    }
}

const SLOT: &str = "dhcp-common/src/slot.rs";
const WORD: &str = "dhcp-common/src/word.rs";
const GUARD: &str = "dhcp-common/src/guard.rs";
const BOOT: &str = "dhcp-common/src/boot.rs";

const FAULTS: &[Fault] = &[
    fault(
        "closes without a barrier",
        "close::a_grant_is_refused_or_seen_by_the_close",
        SLOT,
        "        fence();\n        self.expires.load()",
        "        self.expires.load()",
    ),
    fault(
        "extends without a barrier",
        "close::a_grant_is_refused_or_seen_by_the_close",
        WORD,
        "            fence();\n            replaced",
        "            replaced",
    ),
    fault(
        "locks in two steps",
        "close::two_threads_that_close_take_turns",
        SLOT,
        "state & LOCKED == 0 && self.state.replace(state, state | LOCKED)",
        "state & LOCKED == 0 && { self.state.store(state | LOCKED); true }",
    ),
    fault(
        "lets a lock disturb the kernel",
        "close::a_lock_does_not_disturb",
        SLOT,
        "(self.state.load() ^ checked.state) & !LOCKED != 0",
        "self.state.load() != checked.state",
    ),
    fault(
        "does not look at the state again",
        "tenant::a_lease_published_anew_does_not_look_unchanged",
        SLOT,
        "(self.state.load() ^ checked.state) & !LOCKED != 0",
        "checked.state == 0",
    ),
    fault(
        "moves the end of a lease whatever it was",
        "tenant::an_address_given_on",
        SLOT,
        "if !self.expires.replace(checked.expires, until)",
        "self.expires.overwrite(until);\n        if checked.state == 0",
    ),
    fault(
        "publishes under the same generation",
        "tenant::a_lease_published_anew_does_not_look_unchanged",
        SLOT,
        "(closed & !(GENERATION - 1)).wrapping_add(GENERATION)",
        "closed & !(GENERATION - 1)",
    ),
    fault(
        "writes fields without a mark",
        "reader::what_is_read_belongs_together",
        SLOT,
        "self.state.store(closed | WRITING)",
        "self.state.store(closed)",
    ),
    fault(
        "reads fields without a second look",
        "reader::what_is_read_belongs_together",
        SLOT,
        "(same && before & WRITING == 0)",
        "((same || !same) && before & WRITING == 0)",
    ),
    fault(
        "reads a boot memo without a second look",
        "boot::what_is_read_belongs_together",
        BOOT,
        "tag == 0 || self.check.load() != check",
        "tag == 0",
    ),
    fault(
        "gives a boot memo back under the same sequence",
        "boot::what_is_read_belongs_together",
        BOOT,
        "let sequence = check.wrapping_add(1) & SEQUENCE;",
        "let sequence = check.wrapping_sub(1) & SEQUENCE;",
    ),
    fault(
        "stores without order",
        "tenant::a_lease_published_anew_does_not_look_unchanged",
        WORD,
        "self.0.store(value, Ordering::Release)",
        "self.0.store(value, Ordering::Relaxed)",
    ),
    fault(
        "loads without order",
        "tenant::a_lease_published_anew_does_not_look_unchanged",
        WORD,
        "self.0.load(Ordering::Acquire)",
        "self.0.load(Ordering::Relaxed)",
    ),
    fault(
        "blocks for another client's time",
        "guard::nobody_is_blocked_for_anothers_time",
        GUARD,
        "until |= set[way + 1].load() & !differs(set[way].load(), key);",
        "until |= !differs(set[way].load(), key) & set[way + 1].load();",
    ),
    fault(
        "believes a filter that is being emptied",
        "guard::who_is_known_stays_known_over_a_turn",
        GUARD,
        "(found || turned)",
        "(found && (turned || !turned))",
    ),
];

/// The models, in a target directory of their own, since the flag makes cargo build everything again.
pub(crate) fn models() -> Command {
    models_in("loom")
}

/// Cargo takes what it built from another tree for its own, so each has a directory of its own.
fn models_in(directory: &str) -> Command {
    let mut loom = Command::new(paths::cargo());
    loom.current_dir(paths::root());
    loom.args(["test", "--no-fail-fast"]);
    loom.args(["--package", "dhcp-common", "--release", "--test", "loom"]);
    loom.env("RUSTFLAGS", "--cfg loom");
    loom.arg("--target-dir")
        .arg(paths::target().join(directory));
    loom
}

/// Tells how many faults were found (all of them), and how long that took.
pub(crate) fn faults() -> Result<(usize, Duration)> {
    let started = progress::now();
    let mut survivors = Vec::new();
    for fault in FAULTS {
        if !is_found(fault)? {
            survivors.push(fault.mutant.name);
        }
    }
    if !survivors.is_empty() {
        bail!("found by no model: code that {}", survivors.join("; that "));
    }
    Ok((FAULTS.len(), started.elapsed()))
}

fn is_found(fault: &Fault) -> Result<bool> {
    let tree = paths::target().join("mutants/interleavings");
    plant(&fault.mutant, &tree)?;
    let mut command = models_in("mutants/loom");
    let run = command.current_dir(&tree).arg(fault.model).output()?;
    interrupt::check()?;
    let output = String::from_utf8_lossy(&run.stdout);
    let name = fault.mutant.name;
    // A panic while a lock is given back ends the process before it has counted.
    ensure!(
        output.contains("running 1 test"),
        "the model did not run with code that {name}:\n{output}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let found = !run.status.success();
    let verdict = if found { "found out" } else { "NOT FOUND" };
    eprintln!("  {verdict}: code that {name}");
    Ok(found)
}
