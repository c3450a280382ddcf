//! What this server's own file service adds to what is configured of booting: who has the file,
//! and for firmware that boots over HTTP, its URL.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::context::Context;
use super::terms::Terms;
use crate::config::model::Boot;
use crate::packet::pxe::Firmware;

const TFTP_PORT: u16 = 69;
const HTTP_PORT: u16 = 80;
/// What a path in a URL does not have as it is (RFC 3986 section 3.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Context<'_> {
    /// The last word on where to boot from, once all levels have had theirs.
    pub(super) fn settle_boot(&self, terms: &mut Terms<'_>) {
        terms.next_server = terms.boot.next_server;
        if !is_path(&terms.boot.file) {
            return;
        }
        if Firmware::of(self.request) == Some(Firmware::Http) {
            self.make_url(terms);
        } else if terms.next_server.is_none() {
            terms.next_server = self.tftp_address(terms.own);
        }
    }

    /// Firmware has no other port than TFTP's.
    fn tftp_address(&self, own: Ipv4Addr) -> Option<Ipv4Addr> {
        let tftp = self.state.config.boot.as_ref()?.tftp?;
        let bound = Some(*tftp.ip()).filter(|ip| !ip.is_unspecified());
        (tftp.port() == TFTP_PORT).then_some(bound.unwrap_or(own))
    }

    fn make_url(&self, terms: &mut Terms<'_>) {
        let service = self.state.config.boot.as_ref();
        let Some(http) = service.and_then(|service| service.http) else {
            return;
        };
        terms.hangs_on_addresses = terms.next_server.is_some();
        if let Some(host) = self.http_host(http, terms) {
            terms.boot = Cow::Owned(Boot {
                file: url(host, http.port(), &terms.boot.file),
                ..Boot::clone(&terms.boot)
            });
        }
    }

    /// Whether another host has the file by HTTP, and on which port, is not known.
    fn http_host(&self, http: SocketAddr, terms: &Terms<'_>) -> Option<Ipv4Addr> {
        let bound = match http.ip() {
            ip if ip.is_unspecified() => None,
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => return None,
        };
        let next = terms.next_server.unwrap_or(terms.own);
        let here = next == terms.own || Some(next) == bound || self.state.is_ours(next);
        here.then_some(bound.unwrap_or(next))
    }
}

/// A file by its name alone.
fn is_path(file: &str) -> bool {
    !file.is_empty() && !file.contains("://")
}

fn url(host: Ipv4Addr, port: u16, file: &str) -> String {
    let path = utf8_percent_encode(file.trim_start_matches('/'), ESCAPED);
    match port {
        HTTP_PORT => format!("http://{host}/{path}"),
        _ => format!("http://{host}:{port}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_url_and_a_url_stays() {
        let host = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(url(host, 80, "a/b_1.efi"), "http://10.0.0.1/a/b_1.efi");
        assert_eq!(url(host, 8080, "/a.efi"), "http://10.0.0.1:8080/a.efi");
        assert_eq!(
            url(host, 80, "a b%#?.efi"),
            "http://10.0.0.1/a%20b%25%23%3F.efi"
        );
        assert!(is_path("a.efi"));
        for other in ["", "http://h/a", "https://h/a", "TFTP://h/a"] {
            assert!(!is_path(other), "{other}");
        }
    }
}
