//! Real DHCP clients, each in a network and a mount namespace of its own.

use std::fmt;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::INTERFACE;
use crate::namespace::{self, Namespace};
use crate::process::{self, Process};

const PATIENCE: Duration = Duration::from_secs(10);
const SCRIPT: &str = include_str!("client.sh");
const DHCPCD_CONFIG: &str = "duid\nipv4only\nnoipv4ll\nrequire dhcp_server_identifier\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dhclient,
    /// Opens the socket for the answer only after it has sent a unicast renewal. On one machine
    /// the kernel's answer is there before that, and lost, so it asks again by broadcast.
    Udhcpc,
    Dhcpcd,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Dhclient, Self::Udhcpc, Self::Dhcpcd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Dhclient => "dhclient",
            Self::Udhcpc => "udhcpc",
            Self::Dhcpcd => "dhcpcd",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a client told its script: "bound 10.77.1.0".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In lower case: bound, renew, rebind, reboot, release, expire, nak, deconfig, ...
    pub name: String,
    pub address: Option<Ipv4Addr>,
}

impl Event {
    fn parse(line: &str) -> Self {
        let (name, address) = line.split_once(' ').unwrap_or((line, ""));
        Self {
            name: name.to_owned(),
            address: address.parse().ok(),
        }
    }

    fn is_bound(&self) -> bool {
        matches!(self.name.as_str(), "bound" | "reboot")
    }

    fn is_renewed(&self) -> bool {
        matches!(self.name.as_str(), "renew" | "rebind")
    }
}

/// Ended on drop, without a word to the server.
pub struct Client {
    kind: Kind,
    namespace: PathBuf,
    directory: PathBuf,
    process: Process,
}

impl Client {
    /// Starts one on `eth0` of `namespace`. It keeps its files in `directory`: started there
    /// again, it remembers its lease, save dhcpcd, which keeps them in memory.
    pub fn start(kind: Kind, namespace: &Namespace, directory: &Path) -> Result<Self> {
        Self::start_with(kind, namespace, directory, "")
    }

    /// With more lines in its configuration, which dhcpcd alone has.
    pub fn start_with(
        kind: Kind,
        namespace: &Namespace,
        directory: &Path,
        more: &str,
    ) -> Result<Self> {
        let process = prepare(kind, directory, more).and_then(|()| {
            let mut command = private(&namespace.path(), kind, directory);
            Process::start(kind.name(), &mut command, &directory.join("log"))
        });
        let process = process.with_context(|| format!("could not start {kind}"))?;
        Ok(Self {
            kind,
            namespace: namespace.path(),
            directory: directory.to_owned(),
            process,
        })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// All that it has told its script so far.
    pub fn events(&self) -> Vec<Event> {
        events(&self.directory)
    }

    /// Waits until it has an address and returns it.
    pub fn wait_bound(&mut self, limit: Duration) -> Result<Ipv4Addr> {
        self.wait_event("an address", limit, |events| {
            events.iter().rev().find(|event| event.is_bound())?.address
        })
    }

    /// How often it has renewed, by unicast or broadcast.
    pub fn renewals(&self) -> usize {
        self.events()
            .iter()
            .filter(|event| event.is_renewed())
            .count()
    }

    /// Waits until it has renewed `times` times since its start.
    pub fn wait_renewals(&mut self, times: usize, limit: Duration) -> Result<()> {
        self.wait_event(&format!("{times} renewals"), limit, |events| {
            (events.iter().filter(|event| event.is_renewed()).count() >= times).then_some(())
        })
    }

    /// Waits for something in the client's events; a failure shows its log.
    pub fn wait_event<T>(
        &mut self,
        what: &str,
        limit: Duration,
        choose: impl Fn(&[Event]) -> Option<T>,
    ) -> Result<T> {
        let what = format!("{} to have {what}", self.kind);
        let directory = &self.directory;
        self.process
            .wait_for(&what, limit, |_| Ok(choose(&events(directory))))
    }

    /// Asks it to renew now. dhclient cannot be asked: it renews at T1.
    pub fn renew(&mut self) -> Result<()> {
        match self.kind {
            Kind::Dhclient => Ok(()),
            Kind::Udhcpc => self.process.signal(libc::SIGUSR1),
            Kind::Dhcpcd => self.dhcpcd("--renew"),
        }
    }

    /// Makes it rebind, by broadcast: dhcpcd is asked to, the others cannot reach `server` from
    /// now on, and do so at T2 (of which dhclient tells its script as of a renewal).
    pub fn rebind(&mut self, server: Ipv4Addr) -> Result<()> {
        if self.kind == Kind::Dhcpcd {
            return self.dhcpcd("--rebind");
        }
        // Unicast goes to a hardware address that nobody has.
        let nobody = format!("{server} lladdr 02:00:00:00:de:ad nud permanent dev {INTERFACE}");
        self.neighbour("replace", &nobody)
    }

    /// Lets it reach the server again.
    pub fn reach(&mut self, server: Ipv4Addr) -> Result<()> {
        self.neighbour("delete", &format!("{server} dev {INTERFACE}"))
    }

    fn neighbour(&self, action: &str, entry: &str) -> Result<()> {
        let mut command = namespace::command_in(&self.namespace, Path::new("ip"));
        process::output(command.args(["neighbour", action]).args(entry.split(' ')))?;
        Ok(())
    }

    /// Sends a RELEASE and waits until the client knows no address any more.
    pub fn release(&mut self) -> Result<()> {
        match self.kind {
            Kind::Dhclient => {
                let mut command = private(&self.namespace, self.kind, &self.directory);
                process::output(command.arg("-r"))?;
            }
            Kind::Udhcpc => self.process.signal(libc::SIGUSR2)?,
            Kind::Dhcpcd => self.dhcpcd("--release")?,
        }
        self.wait_event("let go of its address", PATIENCE, |events| {
            events
                .last()
                .filter(|event| !event.is_bound() && !event.is_renewed())
                .map(|_| ())
        })
    }

    /// Ends it, without a word to the server.
    pub fn stop(&mut self) -> Result<()> {
        self.process.terminate(PATIENCE)?;
        Ok(())
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// dhcpcd takes orders from a second one in the same namespaces.
    fn dhcpcd(&self, order: &str) -> Result<()> {
        let target = self.process.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &target, "--"]);
        let answer = process::output(command.args(["dhcpcd", "-4", order, INTERFACE]));
        answer.map_err(|error| self.process.explain(&error))?;
        Ok(())
    }
}

