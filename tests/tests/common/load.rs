//! Clients of all habits that never stop, whatever becomes of the server: they repeat what is not answered, begin
//! anew when they are refused, and leave it to the ledger to judge what they are told.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, ensure};
use dhcp_userspace::clock::{Now, SECOND};
use xdhcpd_tests::lab::{INTERFACE, SERVER};
use xdhcpd_tests::{Lab, RawSocket};

use super::message::{ACK, DISCOVER, EVERYBODY, Mac, Message, NAK, OFFER, RELEASE, REQUEST};
use super::random::Random;

const MILLISECOND: u64 = 1_000_000;
/// Shorter than real clients' patience, so that pauses are measured finely.
const AGAIN: u64 = 250 * MILLISECOND;
/// After so many a client without a lease begins anew.
const ATTEMPTS: u32 = 8;
/// How long a client with a lease is content.
const REST: u64 = 500 * MILLISECOND;
const TICK: Duration = Duration::from_millis(2);
/// For the last renewals, and only while the server runs.
const PATIENCE: u64 = 60 * SECOND;

/// What a client does when it has rested.
#[derive(Clone, Copy)]
enum Habit {
    /// Renews with the same bytes each time: the fast path knows the answer.
    Renew,
    /// Renews with another host name each time: the engine has to answer.
    Change,
    /// Asks everybody for more time.
    Rebind,
    /// Forgets all but its address.
    Reboot,
    /// Gives its address back, and asks for one.
    Release,
    /// Goes for good without a word; another client comes in its place.
    Vanish,
}

/// Of ten clients, these have which habit.
const HABITS: [Habit; 10] = [
    Habit::Renew,
    Habit::Renew,
    Habit::Renew,
    Habit::Renew,
    Habit::Change,
    Habit::Change,
    Habit::Rebind,
    Habit::Reboot,
    Habit::Release,
    Habit::Vanish,
];

#[derive(Clone, Copy)]
struct Lease {
    address: Ipv4Addr,
    until: u64,
}

#[derive(Clone, Copy)]
enum State {
    /// Wants an address.
    Init,
    Selecting,
    Requesting(Ipv4Addr),
    Bound(Lease),
    Asking(Lease, Habit),
}

struct Client {
    habit: Habit,
    mac: Mac,
    state: State,
    xid: u32,
    /// When its transaction began.
    began: u64,
    attempts: u32,
    /// When it acts next.
    next: u64,
    renewals: u32,
}

/// Runs until [`Self::finish`].
pub struct Load {
    closing: Arc<AtomicBool>,
    abandoned: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Load {
    /// So many clients on a cable. What they do follows from the seed, when they do it from the server too.
    pub fn start(lab: &Lab, cable: usize, clients: usize, seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let crowd = Crowd {
            socket: RawSocket::open(&lab.clients[cable], INTERFACE)?,
            server: lab.server.mac(INTERFACE)?,
            open: HashMap::new(),
            next_mac: (cable as u32) << 20,
            // The same clients may have been here before.
            next_xid: random.next() as u32,
            random,
            gone: Vec::new(),
            abandoned: Arc::default(),
        };
        let abandoned = Arc::clone(&crowd.abandoned);
        let closing = Arc::<AtomicBool>::default();
        let close = Arc::clone(&closing);
        Ok(Self {
            closing,
            abandoned,
            thread: Some(thread::spawn(move || crowd.run(clients, &close))),
        })
    }

    /// Nobody asks for anything new. Everybody who has a lease renews it once more, those who went without a word too:
    /// an error if any of them hears nothing.
    pub fn finish(mut self) -> Result<()> {
        self.closing.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is finished once");
        thread.join().expect("the clients do not panic")
    }
}

impl Drop for Load {
    /// After a failure no client is waited for, but their cable is not needed any more then.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Crowd {
    socket: RawSocket,
    server: Mac,
    random: Random,
    /// Whose transaction it is.
    open: HashMap<u32, usize>,
    next_mac: u32,
    next_xid: u32,
    gone: Vec<(Mac, Lease)>,
    abandoned: Arc<AtomicBool>,
}

impl Crowd {
    fn run(mut self, number: usize, closing: &AtomicBool) -> Result<()> {
        let habits = (0..number).map(|number| HABITS[number % HABITS.len()]);
        let mut clients: Vec<_> = habits.map(|habit| self.client(habit)).collect();
        while !closing.load(Ordering::Relaxed) {
            self.turn(&mut clients)?;
        }
        self.close(&mut clients)
    }

