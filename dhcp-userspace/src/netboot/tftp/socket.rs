//! The sockets: one that hears requests, and one for each transfer.
//!
//! A transfer has a port of its own, as RFC 1350 says, so the kernel sorts the clients' packets,
//! and a client that is gone is told by ICMP. It answers from the address that the client asked:
//! firmware drops what comes from another one, and a host may have many.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// A boot storm's requests that may wait.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A packet that was received, and where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub len: usize,
    pub client: SocketAddrV4,
    pub server: Ipv4Addr,
    /// To everybody, which is to be ignored (RFC 1123, 4.2.3.5).
    pub is_broadcast: bool,
}

/// Hears requests.
///
/// # Errors
/// If the address is none of this machine's, or in use.
pub fn bind(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    tell_destination(socket.as_raw_fd())?;
    Ok(socket)
}

/// A socket that speaks with one client.
///
/// # Errors
/// If the machine has lost the address, or there is no port left.
pub fn to_client(server: Ipv4Addr, client: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((server, 0))?;
    socket.connect(client)?;
    let_fragment(socket.as_raw_fd())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tell_destination(socket: RawFd) -> io::Result<()> {
    set(socket, libc::IP_PKTINFO, 1)
}

/// The client has chosen the size of a block, and cannot be asked for a smaller one: where the path
/// takes less, routers and we ourselves are to cut packets into fragments.
fn let_fragment(socket: RawFd) -> io::Result<()> {
    set(socket, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
}

fn set(socket: RawFd, option: libc::c_int, to: libc::c_int) -> io::Result<()> {
    let (value, len) = ((&raw const to).cast(), size_of::<libc::c_int>() as u32);
    // SAFETY: the pointer and the length are those of `to`.
    let result = unsafe { libc::setsockopt(socket, libc::IPPROTO_IP, option, value, len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The one control message that the socket asked for, with its header.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

/// Receives without waiting.
///
/// # Errors
/// `WouldBlock`, if there is nothing.
pub fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<Asked> {
    // SAFETY: all zero is a valid value of these plain structures.
    let (mut from, mut control) = unsafe { zeroed::<(libc::sockaddr_in, Control)>() };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the message names buffers that outlive the call, with their lengths.
    let len = unsafe { libc::recvmsg(socket, &raw mut message, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    if (control.header.cmsg_level, control.header.cmsg_type) != (libc::IPPROTO_IP, libc::IP_PKTINFO)
    {
        return Err(io::Error::other(
            "the kernel does not tell whom the client asked",
        ));
    }
    let (server, to) = (
        address(control.info.ipi_spec_dst),
        address(control.info.ipi_addr),
    );
    Ok(Asked {
        len,
        client: SocketAddrV4::new(address(from.sin_addr), u16::from_be(from.sin_port)),
        server,
        is_broadcast: server != to,
    })
}

fn address(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_was_asked() {
        let listener = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = [0; 9];
        for server in [[127, 0, 0, 1], [127, 0, 0, 77]] {
            client
                .send_to(b"hello", (Ipv4Addr::from(server), port))
                .unwrap();
            let asked = receive(listener.as_raw_fd(), &mut buffer).unwrap();
            let want = (5, Ipv4Addr::from(server), false);
            assert_eq!((asked.len, asked.server, asked.is_broadcast), want);
            assert_eq!(&buffer[..5], b"hello");
            let answer = to_client(asked.server, asked.client).unwrap();
            answer.send(b"hi").unwrap();
            let (_, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(from.ip(), Ipv4Addr::from(server));
        }
        client.set_broadcast(true).unwrap();
        client.send_to(b"all", ("127.255.255.255", port)).unwrap();
        assert!(
            receive(listener.as_raw_fd(), &mut buffer)
                .unwrap()
                .is_broadcast
        );
        let nothing = receive(listener.as_raw_fd(), &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}
