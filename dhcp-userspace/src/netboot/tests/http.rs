use std::io::{Read, Write};
use std::net::TcpStream;

use super::super::books::MAX_PER_CLIENT;
use super::*;

/// Sends a request as it stands, and reads until the server closes.
fn ask(site: &Site, request: &str) -> String {
    let mut stream = TcpStream::connect(site.http()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(site: &Site, path: &str, headers: &str) -> String {
    ask(
        site,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"),
    )
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn status(answer: &str) -> &str {
    &answer[9..12]
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_file_with_its_headers() {
    let site = Site::new(4);
    std::fs::write(site.path("a.efi"), "0123456789").unwrap();
    let answer = get(&site, "/a%2eefi?x=1", "");
    assert_eq!((status(&answer), body(&answer)), ("200", "0123456789"));
    assert_eq!(header(&answer, "content-type"), Some("application/efi"));
    assert_eq!(header(&answer, "content-length"), Some("10"));
    assert_eq!(header(&answer, "accept-ranges"), Some("bytes"));
    assert!(header(&answer, "date").is_some());

    let head = ask(
        &site,
        "HEAD /a.efi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((status(&head), body(&head)), ("200", ""));
    assert_eq!(header(&head, "content-length"), Some("10"));
    assert_eq!(header(&head, "etag"), header(&answer, "etag"));

    let part = get(&site, "/a.efi", "Range: bytes=2-4\r\n");
    assert_eq!((status(&part), body(&part)), ("206", "234"));
    assert_eq!(header(&part, "content-range"), Some("bytes 2-4/10"));
    let past = get(&site, "/a.efi", "Range: bytes=10-\r\n");
    assert_eq!(status(&past), "416");
    assert_eq!(header(&past, "content-range"), Some("bytes */10"));

    let etag = header(&answer, "etag").unwrap();
    let same = get(&site, "/a.efi", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((status(&same), body(&same)), ("304", ""));
    let old = get(&site, "/a.efi", "Range: bytes=2-4\r\nIf-Range: \"old\"\r\n");
    assert_eq!((status(&old), body(&old)), ("200", "0123456789"));
    let changed = get(&site, "/a.efi", "If-Match: \"old\"\r\n");
    assert_eq!(status(&changed), "412");
    let totals = site.wait(Protocol::Http, |totals| totals.complete == 3);
    assert_eq!((totals.asked, totals.bytes), (4, 23));
}

#[test]
fn an_empty_file() {
    let site = Site::new(4);
    site.file("e", 0);
    let answer = get(&site, "/e", "");
    assert_eq!(
        (status(&answer), header(&answer, "content-length")),
        ("200", Some("0"))
    );
    site.wait(Protocol::Http, |totals| totals.complete == 1);
}

#[test]
fn what_is_refused() {
    let site = Site::new(4);
    std::fs::create_dir(site.path("d")).unwrap();
    let rows = [
        ("/nothing", "404"),
        ("/", "404"),
        ("/d", "403"),
        ("/d/", "403"),
        ("/../secret", "403"),
        ("/%2e%2e/secret", "403"),
        ("/..%5csecret", "403"),
        ("/d%00", "404"),
    ];
    for (path, want) in rows {
        assert_eq!(status(&get(&site, path, "")), want, "{path}");
    }
    let post = ask(
        &site,
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(
        (status(&post), header(&post, "allow")),
        ("405", Some("GET, HEAD"))
    );
    let nonsense = ask(&site, "hello\r\n\r\n");
    assert_eq!(status(&nonsense), "400");
}

#[test]
fn one_connection_for_many_files() {
    let site = Site::new(1);
    site.file("a", 3);
    let one = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = ask(&site, &format!("{one}{one}{last}"));
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    site.wait(Protocol::Http, |totals| totals.complete == 3);
}

#[test]
fn without_a_place_there_is_a_time_to_come_again() {
    let site = Site::new(1);
    site.file("a", 3);
    let first = fetching(&site);
    let busy = ask(&site, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        (status(&busy), header(&busy, "retry-after")),
        ("503", Some("2"))
    );
    assert_eq!(header(&busy, "connection"), Some("close"));
    drop(first);
    assert_eq!(status(&get(&site, "/a", "")), "200", "waits for the place");
}

/// A client that has begun to fetch a large file.
fn fetching(site: &Site) -> TcpStream {
    let file = std::fs::File::create(site.path("big")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut client = TcpStream::connect(site.http()).unwrap();
    client
        .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    client
}

#[test]
fn idle_connections_hold_no_place() {
    let site = Site::new(1);
    site.file("a", 3);
    let mut idle = TcpStream::connect(site.http()).unwrap();
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    idle.write_all(request).unwrap();
    site.wait(Protocol::Http, |totals| totals.complete == 1);
    let silent: Vec<_> = (2..MAX_PER_CLIENT)
        .map(|_| TcpStream::connect(site.http()).unwrap())
        .collect();
    assert_eq!(status(&get(&site, "/a", "")), "200");
    idle.write_all(request).unwrap();
    let totals = site.wait(Protocol::Http, |totals| totals.complete == 3);
    assert_eq!(totals.busy, 0);
    drop(silent);
}

#[test]
fn one_client_has_so_many_connections_only() {
    let site = Site::new(100);
    let mut all: Vec<_> = (0..=MAX_PER_CLIENT)
        .map(|_| TcpStream::connect(site.http()).unwrap())
        .collect();
    site.wait(Protocol::Http, |totals| totals.busy == 1);
    let closed = all.last_mut().unwrap().read(&mut [0]);
    assert_eq!(closed.unwrap(), 0, "at once");
}

/// The server reads ahead of a slow client by little, and notices when it goes.
#[test]
fn a_client_that_goes_away() {
    let site = Site::new(1);
    let file = std::fs::File::create(site.path("big")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut client = TcpStream::connect(site.http()).unwrap();
    client
        .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    let report = site.report();
    assert_eq!(
        (report.transfers[0].of, report.transfers[0].file.as_str()),
        (1 << 30, "big")
    );
    drop(client);
    let totals = site.wait(Protocol::Http, |totals| totals.aborted == 1);
    assert!(totals.bytes < 1 << 28, "{totals:?}");
}

#[test]
fn a_file_that_shrinks_is_not_taken_for_whole() {
    let site = Site::new(1);
    let file = std::fs::File::create(site.path("big")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut client = TcpStream::connect(site.http()).unwrap();
    client
        .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    file.set_len(5).unwrap();
    let read = std::io::copy(&mut client, &mut std::io::sink());
    assert!(read.map_or(true, |bytes| bytes < (1 << 30) - 1000));
    site.wait(Protocol::Http, |totals| totals.aborted == 1);
}
