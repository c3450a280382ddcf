//! Configurations: any text is one, or errors with their places; and what is one can be served.

use std::path::Path;
use std::sync::Arc;

use dhcp_common::slot::Link;
use dhcp_userspace::config::{self, Config, ConfigErrors, diff};
use dhcp_userspace::engine::Incoming;

use crate::class::message;
use crate::site::{Disk, LINKS, Site};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What this machine has in its files is no part of the input.
    if text.contains("include") {
        return;
    }
    match config::parse(text, Path::new("/nowhere/dhcp.yaml")) {
        Ok(config) => serve(config),
        Err(errors) => are_placed(&errors, text),
    }
}

fn are_placed(errors: &ConfigErrors, text: &str) {
    assert!(!errors.0.is_empty());
    let lines = u32::try_from(
        text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            .count(),
    );
    let lines = lines.expect("not so many lines");
    for error in &errors.0 {
        assert!(error.line <= lines, "{error}: there are {lines} lines");
        assert!(!error.problem.is_empty() && !error.to_string().is_empty());
        // The document as a whole has no place in it.
        assert!(error.line > 0 || error.path.is_empty(), "{error}");
    }
}

fn serve(config: Config) {
    assert_eq!(diff(&config, &config), Vec::<String>::new());
    let Some(mut site) = Site::new(Arc::new(config)) else {
        return;
    };
    let asked: [&[u8]; 3] = [
        b"\x37\x05\x01\x03\x06\x2b\xe0",
        b"\x3c\x20PXEClient:Arch:00007:UNDI:003016\x5d\x02\x00\x07\x37\x03\x2b\x42\x43",
        b"\x52\x07\x01\x05sw1/7",
    ];
    for options in asked {
        let payload = message(options);
        for ifindex in LINKS {
            let packet = broadcast(&payload, ifindex);
            let _ = site.send(&packet, Disk::Works);
        }
    }
    site.check_books();
}

fn broadcast(payload: &[u8], ifindex: u32) -> Incoming<'_> {
    Incoming {
        link: Link {
            ifindex,
            outer: 0,
            inner: 0,
        },
        l2: &[255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 1, 8, 0],
        source: [0, 0, 0, 0].into(),
        source_port: 68,
        destination: [255, 255, 255, 255].into(),
        destination_port: 67,
        payload,
        arrived: 0,
    }
}
