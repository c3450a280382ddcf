//! A network namespace that exists as long as its value.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};

use crate::process;

const PREFIX: &str = "xdlab-";
const DIRECTORY: &str = "/run/netns";

pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one with the loopback interface up. `role` is for the reader; the name is unique.
    pub fn new(role: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{count}-{role}", own_prefix());
        process::output(Command::new("ip").args(["netns", "add", &name]))
            .context("could not make a network namespace (this wants root)")?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// Runs `ip` on this namespace; `arguments` are separated by spaces.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]);
        process::output(command.args(arguments.split_whitespace()))
    }

    /// A command that will run in this namespace.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        command_in(&self.path(), program.as_ref())
    }

    /// Runs `action` on a thread of its own in this namespace: what it opens stays there.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        let file =
            File::open(self.path()).with_context(|| format!("no namespace {}", self.name))?;
        let enter = || {
            // SAFETY: the descriptor is open and setns changes this thread only.
            let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(action())
        };
        let result = thread::scope(|scope| scope.spawn(enter).join());
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.with_context(|| format!("could not enter namespace {}", self.name))
    }

    /// The hardware address of an interface in here.
    pub fn mac(&self, interface: &str) -> Result<[u8; 6]> {
        let shown = self.ip(&format!("-oneline link show dev {interface}"))?;
        let mut words = shown
            .split_whitespace()
            .skip_while(|word| *word != "link/ether");
        let text = words
            .nth(1)
            .with_context(|| format!("no hardware address in {shown:?}"))?;
        parse_mac(text).ok_or_else(|| anyhow!("{text:?} is no hardware address"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// A command for the namespace at `path`. Not `ip netns exec`: that mounts /sys anew, and what is
/// pinned in a bpffs below it would vanish.
pub(crate) fn command_in(path: &Path, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", path.display()))
        .arg("--")
        .arg(program);
    command
}

/// Removes what labs have left whose process was killed outright.
pub(crate) fn remove_stale() {
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_stale(&name) {
            remove(&name);
        }
    }
}

/// Whether this is the name of something of ours whose process is no more. One that nobody has waited
/// for yet has no command line.
pub(crate) fn is_stale(name: &str) -> bool {
    let command_line = |pid| fs::read(Path::new("/proc").join(pid).join("cmdline"));
    owner(name).is_some_and(|pid| command_line(pid).map_or(true, |line| line.is_empty()))
}

/// How the names of all that this process makes begin.
pub(crate) fn own_prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

fn owner(name: &str) -> Option<&str> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.bytes().all(|byte| byte.is_ascii_digit()).then_some(pid)
}

/// Ends whatever still runs in a namespace of ours, such as a helper that its parent left behind.
fn remove(name: &str) {
    let pids = process::output(Command::new("ip").args(["netns", "pids", name]));
    for pid in pids.unwrap_or_default().split_whitespace() {
        if let Ok(pid) = pid.parse() {
            // SAFETY: kill takes no pointers.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    if let Err(error) = process::output(Command::new("ip").args(["netns", "delete", name])) {
        eprintln!("namespace {name} stays behind: {error:#}");
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whose_namespace_it_is() {
        assert_eq!(owner("xdlab-123-0-server"), Some("123"));
        assert_eq!(owner("xdlab-other"), None);
        assert_eq!(owner("somebody-123-0"), None);
    }

    #[test]
    fn reads_hardware_addresses() {
        assert_eq!(
            parse_mac("52:54:00:00:0a:ff"),
            Some([0x52, 0x54, 0, 0, 0x0a, 0xff])
        );
        assert_eq!(parse_mac("52:54:00"), None);
        assert_eq!(parse_mac("52:54:00:00:00:zz"), None);
    }
}