    /// One after the other, as on a morning.
    fn client(&mut self, habit: Habit) -> Client {
        let begins = self.random.below(REST as usize) as u64;
        Client {
            habit,
            mac: self.new_mac(),
            state: State::Init,
            xid: 0,
            began: 0,
            attempts: 0,
            next: now() + begins,
            renewals: 0,
        }
    }

    fn new_mac(&mut self) -> Mac {
        self.next_mac += 1;
        let [a, b, c, d] = self.next_mac.to_be_bytes();
        [0x02, 0x10, a, b, c, d]
    }

    /// All who are due act, then what has come in is read.
    fn turn(&mut self, clients: &mut [Client]) -> Result<()> {
        let time = now();
        for (number, client) in clients.iter_mut().enumerate() {
            if client.next <= time {
                self.act(number, client, time);
            }
        }
        while let Some(frame) = self.socket.receive(TICK)? {
            let reply = Message::read(&frame).filter(|reply| !reply.is_request());
            if let Some(reply) = reply
                && let Some(number) = self.open.get(&reply.xid)
                && clients[*number].mac == reply.chaddr
            {
                self.hear(&mut clients[*number], &reply);
            }
            if clients.iter().any(|client| client.next <= now()) {
                break;
            }
        }
        Ok(())
    }

    fn act(&mut self, number: usize, client: &mut Client, time: u64) {
        match client.state {
            State::Init => self.begin(number, client, State::Selecting, time),
            State::Selecting | State::Requesting(_) if client.attempts >= ATTEMPTS => {
                self.begin(number, client, State::Selecting, time);
            }
            State::Bound(lease) | State::Asking(lease, _) if lease.until <= time => {
                self.begin(number, client, State::Selecting, time);
            }
            State::Bound(lease) => self.use_habit(number, client, lease, time),
            _ => {}
        }
        client.attempts += 1;
        client.next = time + AGAIN;
        self.send(&client.request(self.server));
    }

    fn use_habit(&mut self, number: usize, client: &mut Client, lease: Lease, time: u64) {
        client.renewals += 1;
        match client.habit {
            Habit::Release => {
                self.send(&client.release(self.server, lease.address));
                self.begin(number, client, State::Selecting, time);
            }
            // Now and then, or the pool would soon be full of them.
            Habit::Vanish if client.renewals.is_multiple_of(4) => {
                self.gone.push((client.mac, lease));
                client.mac = self.new_mac();
                self.begin(number, client, State::Selecting, time);
            }
            habit => self.begin(number, client, State::Asking(lease, habit), time),
        }
    }

    /// Another transaction.
    fn begin(&mut self, number: usize, client: &mut Client, state: State, time: u64) {
        self.open.remove(&client.xid);
        self.next_xid = self.next_xid.wrapping_add(1);
        client.xid = self.next_xid;
        client.began = time;
        client.attempts = 0;
        client.state = state;
        self.open.insert(client.xid, number);
    }

    /// What the interface refuses while it is down, is sent again later.
    fn send(&self, message: &Message) {
        let _ = self.socket.send(&message.frame());
    }

