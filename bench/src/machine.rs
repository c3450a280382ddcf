//! Where and when it was measured.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use xdhcpd_tests::process;

use crate::server::Server;

pub fn facts(state: &Path, quick: bool) -> Value {
    let mut uname = std::process::Command::new("uname");
    let kernel = process::output(uname.args(["-s", "-r", "-v", "-m"]));
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let versions = Server::ALL
        .into_iter()
        .filter(|server| *server != Server::Limit && server.is_installed());
    let versions = versions.map(|server| {
        let version = server
            .version()
            .unwrap_or_else(|error| format!("unknown: {error:#}"));
        (server.name().to_owned(), Value::from(version))
    });
    let synced = Server::ALL.map(|server| (server.name().to_owned(), json!(server.syncs())));
    json!({
        "kernel": kernel.unwrap_or_default().trim(),
        "cpu": line(&cpu, "model name").unwrap_or("unknown"),
        "cpus": crate::cpu::count(),
        "memory": line(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal"),
        "load_before": load.trim(),
        "runnable_before": busy(),
        "file_system": file_system(&mounts, state).unwrap_or("unknown"),
        "quick": quick,
        "unix": dhcp_userspace::clock::Now::read().unix / dhcp_userspace::clock::SECOND,
        "versions": versions.collect::<serde_json::Map<_, _>>(),
        "fsync_before_ack": synced.into_iter().collect::<serde_json::Map<_, _>>(),
    })
}

/// The value behind a name and a colon.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.into_iter().find(|(key, _)| key.trim() == name);
    found.map(|(_, value)| value.trim())
}

/// What else runs: the names of processes that are on a CPU or want one. A child that is about to become another
/// program still has our name.
fn busy() -> Vec<String> {
    let own = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((name, state)) = name_and_state(&stat)
            && state == "R"
            && name != own.trim()
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names
}

fn name_and_state(stat: &str) -> Option<(&str, &str)> {
    let (front, back) = stat.rsplit_once(") ")?;
    Some((front.split_once('(')?.1, back.split(' ').next()?))
}

/// The type of the file system that a path lies in: the longest mount point that it begins with.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let below = mounts.filter(|(point, _)| path.starts_with(point));
    below
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_point_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\ntmpfs /tmpx xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/lab")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/var/lib")), Some("ext4"));
    }

    #[test]
    fn names_may_have_brackets() {
        assert_eq!(name_and_state("12 (a (b) c) R 1 1"), Some(("a (b) c", "R")));
    }

    #[test]
    fn values_behind_names() {
        assert_eq!(
            line("vendor : x\nmodel name\t: EPYC\n", "model name"),
            Some("EPYC")
        );
    }
}
