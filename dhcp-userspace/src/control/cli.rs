//! `xdhcpctl`: arguments to requests, answers to text.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use ipnet::Ipv4Net;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{ClientError, ask};
use super::protocol::{Changes, Explained, Filter, Happened, Lost, Question, Request};
use super::render;
use crate::clock::{Now, SECOND};
use crate::config::Config;
use crate::journal::{Disk, InspectError, JournalError};
use crate::{config, fastpath, journal};

/// Where the daemon listens unless its configuration says otherwise.
pub const SOCKET: &str = "/run/xdhcpd/control.sock";

/// Look into a running xdhcpd, and tell it what to do.
#[derive(Debug, Parser)]
#[command(name = "xdhcpctl", version)]
pub struct Arguments {
    /// The daemon's control socket.
    #[arg(long, global = true, default_value = SOCKET)]
    socket: PathBuf,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Version, interfaces, pools, leases, packets.
    Status,
    /// List, show, save and restore leases.
    #[command(subcommand)]
    Leases(Leases),
    /// How much the kernel answers, and why not the rest.
    Fastpath {
        #[command(subcommand)]
        command: Option<FastPath>,
    },
    /// What would be made of a client: host, classes, address, times, boot file; changes nothing.
    Explain(Question),
    /// Clients that are not heard for a while.
    #[command(subcommand)]
    Guard(Guard),
    /// Boot files, by TFTP and HTTP.
    #[command(subcommand)]
    Boot(Boot),
    /// What stands in a file of the journal, and where it is damaged. Asks no daemon, and changes nothing.
    Journal { file: PathBuf },
    /// Read the configuration again; prints what changed.
    Reload,
    /// What happens to clients, as it happens.
    Events,
}

