//! AF_PACKET sockets: one for each worker and interface, for receiving and sending.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::sock_filter;

use super::link::{Framing, LinkAddress, SockAddr};
use super::{NetError, Nic, filter};

/// Requests that the kernel holds back while the worker is busy: some 10,000.
const RECEIVE_BUFFER: libc::c_int = 16 << 20;

/// A socket of one worker on one interface.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    pub ifindex: u32,
    pub framing: Framing,
    /// Where frames for all go.
    pub broadcast: LinkAddress,
    /// Sends IP packets as the host routes them: for hosts whose link addresses are not told with
    /// their requests, and which the host can find (InfiniBand).
    pub routed: Option<socket2::Socket>,
    /// Outer VLAN tags whose frames another served interface takes.
    pub left_to_others: Vec<u16>,
}

/// What the kernel counted since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub packets: u64,
    /// Packets lost because the receive buffer was full.
    pub drops: u64,
}

/// Sockets that are no interface's yet, opened while the process may give them buffers beyond the
/// system's limit.
#[derive(Debug, Default)]
pub struct Prepared(Vec<(Framing, OwnedFd)>);

impl Prepared {
    /// As many as these interfaces take. What cannot be opened now is opened with its interface.
    #[must_use]
    pub fn for_all(nics: &[Nic], workers: usize) -> Self {
        let each = nics
            .iter()
            .flat_map(|nic| (0..workers).map(|_| nic.framing));
        let open = |framing| Some((framing, with_buffer(kind_of(framing).0).ok()?));
        Self(each.filter_map(open).collect())
    }

    fn take(&mut self, framing: Framing) -> Option<OwnedFd> {
        let found = self.0.iter().position(|(of, _)| *of == framing)?;
        Some(self.0.swap_remove(found).1)
    }
}

/// Opens an interface for all workers, whose sockets get each client's packets by its chaddr.
///
/// # Errors
/// If the kernel refuses.
pub fn open(nic: &Nic, left_to_others: &[u16], workers: usize) -> Result<Vec<Socket>, NetError> {
    open_prepared(nic, left_to_others, workers, &mut Prepared::default())
}

/// The same, with sockets that are open already as long as there are any.
///
/// # Errors
/// If the kernel refuses.
pub fn open_prepared(
    nic: &Nic,
    left_to_others: &[u16],
    workers: usize,
    prepared: &mut Prepared,
) -> Result<Vec<Socket>, NetError> {
    let sockets: Vec<_> = (0..workers)
        .map(|_| Ok((one(nic, prepared.take(nic.framing))?, routed(nic)?)))
        .collect::<Result<_, _>>()
        .map_err(|failed: Failed| failed.on(nic))?;
    let sockets: Vec<_> = sockets
        .into_iter()
        .map(|(fd, routed)| Socket {
            fd,
            routed,
            ifindex: nic.index(),
            framing: nic.framing,
            broadcast: nic.broadcast,
            left_to_others: left_to_others.to_vec(),
        })
        .collect();
    if workers > 1 {
        spread(&sockets, nic.framing).map_err(|failed| failed.on(nic))?;
    }
    for socket in &sockets {
        step(
            "filter",
            attach_filter(socket.fd.as_raw_fd(), &filter::requests(nic.framing)),
        )
        .map_err(|failed| failed.on(nic))?;
    }
    Ok(sockets)
}

/// A step that failed.
struct Failed(&'static str, io::Error);

impl Failed {
    fn on(self, nic: &Nic) -> NetError {
        let interface = nic.name().to_owned();
        if matches!(self.1.raw_os_error(), Some(libc::EPERM | libc::EACCES)) {
            return NetError::NoNetRaw { interface };
        }
        NetError::Packet {
            interface,
            step: self.0,
            source: self.1,
        }
    }
}

fn step<T>(name: &'static str, result: io::Result<T>) -> Result<T, Failed> {
    result.map_err(|error| Failed(name, error))
}

const fn kind_of(framing: Framing) -> (libc::c_int, libc::c_int) {
    match framing {
        // All: a socket for IPv4 alone does not see frames whose VLAN nobody on this host has.
        Framing::Ethernet => (libc::SOCK_RAW, libc::ETH_P_ALL),
        Framing::Cooked => (libc::SOCK_DGRAM, libc::ETH_P_IP),
    }
}

/// A bound socket that takes nothing yet.
fn one(nic: &Nic, prepared: Option<OwnedFd>) -> Result<OwnedFd, Failed> {
    let (kind, protocol) = kind_of(nic.framing);
    let fd = match prepared {
        Some(fd) => fd,
        None => step("open", with_buffer(kind))?,
    };
    let raw = fd.as_raw_fd();
    step("filter", attach_filter(raw, &filter::NONE))?;
    step(
        "ignore outgoing",
        set(raw, libc::PACKET_IGNORE_OUTGOING, &1),
    )?;
    step("auxiliary data", set(raw, libc::PACKET_AUXDATA, &1))?;
    step(
        "timestamps",
        set_at(raw, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1),
    )?;
    step("bind", bind(raw, nic.index(), protocol))?;
    Ok(fd)
}

fn routed(nic: &Nic) -> Result<Option<socket2::Socket>, Failed> {
    if nic.framing == Framing::Ethernet || nic.broadcast.is_none() {
        return Ok(None);
    }
    let open = || {
        let protocol = Some(socket2::Protocol::from(libc::IPPROTO_RAW));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, protocol)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    step("open for routed packets", open()).map(Some)
}

/// A socket that takes the ARP replies of an interface, whatever their VLAN if `tagged`, else those
/// without one; it reads frames as they were on the wire, like the others.
///
/// # Errors
/// If the kernel refuses.
pub fn open_for_arp(ifindex: u32, tagged: bool) -> io::Result<Socket> {
    let fd = packet_socket(libc::SOCK_RAW)?;
    let raw = fd.as_raw_fd();
    attach_filter(raw, &filter::arp_replies())?;
    set(raw, libc::PACKET_IGNORE_OUTGOING, &1)?;
    set(raw, libc::PACKET_AUXDATA, &1)?;
    let protocol = if tagged {
        libc::ETH_P_ALL
    } else {
        libc::ETH_P_ARP
    };
    bind(raw, ifindex, protocol)?;
    Ok(Socket {
        fd,
        ifindex,
        framing: Framing::Ethernet,
        broadcast: LinkAddress::default(),
        routed: None,
        left_to_others: Vec::new(),
    })
}

fn packet_socket(kind: libc::c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing is received before the socket is bound.
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new fd that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(fd: RawFd, ifindex: u32, protocol: libc::c_int) -> io::Result<()> {
    let address = SockAddr {
        protocol: (protocol as u16).to_be(),
        ifindex: ifindex.cast_signed(),
        ..SockAddr::EMPTY
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is a `sockaddr_ll` of this length, with more behind it.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), len) })
}

