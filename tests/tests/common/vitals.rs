//! What a running process takes: memory, descriptors, threads, maps in the kernel, files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Of `smaps_rollup`, in KiB.
const MEMORY: [&str; 3] = ["Rss", "Private_Dirty", "Anonymous"];
/// Of the metrics: what the server has now.
const OWN: [&str; 7] = [
    "clients",
    "offers_open",
    "templates",
    "guard_blocked",
    "boot_transfers",
    "journal_segments",
    "leases",
];

pub type Sample = Vec<(String, f64)>;

pub fn of_process(pid: u32) -> Result<Sample> {
    let proc = Path::new("/proc").join(pid.to_string());
    let memory = fs::read_to_string(proc.join("smaps_rollup"))?;
    let mut sample = Sample::new();
    for name in MEMORY {
        sample.push((
            format!("memory {name} KiB"),
            number(&memory, &format!("{name}:"))?,
        ));
    }
    let status = fs::read_to_string(proc.join("status"))?;
    sample.push(("threads".into(), number(&status, "Threads:")?));
    sample.push((
        "descriptors".into(),
        descriptors(pid)?.values().sum::<usize>() as f64,
    ));
    let (maps, bytes) = maps(&proc)?;
    sample.push(("BPF maps".into(), maps));
    sample.push(("BPF map bytes".into(), bytes));
    Ok(sample)
}

/// What is open, and how often: a file by its name, other things by their kind.
pub fn descriptors(pid: u32) -> Result<BTreeMap<String, usize>> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that was closed meanwhile is none.
        if let Ok(link) = fs::read_link(entry?.path()) {
            let link = link.to_string_lossy();
            let kind = link.split_once("socket:[").map_or(&*link, |_| "socket");
            *open.entry(kind.to_owned()).or_default() += 1;
        }
    }
    Ok(open)
}

/// How many BPF maps the process has open, and the memory that they have locked.
fn maps(proc: &Path) -> Result<(f64, f64)> {
    let (mut maps, mut bytes) = (0.0, 0.0);
    for entry in fs::read_dir(proc.join("fdinfo"))? {
        // One that was closed meanwhile is none.
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        if info.contains("map_id:") {
            maps += 1.0;
            bytes += number(&info, "memlock:")?;
        }
    }
    Ok((maps, bytes))
}

/// Files of a directory and the disk space that they take.
pub fn of_directory(path: &Path, name: &str) -> Result<Sample> {
    let (mut files, mut bytes) = (0.0, 0.0);
    for entry in fs::read_dir(path)? {
        if let Ok(data) = entry?.metadata() {
            files += 1.0;
            bytes += data.blocks() as f64 * 512.0;
        }
    }
    Ok(vec![
        (format!("{name} files"), files),
        (format!("{name} bytes"), bytes),
    ])
}

/// What the server counts itself, summed over labels.
pub fn of_metrics(text: &str) -> Sample {
    let sum = |name: &str| {
        let of = |line: &str| {
            let rest = line.strip_prefix("xdhcpd_")?.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{'))
                .then(|| value.parse::<f64>())?
                .ok()
        };
        text.lines().filter_map(of).sum()
    };
    let own = OWN.iter();
    own.map(|name| (format!("its {name}"), sum(name))).collect()
}

/// The first number behind a word at the beginning of a line.
fn number(text: &str, word: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let first = line.and_then(|rest| rest.split_whitespace().next());
    let number = first.with_context(|| format!("no {word} in {text}"))?;
    Ok(number.parse()?)
}