#[derive(Debug, Subcommand)]
enum Leases {
    /// All leases, or some.
    List {
        /// Of addresses in this network.
        #[arg(long)]
        subnet: Option<Ipv4Net>,
        /// In this state: offered, bound, declined, released, expired.
        #[arg(long)]
        state: Option<String>,
        /// Of MACs that begin like this.
        #[arg(long)]
        mac: Option<String>,
    },
    /// Everything about one lease.
    Show {
        /// Address or MAC.
        key: String,
    },
    /// Tell clients to renew now (FORCERENEW), those that took the nonce for it.
    Renew {
        /// Address or MAC.
        #[arg(required_unless_present = "subnet", conflicts_with = "subnet")]
        key: Option<String>,
        /// All clients of this network.
        #[arg(long)]
        subnet: Option<Ipv4Net>,
    },
    /// All leases as YAML, to FILE or the terminal.
    Export { file: Option<PathBuf> },
    /// Leases from YAML: checks, shows what would change, asks, applies.
    Import {
        file: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Boot {
    /// Who fetches what now, how far it is, and what was asked for in vain.
    Status,
}

#[derive(Debug, Subcommand)]
enum FastPath {
    /// Log what the kernel does with each packet of a MAC; `off` ends it.
    Trace { mac: String },
    /// Why the kernel answers a client or does not.
    Why { mac: String },
    /// Take the programs out of the kernel, whether the daemon runs or not.
    Detach {
        /// The daemon's configuration: it tells where the programs are pinned.
        #[arg(long, default_value = "/etc/xdhcpd/dhcp.yaml")]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Guard {
    /// Who is blocked, where, why, and for how long.
    List,
    /// Hear them again.
    Clear {
        /// This one only.
        #[arg(long)]
        mac: Option<String>,
    },
}

/// Does what the arguments say.
///
/// # Errors
/// What the user is told: no daemon, or its refusal.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ClientError> {
    let mut cli = Cli {
        socket: &arguments.socket,
        json: arguments.json,
        out,
    };
    match &arguments.command {
        Command::Status => cli.one(&Request::Status, |status| render::status(&status)),
        Command::Leases(command) => leases(cli, command),
        Command::Fastpath { command: None } => {
            cli.one(&Request::Fastpath, |report| render::fastpath(&report))
        }
        Command::Fastpath {
            command: Some(command),
        } => fastpath_command(cli, command),
        Command::Explain(question) => {
            let request = Request::Explain(question.clone());
            cli.one(&request, |told: Vec<Explained>| render::explain(&told))
        }
        Command::Guard(Guard::List) => cli.one(&Request::GuardList, |list| render::guard(&list)),
        Command::Guard(Guard::Clear { mac }) => {
            let mac = mac.clone();
            cli.changes(&Request::GuardClear { mac }, "nobody was blocked")
        }
        Command::Boot(Boot::Status) => cli.one(&Request::Boot, |report| render::boot(&report)),
        Command::Journal { file } => cli.journal(file),
        Command::Reload => cli.changes(&Request::Reload, "nothing changed"),
        Command::Events => cli.events(),
    }
}

fn leases(mut cli: Cli<'_>, command: &Leases) -> Result<(), ClientError> {
    match command {
        Leases::List { subnet, state, mac } => {
            let filter = Filter {
                subnet: *subnet,
                state: state.clone(),
                mac: mac.clone(),
            };
            cli.list(&Request::Leases(filter))
        }
        Leases::Show { key } => {
            let now = now();
            cli.one(&Request::Lease { key: key.clone() }, |lease| {
                render::lease(&lease, now)
            })
        }
        Leases::Renew { key, subnet } => {
            let (key, subnet) = (key.clone(), *subnet);
            cli.one(&Request::Renew { key, subnet }, |told: Changes| {
                render::renewals(&told)
            })
        }
        Leases::Export { file } => cli.export(file.as_deref()),
        Leases::Import { file, yes } => cli.import(file, *yes),
    }
}

fn fastpath_command(mut cli: Cli<'_>, command: &FastPath) -> Result<(), ClientError> {
    match command {
        FastPath::Trace { mac } => {
            let mac = (mac != "off").then(|| mac.clone());
            cli.changes(&Request::Trace { mac }, "no change")
        }
        FastPath::Why { mac } => cli.one(&Request::Why { mac: mac.clone() }, |text: String| {
            format!("{text}\n")
        }),
        FastPath::Detach { config } => {
            match cli.changes(&Request::Detach, "nothing was attached") {
                Err(ClientError::NotRunning(_)) => cli.detach_alone(config),
                done => done,
            }
        }
    }
}

fn now() -> u64 {
    Now::read().unix / SECOND
}

/// One command's way out and back.
struct Cli<'a> {
    socket: &'a Path,
    json: bool,
    out: &'a mut dyn Write,
}

impl Cli<'_> {
    fn one<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        page: impl FnOnce(T) -> String,
    ) -> Result<(), ClientError> {
        let done = ask(self.socket, request, &mut |_| Ok(()))?;
        let text = if self.json {
            format!("{done:#}\n")
        } else {
            page(from(done)?)
        };
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn changes(&mut self, request: &Request, nothing: &str) -> Result<(), ClientError> {
        self.one(request, |changes: Changes| {
            render::changes(&changes, nothing)
        })
    }

    fn detach_alone(&mut self, config: &Path) -> Result<(), ClientError> {
        let refused = |error: String| ClientError::Refused(error);
        let config = config::load(config).map_err(|error| refused(error.to_string()))?;
        let mut there = Cli {
            socket: &config.server.control_socket,
            json: self.json,
            out: &mut *self.out,
        };
        match there.changes(&Request::Detach, "nothing was attached") {
            Err(ClientError::NotRunning(_)) => {}
            done => return done,
        }
        let _lock = self.lock(&config)?;
        let count = fastpath::detach(&config).map_err(|error| refused(error.to_string()))?;
        Ok(writeln!(
            self.out,
            "xdhcpd is not running; {} removed",
            render::count(count, "pin")
        )?)
    }

    /// So that no daemon starts meanwhile. One that runs would only pin everything again.
    fn lock(&self, config: &Config) -> Result<Option<Disk>, ClientError> {
        let journal = config.server.state_dir.join("journal");
        match journal.is_dir().then(|| Disk::open(&journal)) {
            Some(Err(JournalError::Locked { pid, .. })) => {
                let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                let (here, there) = (self.socket.display(), &config.server.control_socket);
                Err(ClientError::Refused(format!(
                    "xdhcpd{pid} runs on the state of this configuration, but listens neither on {here} nor on {}: \
                     give its socket by --socket",
                    there.display()
                )))
            }
            // Whoever may remove pins may lack the right to open the journal.
            locked => Ok(locked.and_then(Result::ok)),
        }
    }

    fn list(&mut self, request: &Request) -> Result<(), ClientError> {
        let now = now();
        // With the first row: a refusal has no table.
        let mut header = (!self.json).then(render::lease_header);
        let mut row = |item: Value| {
            if let Some(header) = header.take() {
                writeln!(self.out, "{header}")?;
            }
            let line = if self.json {
                item.to_string()
            } else {
                render::lease_row(&from(item)?, now)
            };
            Ok(writeln!(self.out, "{line}")?)
        };
        ask(self.socket, request, &mut row)?;
        match header {
            Some(header) => Ok(writeln!(self.out, "{header}")?),
            None => Ok(()),
        }
    }

    fn journal(&mut self, file: &Path) -> Result<(), ClientError> {
        // With the first row: a refusal has no table.
        let mut header = (!self.json).then(render::journal_header);
        let each = &mut |offset, part| {
            if let Some(header) = header.take() {
                writeln!(self.out, "{header}")?;
            }
            if self.json {
                return writeln!(self.out, "{}", render::journal_json(offset, &part));
            }
            writeln!(self.out, "{}", render::journal_line(offset, &part))
        };
        journal::inspect(file, each).map_err(|error| match error {
            InspectError::Out(error) => error.into(),
            error => ClientError::Refused(error.to_string()),
        })
    }

    fn events(&mut self) -> Result<(), ClientError> {
        let mut row = |item: Value| {
            let line = if self.json {
                item.to_string()
            } else {
                event(item)?
            };
            writeln!(self.out, "{line}")?;
            Ok(self.out.flush()?)
        };
        ask(self.socket, &Request::Events, &mut row).map(drop)
    }

    fn export(&mut self, file: Option<&Path>) -> Result<(), ClientError> {
        let Some(path) = file else {
            return copy(self.socket, self.out);
        };
        // Under another name until it is whole: an export cut short must not replace a good one.
        let part = path.with_added_extension("part");
        let file = std::fs::File::create(&part).map_err(|error| cannot("write", &part, &error))?;
        let mut to = io::BufWriter::new(file);
        copy(self.socket, &mut to)?;
        keep(to, &part, path).map_err(|error| cannot("write", path, &error).into())
    }

    fn import(&mut self, file: &Path, yes: bool) -> Result<(), ClientError> {
        let text = std::fs::read_to_string(file).map_err(|error| cannot("read", file, &error))?;
        let request = |apply| Request::Import {
            text: text.clone(),
            apply,
        };
        let planned: Changes = from(ask(self.socket, &request(false), &mut |_| Ok(()))?)?;
        let nothing = planned.changes.is_empty();
        self.out
            .write_all(render::changes(&planned, "nothing to change").as_bytes())?;
        if nothing {
            return Ok(());
        }
        if !yes {
            if !io::stdin().is_terminal() {
                return Err(ClientError::NotConfirmed);
            }
            if !agreed(self.out)? {
                return Ok(());
            }
        }
        let done: Changes = from(ask(self.socket, &request(true), &mut |_| Ok(()))?)?;
        Ok(writeln!(
            self.out,
            "applied: {}",
            render::count(done.changes.len(), "change")
        )?)
    }
}