fn with_buffer(kind: libc::c_int) -> io::Result<OwnedFd> {
    let fd = packet_socket(kind)?;
    enlarge(fd.as_raw_fd());
    Ok(fd)
}

/// With CAP_NET_ADMIN beyond the system's limit, else as far as that allows, which is said once.
fn enlarge(fd: RawFd) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    let force = set_at(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER);
    if force.is_ok() {
        return;
    }
    let _ = set_at(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER);
    let size = receive_buffer(fd).unwrap_or(0);
    if size < RECEIVE_BUFFER && !IS_SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "a packet socket got a receive buffer of {size} bytes and not {RECEIVE_BUFFER}: bursts of \
             requests are lost sooner than they need be; `sysctl net.core.rmem_max={RECEIVE_BUFFER}`, \
             and see contrib/sysctl.d"
        );
    }
}

/// As it was asked for: the kernel doubles it.
fn receive_buffer(fd: RawFd) -> io::Result<libc::c_int> {
    let doubled: libc::c_int = get_at(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(doubled / 2)
}

/// Makes the sockets a fanout group whose program chooses.
fn spread(sockets: &[Socket], framing: Framing) -> Result<(), Failed> {
    let kind = (libc::PACKET_FANOUT_CBPF | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING) << 16;
    let mut group = kind | libc::PACKET_FANOUT_FLAG_UNIQUEID << 16;
    for socket in sockets {
        let fd = socket.fd.as_raw_fd();
        step("fanout", set(fd, libc::PACKET_FANOUT, &group))?;
        let id = step("fanout", get::<u32>(fd, libc::PACKET_FANOUT))? & 0xffff;
        group = kind | id;
    }
    let program = filter::worker(framing);
    let program = program_of(&program);
    step(
        "fanout program",
        set(
            sockets[0].fd.as_raw_fd(),
            libc::PACKET_FANOUT_DATA,
            &program,
        ),
    )
}

/// Attaches a classic BPF program to any socket.
pub(crate) fn attach_filter(fd: RawFd, filter: &[sock_filter]) -> io::Result<()> {
    set_at(
        fd,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &program_of(filter),
    )
}

fn program_of(filter: &[sock_filter]) -> libc::sock_fprog {
    libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    }
}

fn set<T>(fd: RawFd, option: libc::c_int, value: &T) -> io::Result<()> {
    set_at(fd, libc::SOL_PACKET, option, value)
}

fn set_at<T>(fd: RawFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let (value, len) = (
        (&raw const *value).cast(),
        size_of::<T>() as libc::socklen_t,
    );
    // SAFETY: the value is `len` bytes long, and the kernel only reads it.
    check(unsafe { libc::setsockopt(fd, level, option, value, len) })
}

fn get<T: Default>(fd: RawFd, option: libc::c_int) -> io::Result<T> {
    get_at(fd, libc::SOL_PACKET, option)
}

fn get_at<T: Default>(fd: RawFd, level: libc::c_int, option: libc::c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    let (to, len) = ((&raw mut value).cast(), &raw mut len);
    // SAFETY: `to` has room for `len` bytes, and the values asked for are plain numbers.
    check(unsafe { libc::getsockopt(fd, level, option, to, len) })?;
    Ok(value)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

impl Socket {
    /// Whether it is still bound to its interface: one that left and came back with the index that
    /// it had (from another network namespace) is another one to the socket.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        let mut address = SockAddr::EMPTY;
        let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the address has room for `len` bytes.
        let got = unsafe {
            libc::getsockname(self.fd.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
        };
        got == 0 && address.ifindex == self.ifindex.cast_signed()
    }

    /// Bytes of packets that the kernel holds back for it.
    #[cfg(test)]
    pub(super) fn receive_buffer(&self) -> libc::c_int {
        receive_buffer(self.fd.as_raw_fd()).unwrap()
    }

    /// What the kernel counted since the last call.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let [packets, drops] = get::<[u32; 2]>(self.fd.as_raw_fd(), libc::PACKET_STATISTICS)?;
        Ok(Statistics {
            packets: packets.into(),
            drops: drops.into(),
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