    fn hear(&mut self, client: &mut Client, reply: &Message) {
        let time = now();
        match (client.state, reply.kind()) {
            (State::Selecting, Some(OFFER)) => {
                client.state = State::Requesting(reply.yiaddr);
                client.attempts = 0;
                client.next = time;
            }
            (State::Requesting(_) | State::Asking(..), Some(ACK)) => {
                let address = reply.yiaddr;
                let until = client.began + lease_time(reply);
                client.state = State::Bound(Lease { address, until });
                client.next = time + REST / 2 + self.random.below(REST as usize) as u64;
            }
            (State::Requesting(_) | State::Asking(..), Some(NAK)) => {
                client.state = State::Init;
                client.next = time;
            }
            _ => {}
        }
    }

    /// The last renewals.
    fn close(mut self, clients: &mut Vec<Client>) -> Result<()> {
        let start = now();
        clients.retain(|client| matches!(client.state, State::Bound(_) | State::Asking(..)));
        for (mac, lease) in std::mem::take(&mut self.gone) {
            let mut client = self.client(Habit::Renew);
            (client.mac, client.state) = (mac, State::Bound(lease));
            clients.push(client);
        }
        self.open.clear();
        for (number, client) in clients.iter_mut().enumerate() {
            if let State::Bound(lease) | State::Asking(lease, _) = client.state {
                let state = State::Asking(lease, Habit::Renew);
                self.begin(number, client, state, start);
                client.next = start;
            }
        }
        let mut silent = clients.len();
        while silent > 0 && now() < start + PATIENCE && !self.abandoned.load(Ordering::Relaxed) {
            clients.iter_mut().for_each(Client::stay);
            self.turn(clients)?;
            silent = clients.iter().filter(|client| client.waits()).count();
        }
        ensure!(silent == 0, "{silent} clients got no answer to a renewal");
        Ok(())
    }
}

impl Client {
    /// Whether it has a lease and no answer to its last renewal.
    fn waits(&self) -> bool {
        matches!(self.state, State::Asking(lease, _) if lease.until > now())
    }

    /// Who waits for nothing does nothing more.
    fn stay(&mut self) {
        if !self.waits() {
            self.next = u64::MAX;
        }
    }

    fn request(&self, server: Mac) -> Message {
        match self.state {
            State::Requesting(address) => {
                let request = self.message(REQUEST).with(50, &address.octets());
                request.with(54, &SERVER.octets())
            }
            State::Asking(lease, habit) => self.ask_for_more(server, lease.address, habit),
            _ => self.message(DISCOVER),
        }
    }

    fn ask_for_more(&self, server: Mac, address: Ipv4Addr, habit: Habit) -> Message {
        let renewal = Message {
            to_mac: server,
            source: address,
            destination: SERVER,
            ciaddr: address,
            ..self.message(REQUEST)
        };
        match habit {
            Habit::Change => renewal.with(12, format!("name{}", self.renewals).as_bytes()),
            Habit::Rebind => Message {
                to_mac: EVERYBODY,
                destination: Ipv4Addr::BROADCAST,
                ..renewal
            },
            Habit::Reboot => self.message(REQUEST).with(50, &address.octets()),
            _ => renewal,
        }
    }

    fn release(&self, server: Mac, address: Ipv4Addr) -> Message {
        let release = Message {
            to_mac: server,
            source: address,
            destination: SERVER,
            ciaddr: address,
            ..Message::new(RELEASE, self.mac, self.xid)
        };
        let identifier = [&[1][..], &self.mac].concat();
        release.with(54, &SERVER.octets()).with(61, &identifier)
    }

    fn message(&self, kind: u8) -> Message {
        let identifier = [&[1][..], &self.mac].concat();
        let message = Message::new(kind, self.mac, self.xid).with(61, &identifier);
        message.with(55, &[1, 3, 6, 15, 51, 54, 58, 59])
    }
}

fn lease_time(reply: &Message) -> u64 {
    let time = reply.option(51).and_then(|time| time.try_into().ok());
    u64::from(time.map_or(0, u32::from_be_bytes)) * SECOND
}

fn now() -> u64 {
    Now::read().boot
}