fn copy(socket: &Path, to: &mut dyn Write) -> Result<(), ClientError> {
    let mut piece = |item: Value| Ok(to.write_all(from::<String>(item)?.as_bytes())?);
    ask(socket, &Request::Export, &mut piece).map(drop)
}

/// Puts what was written to `part` on disk, and then in the place of `path`.
fn keep(to: io::BufWriter<std::fs::File>, part: &Path, path: &Path) -> io::Result<()> {
    let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(part, path)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> io::Error {
    let text = format!("cannot {what} {}: {error}", path.display());
    io::Error::new(error.kind(), text)
}

fn agreed(out: &mut dyn Write) -> io::Result<bool> {
    write!(out, "apply? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn event(item: Value) -> Result<String, ClientError> {
    if let Ok(lost) = serde_json::from_value::<Lost>(item.clone()) {
        return Ok(render::lost(lost));
    }
    Ok(render::happened(&from::<Happened>(item)?))
}

fn from<T: DeserializeOwned>(value: Value) -> Result<T, ClientError> {
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_that_cannot_be_written_names_its_file() {
        let mut out = Vec::new();
        let mut cli = Cli {
            socket: Path::new("/nowhere/control.sock"),
            json: false,
            out: &mut out,
        };
        let error = cli.export(Some(Path::new("/nowhere/leases.yaml")));
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write /nowhere/leases.yaml"),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_the_journal_is_shown_without_a_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory
            .path()
            .join("0000000000000001-00000002.segment.superseded");
        std::fs::write(&file, [0; 100]).unwrap();
        let show = |json: bool, file: &Path| {
            let mut out = Vec::new();
            let socket = Path::new("/nowhere/control.sock");
            let done = Cli {
                socket,
                json,
                out: &mut out,
            }
            .journal(file);
            done.map(|()| String::from_utf8(out).unwrap())
        };
        let end = r#"{"bytes":100,"offset":0,"what":"end"}"#;
        assert_eq!(show(true, &file).unwrap(), format!("{end}\n"));
        let page = show(false, &file).unwrap();
        assert!(page.ends_with("100 bytes of zeros\n"), "{page}");
        let error = show(false, Path::new("/nowhere/lock")).unwrap_err();
        assert!(
            error.to_string().contains("no file of a journal"),
            "{error}"
        );
    }

    #[test]
    fn a_client_is_described_by_arguments() {
        let line = "xdhcpctl explain --mac 02:00:00:00:00:01 --vlan 5,7 --relay 10.0.0.1 --arch 7 \
                    --vendor-class PXEClient --option 97=0x00 --option rack=7";
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Explain(question) = arguments.command else {
            panic!("{arguments:?}");
        };
        let expected = Question {
            mac: Some("02:00:00:00:00:01".into()),
            vlan: vec![5, 7],
            relay: Some([10, 0, 0, 1].into()),
            vendor_class: Some("PXEClient".into()),
            arch: Some(7),
            options: vec!["97=0x00".into(), "rack=7".into()],
            ..Question::default()
        };
        assert_eq!(question, expected);
    }

    #[test]
    fn a_refused_list_has_no_table() {
        let mut out = Vec::new();
        let mut cli = Cli {
            socket: Path::new("/nowhere/control.sock"),
            json: false,
            out: &mut out,
        };
        assert!(cli.list(&Request::Leases(Filter::default())).is_err());
        assert!(out.is_empty());
    }
}
