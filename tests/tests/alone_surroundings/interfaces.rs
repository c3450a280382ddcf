//! What happens to the interface that is served.

use anyhow::{Context, Result};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Campaign, Lab, Namespace, Veth, XdpPass};

use super::site::{Site, lab, yaml};

/// The cable's end in the switch.
const PORT: &str = "server";

#[test]
fn an_interface_that_comes_and_goes() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut site = Site::new(&lab, campaign)?.reloading(&yaml(&lab, "native"));
    site.strike("interface down and up", (1, 20), |site| {
        let from = site.log_len();
        site.ip("link set eth0 down")?;
        site.hear("it is down", from)?;
        site.ip("link set eth0 up")?;
        site.wait_mode("native")
    })?;
    site.strike("interface down and up at once", (3, 50), |site| {
        site.ip("link set eth0 down")?;
        site.ip("link set eth0 up")?;
        site.wait_mode("native")
    })?;
    site.strike("interface renamed, and back", (1, 20), |site| {
        for (old, new) in [("eth0", "lan0"), ("lan0", "eth0")] {
            site.rename(old, new)?;
            site.goes_on()?;
            site.verify()?;
        }
        Ok(())
    })?;
    let elsewhere = Namespace::new("elsewhere")?;
    let fault = "interface moved to another network namespace and back at once";
    site.strike(fault, (2, 20), |site| site.wander(&elsewhere))?;
    // Everything goes when its value does.
    let mut cables = Vec::new();
    site.strike("interface deleted and made anew", (1, 10), |site| {
        let from = site.log_len();
        let mac = site.lab.server.mac(INTERFACE)?;
        site.ip("link delete eth0")?;
        site.hear("it is gone", from)?;
        cables.push(plug_in_again(site.lab, mac)?);
        site.wait_mode("native")
    })?;
    site.end()
}

#[test]
fn an_address_that_changes() -> Result<()> {
    let (lab, campaign) = (lab()?, Campaign::from_env());
    let mut site = Site::new(&lab, campaign)?.reloading(&yaml(&lab, "native"));
    site.strike("address removed and added", (1, 20), |site| {
        let from = site.log_len();
        site.ip("address delete 10.77.0.1/16 dev eth0")?;
        site.hear("no IPv4 address any more", from)?;
        site.ip("address add 10.77.0.1/16 dev eth0")?;
        site.wait_mode("native")
    })?;
    site.strike("address removed and added at once", (3, 50), |site| {
        site.ip("address delete 10.77.0.1/16 dev eth0")?;
        site.ip("address add 10.77.0.1/16 dev eth0")?;
        site.wait_mode("native")
    })?;
    site.strike("address changed, and back", (1, 20), |site| {
        for (old, new) in [(SERVER, "10.77.0.2"), ("10.77.0.2".parse()?, "10.77.0.1")] {
            site.ip(&format!("address delete {old}/16 dev eth0"))?;
            site.ip(&format!("address add {new}/16 dev eth0"))?;
            // Only rebinding clients are answered by the one that they do not know.
            site.goes_on()?;
        }
        site.wait_mode("native")
    })?;
    site.end()
}

impl Site<'_> {
    fn ip(&self, arguments: &str) -> Result<()> {
        self.lab.server.ip(arguments)?;
        Ok(())
    }

    fn rename(&self, old: &str, new: &str) -> Result<()> {
        self.ip(&format!("link set {old} down"))?;
        self.ip(&format!("link set {old} name {new}"))?;
        self.ip(&format!("link set {new} up"))
    }

    /// Quicker than the daemon looks, and the interface keeps its index.
    fn wander(&self, elsewhere: &Namespace) -> Result<()> {
        let server = &self.lab.server;
        self.ip(&format!("link set eth0 netns {}", elsewhere.name()))?;
        elsewhere.ip(&format!("link set eth0 netns {}", server.name()))?;
        self.ip("link set eth0 up")?;
        self.ip(&format!("address add {SERVER}/16 dev eth0"))?;
        self.wait_mode("native")
    }
}

/// With the hardware address that clients know.
fn plug_in_again(lab: &Lab, mac: [u8; 6]) -> Result<(XdpPass, Veth)> {
    let cable = Veth::new((&lab.server, INTERFACE), (&lab.switch, PORT))?;
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    lab.switch.ip(&format!("link set {PORT} master br0"))?;
    lab.server
        .ip(&format!("link set {INTERFACE} address {mac}"))?;
    let pass = XdpPass::attach(&lab.switch, PORT).context("the far end")?;
    lab.server
        .ip(&format!("address add {SERVER}/16 dev {INTERFACE}"))?;
    Ok((pass, cable))
}