impl Drop for Client {
    /// In order first: dhcpcd has helpers that a SIGKILL would leave behind.
    fn drop(&mut self) {
        let _ = self.process.terminate(PATIENCE);
    }
}

fn events(directory: &Path) -> Vec<Event> {
    let text = fs::read_to_string(directory.join("events")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(Event::parse).collect()
}

fn prepare(kind: Kind, directory: &Path, more: &str) -> Result<()> {
    fs::create_dir_all(directory)?;
    let events = directory.join("events");
    fs::write(&events, "")?;
    let script = SCRIPT.replace("@CLIENT@", kind.name());
    let script = script.replace("@EVENTS@", &events.to_string_lossy());
    fs::write(directory.join("script"), script)?;
    fs::set_permissions(directory.join("script"), Permissions::from_mode(0o755))?;
    fs::write(directory.join("resolv.conf"), "")?;
    let config = format!("{DHCPCD_CONFIG}{more}");
    fs::write(directory.join("dhcpcd.conf"), config)?;
    if kind == Kind::Dhclient {
        fs::write(
            directory.join("leases"),
            fs::read(directory.join("leases")).unwrap_or_default(),
        )?;
        // AppArmor knows dhclient by its path, and forbids it scripts and leases elsewhere.
        fs::copy(process::find("dhclient")?, directory.join("dhclient"))?;
    }
    Ok(())
}

/// The client's command, in a mount namespace in which what it may write is its own.
fn private(namespace: &Path, kind: Kind, directory: &Path) -> Command {
    let mounts = match kind {
        Kind::Dhclient | Kind::Udhcpc => "",
        Kind::Dhcpcd => {
            "mkdir -p /run/dhcpcd; for d in /run/dhcpcd /var/lib/dhcpcd; do mount -t tmpfs tmpfs $d; done;"
        }
    };
    let script = format!(
        "set -e; {mounts} if [ -e /etc/resolv.conf ]; then mount --bind resolv.conf /etc/resolv.conf; fi; exec \"$@\""
    );
    let mut command = namespace::command_in(namespace, Path::new("unshare"));
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sh",
    ]);
    command
        .current_dir(directory)
        .args(arguments(kind, directory));
    command
}

fn arguments(kind: Kind, directory: &Path) -> Vec<String> {
    let in_dir = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let line = match kind {
        Kind::Dhclient => "@dhclient -4 -d -sf @script -lf @leases -pf @pid",
        Kind::Udhcpc => "busybox udhcpc -f -t 20 -T 1 -A 1 -s @script -i",
        Kind::Dhcpcd => "dhcpcd -4 -B -d -f @dhcpcd.conf -c @script",
    };
    let words = line.split(' ').chain([INTERFACE]);
    words
        .map(|word| {
            word.strip_prefix('@')
                .map_or_else(|| word.to_owned(), in_dir)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events() {
        let bound = Event::parse("bound 10.77.1.3");
        assert_eq!(
            (bound.is_bound(), bound.address),
            (true, Some(Ipv4Addr::new(10, 77, 1, 3)))
        );
        assert!(Event::parse("rebind 10.77.1.3").is_renewed());
        assert_eq!(Event::parse("preinit ").address, None);
    }

    #[test]
    fn a_line_being_written_is_no_event_yet() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("events"), "bound 10.77.1.3\nrenew 10.7").unwrap();
        assert_eq!(events(dir.path()).len(), 1);
    }
}
