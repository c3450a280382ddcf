//! Boot files, from the configuration to the control socket and the metrics.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;

use super::super::answer::answer;
use super::super::report;
use super::super::shared::Shared;
use super::{CONFIG, start_as, write};
use crate::config::model::FileService;
use crate::config::{self, Config};
use crate::control::protocol::Request;
use crate::net::tests::wire;
use crate::netboot::Report;

fn config(path: &Path, root: &Path) -> Config {
    let mut config = config::load(path).unwrap();
    config.boot = Some(FileService {
        root: root.to_owned(),
        tftp: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 69)),
        http: Some("127.0.0.1:80".parse().unwrap()),
        max_transfers: 10,
    });
    config
}

fn ask(shared: &Shared) -> Result<Report, String> {
    let answer = answer(shared, Request::Boot, &mut |_| true)?;
    Ok(serde_json::from_value(answer).unwrap())
}

fn get(address: SocketAddr, name: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /{name} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// As at boot: the root is not mounted yet, and the port is held by a program that ends.
#[test]
fn leases_do_not_wait_for_boot_files() {
    wire::on_veth(|_, _| {
        wire::ip("link set lo up");
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, CONFIG);
        let root = directory.path().join("boot");
        let holder = TcpListener::bind("127.0.0.1:80").unwrap();
        let (daemon, shared) = start_as(&path, config(&path, &root));
        let mut events = shared.core.events.subscribe();
        let error = ask(&shared).unwrap_err();
        let missing = format!("{} cannot be served (No such file", root.display());
        assert!(error.contains(&missing), "{error}");
        let metrics = || shared.core.metrics.render(&report::state(&shared));
        assert!(metrics().contains("\nxdhcpd_boot_served 0\n"));

        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "abc").unwrap();
        // The error is another one now, which is told.
        assert_eq!(events.blocking_recv().unwrap().kind, "boot-files");
        let error = ask(&shared).unwrap_err();
        assert!(error.contains("127.0.0.1:80 is in use by"), "{error}");
        drop(holder);
        assert_eq!(events.blocking_recv().unwrap().kind, "boot-files-end");
        let http = ask(&shared).unwrap().http.unwrap();
        assert!(get(http, "a").ends_with("\r\n\r\nabc"));
        assert!(metrics().contains("\nxdhcpd_boot_served 1\n"));

        assert_eq!(ask(&shared).unwrap().trouble, None);
        std::fs::remove_dir_all(&root).unwrap();
        let trouble = ask(&shared).unwrap().trouble.unwrap();
        assert!(trouble.contains(&missing), "{trouble}");
        daemon.stop().unwrap();
    });
}

#[test]
fn boot_files_come_and_go_with_the_configuration() {
    wire::on_veth(|_, _| {
        wire::ip("link set lo up");
        let directory = tempfile::tempdir().unwrap();
        let path = write(&directory, CONFIG);
        let root = directory.path().join("boot");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "abc").unwrap();
        let (daemon, shared) = start_as(&path, config(&path, &root));
        let http = ask(&shared).unwrap().http.unwrap();
        assert!(get(http, "a").ends_with("\r\n\r\nabc"));
        assert!(get(http, "b").contains(" 404 "));
        assert_eq!(ask(&shared).unwrap().not_found[0].file, "b");
        let metrics = shared.core.metrics.render(&report::state(&shared));
        let want = "xdhcpd_boot_requests_total{protocol=\"http\",result=\"not-found\"} 1\n";
        assert!(metrics.contains(want), "{metrics}");

        // The file on disk has no `boot`.
        answer(&shared, Request::Reload, &mut |_| true).unwrap();
        let error = ask(&shared).unwrap_err();
        assert!(error.contains("set boot.root"), "{error}");
        assert!(TcpStream::connect(http).is_err());
        daemon.stop().unwrap();
    });
}
