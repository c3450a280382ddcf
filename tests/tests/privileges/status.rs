//! The rights of a thread, as the kernel tells them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

#[derive(Debug, PartialEq)]
pub struct Status {
    /// Real, effective, saved, of the file system.
    pub users: [u32; 4],
    /// Supplementary ones.
    pub groups: String,
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub no_new_privileges: bool,
}

impl Status {
    pub fn of_threads(pid: u32) -> Result<Vec<Self>> {
        let tasks = Path::new("/proc").join(pid.to_string()).join("task");
        let mut all = Vec::new();
        for task in fs::read_dir(tasks)? {
            // A thread may have ended since.
            if let Ok(text) = fs::read_to_string(task?.path().join("status")) {
                all.push(Self::read(&text)?);
            }
        }
        Ok(all)
    }

    fn read(text: &str) -> Result<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.with_context(|| format!("no {name}")).map(str::trim)
        };
        let set = |name| anyhow::Ok(u64::from_str_radix(field(name)?, 16)?);
        let users = field("Uid:")?.split_whitespace().map(str::parse);
        let users = users.collect::<Result<Vec<u32>, _>>()?;
        Ok(Self {
            users: users.try_into().ok().context("four user ids")?,
            groups: field("Groups:")?.to_owned(),
            inheritable: set("CapInh:")?,
            permitted: set("CapPrm:")?,
            effective: set("CapEff:")?,
            bounding: set("CapBnd:")?,
            ambient: set("CapAmb:")?,
            no_new_privileges: field("NoNewPrivs:")? == "1",
        })
    }
}

/// Numbers of capabilities(7).
const NUMBERS: [(&str, u32); 5] = [
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

pub fn bits(names: &[String]) -> Result<u64> {
    let bit = |name: &String| {
        let known = NUMBERS.iter().find(|(known, _)| known == name);
        let (_, number) = known.with_context(|| format!("{name} is not to be given"))?;
        Ok(1 << number)
    };
    names.iter().map(bit).sum()
}
