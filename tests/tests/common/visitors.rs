//! Those who come to the server's other doors: administrators, Prometheus, firmware that fetches files,
//! and connections that nobody closes.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::lab::SERVER;
use xdhcpd_tests::{Daemon, Lab, Namespace};

use super::rounds::RELAY;

pub const METRICS: &str = "127.0.0.1:9547";
pub const FILE: &str = "kernel";
const FILE_BYTES: usize = 2 << 20;
const SMALL: &str = "config";
const SMALL_BYTES: usize = 20_000;
/// Connections that stay open at once.
const OPEN: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);
/// Who asks by UDP asks again after this time, so often.
const AGAIN: Duration = Duration::from_secs(4);
const ATTEMPTS: usize = 8;
/// Every how manieth round leaves a transfer behind: one client may have 16.
const LEFT: usize = 4;

/// What administrators ask, one question in each round.
const QUESTIONS: [&str; 9] = [
    r#"{"command":"status"}"#,
    r#"{"command":"leases"}"#,
    r#"{"command":"lease","key":"10.77.2.1"}"#,
    r#"{"command":"export"}"#,
    r#"{"command":"fastpath"}"#,
    r#"{"command":"boot"}"#,
    r#"{"command":"why","mac":"02:fd:00:00:00:01"}"#,
    r#"{"command":"explain","mac":"02:fc:00:00:00:01"}"#,
    r#"{"command":"guard-list"}"#,
];

#[expect(dead_code, reason = "held open, not used")]
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Visitors<'a> {
    server: &'a Namespace,
    client: &'a Namespace,
    control: PathBuf,
    open: VecDeque<Connection>,
    /// Whether nobody leaves anything open or half done.
    pub polite: bool,
    rounds: usize,
}

/// Makes the files that are fetched.
pub fn make_files(root: &std::path::Path) -> Result<()> {
    fs::create_dir_all(root)?;
    fs::write(root.join(FILE), vec![7; FILE_BYTES])?;
    Ok(fs::write(root.join(SMALL), vec![8; SMALL_BYTES])?)
}

impl<'a> Visitors<'a> {
    pub fn new(lab: &'a Lab, daemon: &Daemon) -> Self {
        Self {
            server: &lab.server,
            client: &lab.clients[0],
            control: daemon.directory().join("control.sock"),
            open: VecDeque::new(),
            polite: true,
            rounds: 0,
        }
    }

    pub fn round(&mut self) -> Result<()> {
        self.rounds += 1;
        self.ask(QUESTIONS[self.rounds % QUESTIONS.len()])?;
        self.scrape()?;
        self.fetch_by_http()?;
        self.fetch_by_tftp()?;
        self.ask_about_leases()?;
        if !self.polite {
            if self.rounds.is_multiple_of(LEFT) {
                self.ask_for_what_nobody_takes()?;
            }
            self.leave_open()?;
        }
        Ok(())
    }

    /// Everybody goes.
    pub fn leave(&mut self) {
        self.open.clear();
    }

    /// The numbers of the metrics, by name with labels.
    pub fn scrape(&self) -> Result<String> {
        let text = self.get(self.server, METRICS.parse()?, "/metrics")?;
        Ok(String::from_utf8(text)?)
    }

