//! "Is anybody there?" beyond routers and relays: ICMP echo (RFC 792).

use std::hash::BuildHasher;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use dhcp_common::wire::Sum;
use foldhash::fast::RandomState;
use socket2::{Domain, Protocol, Socket, Type};

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const HEADER: usize = 8;
const LEN: usize = HEADER + size_of::<u64>();
/// More than any header and reply to us has.
const ROOM: usize = 256;
/// `linux/icmp.h`: a mask of the types that are not received.
const ICMP_FILTER: libc::c_int = 1;

/// A socket for echo requests. Each bears a secret in place of an identifier, so that an answer
/// cannot be made up by who has not seen the question.
pub struct Echo {
    socket: Socket,
    secret: RandomState,
}

impl Echo {
    /// # Errors
    /// If the system refuses.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_nonblocking(true)?;
        let refused = !(1u32 << ECHO_REPLY);
        let (value, len) = ((&raw const refused).cast(), size_of_val(&refused) as u32);
        let fd = socket.as_raw_fd();
        // SAFETY: the value is `len` bytes long, and the kernel only reads it.
        let done = unsafe { libc::setsockopt(fd, libc::SOL_RAW, ICMP_FILTER, value, len) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        let secret = RandomState::default();
        Ok(Self { socket, secret })
    }

    /// # Errors
    /// If there is no way there.
    pub fn ask(&self, address: Ipv4Addr) -> io::Result<()> {
        let to = SocketAddrV4::new(address, 0);
        self.socket.send_to(&self.question(address), &to.into())?;
        Ok(())
    }

    fn question(&self, address: Ipv4Addr) -> [u8; LEN] {
        let mut message = [0; LEN];
        message[0] = ECHO;
        message[HEADER..].copy_from_slice(&self.secret_of(address));
        let sum = Sum::default().bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_ne_bytes());
        message
    }

    fn secret_of(&self, address: Ipv4Addr) -> [u8; 8] {
        self.secret.hash_one(address).to_ne_bytes()
    }

    /// Who has answered; none if nobody else has.
    pub fn heard(&self) -> Option<Ipv4Addr> {
        let mut packet = [0; ROOM];
        loop {
            let len = (&self.socket).read(&mut packet).ok()?;
            let answer = self.answer(&packet[..len]);
            if answer.is_some() {
                return answer;
            }
        }
    }

    /// The sender of an IP packet that answers a question of ours.
    fn answer(&self, packet: &[u8]) -> Option<Ipv4Addr> {
        let ip = packet.first_chunk::<20>()?;
        let from = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
        let icmp = packet.get(usize::from(ip[0] & 0xf) * 4..)?;
        let secret = icmp.get(HEADER..LEN)?;
        (icmp[0] == ECHO_REPLY && secret == self.secret_of(from)).then_some(from)
    }
}

impl AsRawFd for Echo {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl std::os::fd::AsFd for Echo {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
