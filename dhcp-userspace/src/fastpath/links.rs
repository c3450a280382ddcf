//! Attaches the program to interfaces and keeps the link pinned, so that it outlives the daemon.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpError, XdpMode, loaded_programs};

use super::maps::describe;
use super::netlink::{self, Device};
use super::pins;

/// What our program is called in the kernel.
const OURS: &str = "xdhcp";

/// Why the program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error(
        "another XDP program ({program}) is attached; detach it with `ip link set dev {interface} \
         xdp off` to let the kernel answer"
    )]
    Taken { interface: String, program: String },
    #[error(
        "another xdhcpd's XDP program ({program}) is attached, pinned below another \
         fast_path.pin_dir; detach it with `xdhcpctl --socket <that server's control socket> \
         fastpath detach --config <that server's configuration>` to let the kernel answer"
    )]
    TakenByUs { program: String },
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

fn taken(device: &Device) -> AttachError {
    let (id, name) = other(device);
    let program = match (id, &name) {
        (None, _) => "of unknown id".to_owned(),
        (Some(id), None) => format!("id {id}"),
        (Some(id), Some(name)) => format!("id {id}, `{name}`"),
    };
    if name.as_deref() == Some(OURS) {
        return AttachError::TakenByUs { program };
    }
    AttachError::Taken {
        interface: device.name.clone(),
        program,
    }
}

/// Id and name of the program that is attached, as far as they can be told.
fn other(device: &Device) -> (Option<u32>, Option<String>) {
    let devices = netlink::devices().unwrap_or_default();
    let now = devices.into_iter().find(|now| now.index == device.index);
    let Some(id) = now.and_then(|now| now.xdp.any()) else {
        return (None, None);
    };
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == id);
    let name = program.as_ref().and_then(|program| program.name_as_str());
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    (Some(id), name)
}
