//! The smallest XDP program: it lets everything pass.
//!
//! What an XDP program sends back with `XDP_TX` on one end of a veth pair arrives at the other end
//! only if that end has a native XDP program too; without one the frames vanish silently.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::link;
use crate::namespace::Namespace;

// From linux/bpf.h and linux/if_link.h.
const BPF_PROG_LOAD: i32 = 5;
const BPF_OBJ_GET: i32 = 7;
const BPF_LINK_CREATE: i32 = 28;
const BPF_LINK_UPDATE: i32 = 29;
const BPF_LINK_DETACH: i32 = 34;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
/// `r0 = XDP_PASS; exit`
const PROGRAM: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// Attached as long as this lives.
pub struct XdpPass {
    _link: OwnedFd,
}

impl XdpPass {
    pub fn attach(namespace: &Namespace, interface: &str) -> Result<Self> {
        let link = namespace.enter(|| create_link(&load()?, link::index(interface)?))?;
        let link = link.with_context(|| format!("no native XDP on {interface}"))?;
        Ok(Self { _link: link })
    }
}

/// Takes the program of a pinned link off its interface, as `bpftool link detach` does: the link is there
/// still, and leads nowhere.
pub fn take_off(pin: &Path) -> Result<()> {
    let link = open(pin)?;
    let attributes = [link.as_raw_fd().cast_unsigned()];
    command(BPF_LINK_DETACH, &attributes).context("could not detach a link")?;
    Ok(())
}

/// Puts this program in the place of the one that a pinned link holds.
pub fn replace(pin: &Path) -> Result<()> {
    let (link, program) = (open(pin)?, load()?);
    let attributes = [link.as_raw_fd(), program.as_raw_fd()].map(i32::cast_unsigned);
    command(BPF_LINK_UPDATE, &attributes).context("could not replace the program of a link")?;
    Ok(())
}

fn open(pin: &Path) -> Result<OwnedFd> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let attributes = [path.as_ptr() as u64];
    bpf(BPF_OBJ_GET, &attributes).with_context(|| format!("no link at {}", pin.display()))
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    /// What follows up to the last field is of no interest here.
    _between: [u32; 11],
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

fn load() -> io::Result<OwnedFd> {
    let attributes = ProgLoad {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: PROGRAM.len() as u32,
        insns: PROGRAM.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        expected_attach_type: BPF_XDP,
        ..ProgLoad::default()
    };
    bpf(BPF_PROG_LOAD, &attributes)
}

fn create_link(program: &OwnedFd, interface: i32) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: interface.cast_unsigned(),
        attach_type: BPF_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    bpf(BPF_LINK_CREATE, &attributes)
}

/// For commands that return a descriptor.
fn bpf<T>(number: i32, attributes: &T) -> io::Result<OwnedFd> {
    let fd = command(number, attributes)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel takes what `T` lacks for zero.
fn command<T>(number: i32, attributes: &T) -> io::Result<i32> {
    let attributes: *const T = attributes;
    // SAFETY: all of them are the beginning of the kernel's, and what they point to lives meanwhile.
    let result = unsafe { libc::syscall(libc::SYS_bpf, number, attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as i32)
}