    /// Asks on the control socket; gives the last line of the answer.
    pub fn ask(&self, question: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.control)?;
        writeln!(stream, "{question}")?;
        let lines = BufReader::new(stream).lines();
        let last = lines.last().context("no answer")??;
        ensure!(last.starts_with("{\"done\""), "{question}: {last}");
        Ok(last)
    }

    fn get(&self, from: &Namespace, to: SocketAddr, path: &str) -> Result<Vec<u8>> {
        let mut stream = connect(from, to)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n");
        Ok(answer.split_off(body.context("no HTTP")? + 4))
    }

    fn fetch_by_http(&self) -> Result<()> {
        let file = self.get(self.client, http(), &format!("/{FILE}"))?;
        ensure!(file.len() == FILE_BYTES, "{} bytes by HTTP", file.len());
        self.get(self.client, http(), &format!("/missing-{}", self.rounds))?;
        Ok(())
    }

    /// A file, and one that is not there.
    fn fetch_by_tftp(&self) -> Result<()> {
        let fetched = self.patiently("a file by TFTP", |socket| tftp(socket, SMALL))?;
        ensure!(fetched == Some(SMALL_BYTES), "{fetched:?} bytes by TFTP");
        let name = format!("missing-{}", self.rounds);
        let fetched = self.patiently("a missing file", |socket| tftp(socket, &name))?;
        ensure!(fetched.is_none(), "a file that is not there was sent");
        Ok(())
    }

    /// Asks by UDP, and again if nothing comes.
    fn patiently<T>(&self, what: &str, ask: impl Fn(&UdpSocket) -> Result<T>) -> Result<T> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let socket = self.client.enter(|| UdpSocket::bind((RELAY, 0)))??;
            socket.set_read_timeout(Some(AGAIN))?;
            match ask(&socket) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = Some(error),
            }
        }
        Err(last
            .context("no attempt")?
            .context(format!("{what}, asked for {ATTEMPTS} times")))
    }

    fn ask_for_what_nobody_takes(&self) -> Result<()> {
        let gone = self.client.enter(|| UdpSocket::bind((RELAY, 0)))??;
        gone.send_to(&read_request(SMALL), (SERVER, 69))?;
        Ok(())
    }

    /// By UDP about one, by TCP about all.
    fn ask_about_leases(&self) -> Result<()> {
        let about = Ipv4Addr::new(10, 77, 2, self.rounds as u8 % 32);
        // The answer goes to the relay's port, where all is heard that relays hear.
        let ear = self.client.enter(|| UdpSocket::bind((RELAY, 67)))??;
        ear.set_read_timeout(Some(AGAIN))?;
        self.patiently("a lease query", |_| {
            ear.send_to(&lease_query(10, about), (SERVER, 67))?;
            let mut answer = [0; 1500];
            while answer[242] != 13 {
                ear.recv_from(&mut answer)?;
            }
            Ok(())
        })?;
        let mut stream = connect(self.client, (SERVER, 67).into())?;
        let query = lease_query(14, Ipv4Addr::UNSPECIFIED);
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat())?;
        loop {
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut message)?;
            if message[242] == 15 {
                return Ok(());
            }
        }
    }

    /// A connection of each kind in turn is opened and left so: idle ones, half a request, half an
    /// answer, a watcher.
    fn leave_open(&mut self) -> Result<()> {
        let connection = match self.rounds % 6 {
            0 => Connection::Tcp(connect(self.server, METRICS.parse()?)?),
            1 => Connection::Tcp(connect(self.client, http())?),
            2 => {
                let mut stream = connect(self.client, http())?;
                write!(stream, "GET /{FILE} HTTP/1.1\r\nHost: lab\r\n\r\n")?;
                stream.read_exact(&mut [0; 100])?;
                Connection::Tcp(stream)
            }
            3 => Connection::Tcp(connect(self.client, (SERVER, 67).into())?),
            4 => Connection::Unix(UnixStream::connect(&self.control)?),
            _ => {
                let mut stream = UnixStream::connect(&self.control)?;
                writeln!(stream, r#"{{"command":"events"}}"#)?;
                Connection::Unix(stream)
            }
        };
        self.open.push_back(connection);
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
        Ok(())
    }
}

fn http() -> SocketAddr {
    (SERVER, 80).into()
}

fn connect(from: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    let stream = from.enter(|| TcpStream::connect(to))?;
    let stream = stream.with_context(|| format!("could not connect to {to}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_request(name: &str) -> Vec<u8> {
    [&[0, 1][..], name.as_bytes(), b"\0octet\0"].concat()
}

/// Fetches a file and tells its length; none if it is refused.
fn tftp(socket: &UdpSocket, name: &str) -> Result<Option<usize>> {
    socket.send_to(&read_request(name), (SERVER, 69))?;
    let (mut block, mut fetched) = (1_u16, 0);
    loop {
        let mut packet = [0; 516];
        let (len, from) = socket.recv_from(&mut packet)?;
        if packet[..2] == [0, 5] {
            return Ok(None);
        }
        if packet[2..4] != block.to_be_bytes() {
            continue;
        }
        fetched += len - 4;
        socket.send_to(&[&[0, 4], &packet[2..4]].concat(), from)?;
        if len < packet.len() {
            return Ok(Some(fetched));
        }
        block += 1;
    }
}

fn lease_query(kind: u8, about: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[0] = 1;
    message[12..16].copy_from_slice(&about.octets());
    if kind == 10 {
        message[24..28].copy_from_slice(&RELAY.octets());
    }
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 255]);
    message
}
