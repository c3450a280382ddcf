//! Waiting for several file descriptors, and waking another thread that waits.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Ready file descriptors told at once.
const READY: usize = 32;

/// An epoll instance; each fd is known by a key.
pub struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    /// # Errors
    /// If the process has too many open files.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        owned(fd).map(|epoll| Self { epoll })
    }

    /// Watches an fd until it is closed.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub fn add(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: key,
        };
        let (epoll, event) = (self.epoll.as_raw_fd(), &raw mut event);
        // SAFETY: both are open, and the event is read during the call only.
        let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd.as_raw_fd(), event) };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// # Errors
    /// If it is not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: both are open; the event is not looked at.
        let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The keys of what is ready; none after `timeout` milliseconds (-1: never).
    ///
    /// # Panics
    /// If the instance is broken, which it cannot be.
    pub fn wait(&self, timeout: i32, keys: &mut Vec<u64>) {
        keys.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; READY];
        let (fd, first) = (self.epoll.as_raw_fd(), events.as_mut_ptr());
        // SAFETY: there is room for `READY` events.
        let count = unsafe { libc::epoll_wait(fd, first, READY as i32, timeout) };
        let error = io::Error::last_os_error();
        assert!(
            count >= 0 || error.kind() == io::ErrorKind::Interrupted,
            "epoll_wait: {error}"
        );
        keys.extend(
            events
                .iter()
                .take(count.max(0) as usize)
                .map(|event| event.u64),
        );
    }
}

/// Wakes a thread that waits in [`Poll::wait`].
pub struct Bell {
    fd: OwnedFd,
}

impl Bell {
    /// # Errors
    /// If the process has too many open files.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        owned(fd).map(|fd| Self { fd })
    }

    pub fn ring(&self) {
        let one = 1u64;
        // SAFETY: eight readable bytes. It fails only when it rings already.
        unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Makes it silent again.
    pub fn hear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes. It fails only when it does not ring.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new fd that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_wakes_until_heard() {
        let poll = Poll::new().unwrap();
        let (one, two) = (Bell::new().unwrap(), Bell::new().unwrap());
        poll.add(one.fd(), 1).unwrap();
        poll.add(two.fd(), 2).unwrap();
        let mut keys = Vec::new();
        poll.wait(0, &mut keys);
        assert!(keys.is_empty());
        two.ring();
        two.ring();
        poll.wait(-1, &mut keys);
        assert_eq!(keys, [2]);
        two.hear();
        one.ring();
        poll.remove(one.fd()).unwrap();
        poll.wait(0, &mut keys);
        assert!(keys.is_empty());
    }
}
