//! Attaches the program to interfaces and keeps the link pinned, so that it outlives the daemon.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpError, XdpMode};

use super::maps::describe;
use super::netlink::{self, Device};
use super::pins;

/// Why the program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error(
        "another XDP program ({program}) is attached; to let the kernel answer, detach it with \
         `ip link set dev {interface} xdp off`, or, if it is one of `bpftool link`, by whoever holds \
         that link: another xdhcpd's with `xdhcpctl --socket <its control socket> fastpath detach \
         --config <its configuration>`"
    )]
    Taken { interface: String, program: String },
    #[error("{0}")]
    Refused(String),
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Native,
    Generic,
}

/// Attaches the program anew.
///
/// # Errors
/// If another program is there, or the driver or the bpffs refuses.
pub fn attach(
    program: &mut Xdp,
    device: &Device,
    hook: Hook,
    pin: Option<&Path>,
) -> Result<FdLink, AttachError> {
    let mode = match hook {
        Hook::Native => XdpMode::Driver,
        Hook::Generic => XdpMode::Skb,
    };
    let attached = program.attach_to_if_index(device.index, mode);
    let id = attached.map_err(|error| explain(&error, device))?;
    let link = take(program, id)?;
    match pin {
        Some(path) => {
            let pinned = link.pin(path).map(FdLink::from);
            pinned.map_err(|error| AttachError::Refused(describe(&error)))
        }
        None => Ok(link),
    }
}

/// Takes over a pinned link that holds our program, of this build or an earlier one, on this very
/// interface, and puts this program in its place without a gap; the link is pinned at `pin` then.
/// What is pinned for an interface that is gone, or hooked in elsewhere than wanted, is removed.
pub fn adopt(
    program: &mut Xdp,
    device: &Device,
    wanted: &[Hook],
    pinned: &[PathBuf],
    pin: &Path,
) -> Option<(FdLink, Hook)> {
    let mut adopted = None;
    for path in pinned {
        if adopted.is_none()
            && let Some((link, hook)) = open(path, device)
            && wanted.contains(&hook)
            && let Some(link) = update(program, link)
            && (path == pin || fs::rename(path, pin).is_ok())
        {
            adopted = Some((link, hook));
        } else {
            forget(path);
        }
    }
    adopted
}

/// The pinned link, if it is attached to this interface, and how.
fn open(path: &Path, device: &Device) -> Option<(FdLink, Hook)> {
    let link = FdLink::from(PinnedLink::from_pin(path).ok()?);
    let program = link.info().ok()?.program_id();
    let hook = match program {
        0 => return None,
        id if id == device.xdp.native => Hook::Native,
        id if id == device.xdp.generic => Hook::Generic,
        _ => return None,
    };
    Some((link, hook))
}

fn update(program: &mut Xdp, link: FdLink) -> Option<FdLink> {
    let updated = XdpLink::try_from(link)
        .map_err(|error| describe(&error))
        .and_then(|link| {
            let id = program
                .attach_to_link(link)
                .map_err(|error| describe(&error))?;
            take(program, id).map_err(|error| error.to_string())
        });
    updated
        .inspect_err(|error| tracing::warn!("an earlier run's XDP link could not be kept: {error}"))
        .ok()
}

/// Removes a pin; the program is detached once nobody holds the link.
pub fn forget(path: &Path) {
    if let Err(error) = pins::remove_link(path) {
        tracing::warn!("{} could not be removed: {error}", path.display());
    }
}

/// The link as one that can be pinned and does not go away with the program.
fn take(program: &mut Xdp, id: XdpLinkId) -> Result<FdLink, AttachError> {
    let link = program
        .take_link(id)
        .map_err(|error| AttachError::Refused(describe(&error)))?;
    FdLink::try_from(link).map_err(|error| AttachError::Refused(describe(&error)))
}

fn explain(error: &ProgramError, device: &Device) -> AttachError {
    let code = match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    };
    match code {
        Some(libc::EBUSY | libc::EEXIST) => taken(device),
        _ => AttachError::Refused(describe(error)),
    }
}

/// What program it is, only CAP_SYS_ADMIN could tell.
fn taken(device: &Device) -> AttachError {
    let devices = netlink::devices().unwrap_or_default();
    let now = devices.into_iter().find(|now| now.index == device.index);
    let id = now.and_then(|now| now.xdp.any());
    AttachError::Taken {
        interface: device.name.clone(),
        program: id.map_or_else(|| "of unknown id".to_owned(), |id| format!("id {id}")),
    }
}
