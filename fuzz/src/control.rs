//! The control socket: a line from whoever may connect, and what the request in it holds.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::control::protocol::{Line, Request, format_mac, parse_mac};
use dhcp_userspace::control::server::{Service, converse};
use dhcp_userspace::lease::yaml::{File, diff};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;

/// Longer files are as slow as they are long.
const LONGEST: usize = 64 << 10;
const NOW: Now = Now {
    boot: 1000 * SECOND,
    unix: 1_800_000_000 * SECOND,
};

pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        import(text);
        mac(text);
    }
    let answer = runtime().block_on(talk(data));
    let answer = String::from_utf8(answer).expect("JSON is text");
    let lines: Vec<Line> = answer
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is one of an answer"))
        .collect();
    assert!(!lines.is_empty(), "whoever asks is answered");
    let last = lines.iter().position(|line| !matches!(line, Line::Item(_)));
    assert!(last.is_none_or(|at| at + 1 == lines.len()), "{answer}");
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime")
    })
}

async fn talk(data: &[u8]) -> Vec<u8> {
    let answers = |request, item: &mut dyn FnMut(Value) -> bool| answer(&request, item);
    let service = Service::new(Arc::new(answers), broadcast::channel(2).0);
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let (mut read, mut write) = ours.into_split();
    let server = tokio::spawn(converse(theirs, service));
    let mut text = Vec::new();
    let send = async {
        // A server that has its line does not wait for more.
        let _ = write.write_all(data).await;
        let _ = write.shutdown().await;
    };
    let (_, ()) = tokio::join!(read.read_to_end(&mut text), send);
    let served = server.await;
    served.expect("the server does not panic").ok();
    if is_events(data) {
        text.extend(b"{\"done\":null}\n");
    }
    text
}

/// Events go on until the reader ends, without a last line.
fn is_events(data: &[u8]) -> bool {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<Request>(line).is_ok_and(|request| request == Request::Events)
}

fn answer(request: &Request, item: &mut dyn FnMut(Value) -> bool) -> Result<Value, String> {
    let again = serde_json::to_string(request).map_err(|error| error.to_string())?;
    let read: Request = serde_json::from_str(&again).expect("it was a request");
    assert_eq!(read, *request);
    match request {
        Request::Import { text, .. } => import(text),
        Request::Lease { key } => {
            let _ = (mac(key), key.parse::<Ipv4Addr>());
        }
        _ => {}
    }
    let _ = item(Value::String(again));
    Ok(Value::Null)
}

/// What is read is written as what is read again, and held against leases.
fn import(text: &str) {
    if text.len() > LONGEST {
        return;
    }
    match File::parse(text) {
        Ok(file) => {
            let again = File::parse(&file.to_string());
            assert_eq!(again.as_ref(), Ok(&file), "{file}");
            let _ = diff(&file, &[], NOW);
            for entry in &file.leases {
                let _ = entry.binding(NOW);
            }
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
}

fn mac(text: &str) {
    if let Some(mac) = parse_mac(text) {
        assert_eq!(parse_mac(&format_mac(&mac)), Some(mac));
    }
}
