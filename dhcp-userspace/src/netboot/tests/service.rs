use std::net::{TcpStream, UdpSocket};

use super::*;

#[test]
fn a_port_that_is_taken_names_who_has_it() {
    let site = Site::new(1);
    let second = Netboot::default();
    let (me, port) = (std::process::id(), site.tftp().port());
    let config = FileService {
        tftp: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)),
        http: None,
        ..site.config.clone()
    };
    let error = second.apply(Some(&config)).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("boot.tftp: 127.0.0.1:{port} is in use by ")),
        "{error}"
    );
    assert!(error.contains(&format!("(pid {me})")), "{error}");
    let config = FileService {
        tftp: None,
        http: Some(site.http()),
        ..site.config.clone()
    };
    let error = second.apply(Some(&config)).unwrap_err().to_string();
    assert!(
        error.starts_with("boot.http: ") && error.contains(&format!("(pid {me})")),
        "{error}"
    );
    assert_eq!(second.report(), None);
}

#[test]
fn a_root_that_is_missing_is_named() {
    let site = Site::new(1);
    let config = FileService {
        root: site.path("nothing"),
        ..site.config.clone()
    };
    let error = site.netboot.apply(Some(&config)).unwrap_err();
    assert!(
        matches!(&error, NetbootError::Root { path, .. } if *path == config.root),
        "{error}"
    );
    assert_eq!(site.report().root, site.config.root, "all is as before");
}

#[test]
fn another_root_and_other_places_by_a_reload() {
    let site = Site::new(4);
    site.file("old", 3);
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("new"), "new").unwrap();
    let (tftp, http) = (site.tftp(), site.http());
    let mut config = FileService {
        root: other.path().to_owned(),
        ..site.config.clone()
    };
    site.netboot.apply(Some(&config)).unwrap();
    assert_eq!(
        (site.tftp(), site.http()),
        (tftp, http),
        "no listener was touched"
    );
    assert!(get(http, "new").starts_with("HTTP/1.1 200"));
    assert!(get(http, "old").starts_with("HTTP/1.1 404"));

    // From a port of one address to the same of all: the old listener has to go first.
    config.http = Some((Ipv4Addr::UNSPECIFIED, http.port()).into());
    config.tftp = None;
    site.netboot.apply(Some(&config)).unwrap();
    assert_eq!(
        (site.http().ip(), site.report().tftp),
        (Ipv4Addr::UNSPECIFIED.into(), None)
    );
    assert!(get(http, "new").starts_with("HTTP/1.1 200"));
    UdpSocket::bind(tftp).unwrap();

    site.netboot.apply(None).unwrap();
    assert_eq!(site.netboot.report(), None);
    assert!(TcpStream::connect(http).is_err());
}

#[test]
fn a_reload_that_fails_leaves_the_services_as_they_were() {
    let site = Site::new(4);
    site.file("f", 3);
    let (tftp, http) = (site.tftp(), site.http());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = site.config.clone();
    config.tftp = Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, tftp.port()));
    config.http = Some((Ipv4Addr::LOCALHOST, http.port()).into());
    site.netboot.apply(Some(&config)).unwrap();
    let broken = FileService {
        tftp: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
        http: Some(taken.local_addr().unwrap()),
        ..config.clone()
    };
    let error = site.netboot.apply(Some(&broken)).unwrap_err();
    assert!(
        matches!(
            error,
            NetbootError::InUse {
                service: "http",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!((site.tftp(), site.http()), (tftp, http));
    assert!(get(http, "f").starts_with("HTTP/1.1 200"));
}

fn get(address: SocketAddr, name: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /{name} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace("HTTP/1.0", "HTTP/1.1")
}
