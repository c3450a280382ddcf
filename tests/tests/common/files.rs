//! The file services of a lab.

use std::path::PathBuf;

use anyhow::{Context, Result};
use dhcp_userspace::config::model::FileService;
use dhcp_userspace::netboot::Netboot;
use dhcp_userspace::netboot::report::{Protocol, Report, Totals};
use xdhcpd_tests::Lab;

pub struct Files {
    pub root: PathBuf,
    netboot: Netboot,
}

pub fn services(lab: &Lab) -> Result<Files> {
    let root = lab.directory("boot")?;
    let netboot = lab.server.enter(|| {
        let netboot = Netboot::default();
        let config = FileService {
            root: root.clone(),
            tftp: Some("0.0.0.0:69".parse().unwrap()),
            http: Some("0.0.0.0:80".parse().unwrap()),
            max_transfers: 100,
        };
        netboot.apply(Some(&config)).map(|()| netboot)
    })??;
    Ok(Files { root, netboot })
}

impl Files {
    pub fn report(&self) -> Result<Report> {
        self.netboot.report().context("off")
    }
    pub fn totals(&self, protocol: Protocol) -> Result<Totals> {
        let report = self.report()?;
        report
            .totals
            .into_iter()
            .find(|t| t.protocol == protocol)
            .context("none")
    }
}
