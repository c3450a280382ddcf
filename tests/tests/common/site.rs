//! The usual lab with a daemon in it, and real clients at its switch.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Binaries, Client, Daemon, Kind, Lab, RawSocket};

use super::books::{self, mac_text};
use super::message::Message;

/// For what a real client does in its own time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon goes first, then the lab.
pub struct Site {
    pub daemon: Daemon,
    pub lab: Lab,
}

impl Site {
    /// `mode` is native or generic; `times` and `subnet` are more keys of the defaults and of the
    /// subnet, in YAML.
    pub fn new(clients: usize, mode: &str, times: &str, subnet: &str) -> Result<Self> {
        super::root();
        let lab = Lab::new(clients)?;
        let yaml = yaml(&lab, mode, times, subnet);
        let directory = lab.directory("xdhcpd")?;
        let daemon = Daemon::start(&Binaries::find()?, &lab.server, &directory, &yaml)?;
        books::expect_mode(&daemon, INTERFACE, mode)?;
        Ok(Self { daemon, lab })
    }

    /// Starts a client in the namespace of this number.
    pub fn client(&self, kind: Kind, number: usize) -> Result<Client> {
        let directory = self.lab.directory(&format!("{kind}-{number}"))?;
        Client::start(kind, &self.lab.clients[number], &directory)
    }

    /// The same with the files of its first start forgotten.
    pub fn client_anew(&self, kind: Kind, number: usize) -> Result<Client> {
        let directory = self.lab.directory(&format!("{kind}-{number}-anew"))?;
        self.lab.clients[number].ip(&format!("address flush dev {INTERFACE}"))?;
        Client::start(kind, &self.lab.clients[number], &directory)
    }

    /// One client of each kind, all bound.
    pub fn clients(&self) -> Result<Vec<(Client, Ipv4Addr)>> {
        let kinds = Kind::ALL.into_iter().enumerate();
        let started = kinds.map(|(number, kind)| self.client(kind, number));
        let started = started.collect::<Result<Vec<_>>>()?;
        let bind = |mut client: Client| {
            let address = client.wait_bound(PATIENCE)?;
            Ok((client, address))
        };
        started.into_iter().map(bind).collect()
    }

    /// The MAC of a client, as text.
    pub fn mac(&self, number: usize) -> Result<String> {
        Ok(mac_text(self.lab.clients[number].mac(INTERFACE)?))
    }

    /// Hears what a client sends.
    pub fn sent_by(&self, number: usize) -> Result<RawSocket> {
        RawSocket::open(&self.lab.switch, &format!("client{number}"))
    }

    /// Hears what a client receives.
    pub fn received_by(&self, number: usize) -> Result<RawSocket> {
        RawSocket::open(&self.lab.clients[number], INTERFACE)
    }

    /// Every renewal so far was answered in the kernel: `times` or more, none by the daemon.
    pub fn expect_kernel_alone(&self, times: u64) -> Result<()> {
        let hits = books::hits(&self.daemon)?;
        ensure!(
            hits >= times,
            "{hits} of {times} renewals in the kernel: {}",
            self.fast_path()?
        );
        let daemon = books::replies(&self.daemon, "renew")?;
        ensure!(
            daemon == 0,
            "the daemon answered {daemon} renewals: {}",
            self.fast_path()?
        );
        Ok(())
    }

    fn fast_path(&self) -> Result<String> {
        self.daemon.ctl_text(&["fastpath"])
    }
}

/// The next DHCP message that is like this.
pub fn hear(ear: &RawSocket, what: &str, like: impl Fn(&Message) -> bool) -> Result<Vec<u8>> {
    let wanted = |frame: &[u8]| Message::read(frame).is_some_and(|message| like(&message));
    ear.receive_that(PATIENCE, wanted)?
        .with_context(|| format!("heard no {what}"))
}

/// The configuration of a [`Site`].
pub fn yaml(lab: &Lab, mode: &str, times: &str, subnet: &str) -> String {
    let bpffs = lab.bpffs().display();
    format!(
        "\
interfaces: [{INTERFACE}]
server: {{state_dir: @DIR@/state, control_socket: @DIR@/control.sock}}
fast_path: {{mode: {mode}, pin_dir: {bpffs}/xdhcpd}}
defaults: {{{times}}}
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.1.0-10.77.1.255]
    options: {{routers: [{SERVER}], domain-name-servers: [{SERVER}], domain-name: lab.example}}
{subnet}"
    )
}
