//! From root, or from what a service manager gives, down to what serving takes.
//!
//! Capabilities belong to threads, and a thread inherits those of the one that starts it. So both steps
//! ([`enter`], [`settle`]) come before the daemon has a second thread.

mod hand_over;
mod user;
mod way;

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::{Gid, Uid, geteuid, getuid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

pub use hand_over::hand_over;
pub use user::User;

use crate::config::Config;
use crate::config::model::FastPathMode;
use crate::fastpath::Release;

/// Packet sockets of interfaces that appear, and ports of boot files that a reload adds.
const SERVING: CapabilitySet = CapabilitySet::NET_RAW.union(CapabilitySet::NET_BIND_SERVICE);
/// The XDP program is loaded once. To attach it, its descriptor is enough.
const LOADING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN);
/// Who stays root goes on to write what others own, and has receive buffers beyond the system's limit.
const ROOT: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::NET_ADMIN);
/// Before it, and where `kernel.unprivileged_bpf_disabled` is set, every call of bpf(2) took CAP_BPF.
const ATTACHES_WITHOUT_BPF: Release = Release {
    major: 5,
    minor: 19,
};

#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error(
        "there is no user {0:?} in /etc/passwd: add one (`useradd --system {0}`), or change server.user"
    )]
    NoUser(String),
    #[error("cannot read /etc/passwd: {0}")]
    Passwd(#[source] io::Error),
    #[error(
        "only root can become {name:?} (server.user); this is user id {me}: start xdhcpd as root, as {name:?}, or leave server.user away"
    )]
    NotRoot { name: String, me: u32 },
    #[error(
        "cannot {step}: {error}; in a container, add the capabilities SETUID, SETGID and SETPCAP, or start xdhcpd as the user itself"
    )]
    Step {
        step: &'static str,
        error: io::Error,
    },
    #[error("{path} cannot be handed over to the user {user:?}: {error}", path = .path.display())]
    HandOver {
        path: PathBuf,
        user: String,
        error: io::Error,
    },
    #[error("the user that xdhcpd runs as cannot read {path}, so no reload could: {error}; say, `chgrp {group} {path}` and `chmod 640 {path}`", path = .path.display())]
    Unreadable {
        path: PathBuf,
        group: u32,
        error: io::Error,
    },
    #[error("the user that xdhcpd runs as cannot list {path}, so no reload could find or watch what is included from there: {error}; say, `chgrp {group} {path}` and `chmod 750 {path}`", path = .path.display())]
    Unlisted {
        path: PathBuf,
        group: u32,
        error: io::Error,
    },
    #[error(
        "xdhcpd lacks CAP_NET_RAW, without which it hears no client: start it as root, by its systemd unit, or give it this capability"
    )]
    NoNetRaw,
}

/// Who this process has to become; none if it is who it is to be.
///
/// # Errors
/// If there is no such user, or this process may not become it.
pub fn user_of(config: &Config) -> Result<Option<User>, PrivilegeError> {
    let Some(name) = &config.server.user else {
        return Ok(None);
    };
    let user = User::named(name)?;
    match geteuid() {
        me if me == user.uid => Ok(None),
        me if me.is_root() => Ok(Some(user)),
        me => Err(PrivilegeError::NotRoot {
            name: name.clone(),
            me: me.as_raw(),
        }),
    }
}

/// Becomes this user, or stays who it is, with the capabilities that starting takes.
///
/// # Errors
/// If the system refuses, or what is left is too little to serve.
pub fn enter(user: Option<&User>, config: &Config) -> Result<(), PrivilegeError> {
    forget_bounding_set()?;
    if let Some(user) = user {
        step("keep capabilities", thread::set_keep_capabilities(true))?;
        become_user(user.uid, user.gid)?;
        step("keep capabilities", thread::set_keep_capabilities(false))?;
    } else if getuid().is_root() {
        // Not everywhere may root do this, and it loses nothing by its groups.
        let _ = thread::set_thread_groups(&[]);
    }
    let kept = keep(starting(config))?;
    step("give up new privileges", thread::set_no_new_privs(true))?;
    if !kept.contains(CapabilitySet::NET_RAW) {
        return Err(PrivilegeError::NoNetRaw);
    }
    readable(config)
}

/// Keeps what serving takes: the program is loaded.
///
/// # Errors
/// If the system refuses.
pub fn settle() -> Result<(), PrivilegeError> {
    let kept = keep(serving())?;
    let names: Vec<_> = kept.iter_names().map(|(name, _)| name).collect();
    tracing::info!(
        user = getuid().as_raw(),
        kept = names.join(" "),
        "privileges are reduced"
    );
    Ok(())
}

fn starting(config: &Config) -> CapabilitySet {
    // Receive buffers beyond the system's limit.
    let mut set = serving().union(CapabilitySet::NET_ADMIN);
    if config.fast_path.mode != FastPathMode::Off {
        set |= LOADING;
    }
    if getuid().is_root() {
        // A bpffs may have to be mounted.
        set |= CapabilitySet::SYS_ADMIN;
    }
    set
}

fn serving() -> CapabilitySet {
    let mut set = SERVING;
    if Release::current().is_none_or(|kernel| kernel < ATTACHES_WITHOUT_BPF) {
        set |= CapabilitySet::BPF;
    }
    if getuid().is_root() {
        set |= ROOT;
    }
    set
}

fn become_user(uid: Uid, gid: Gid) -> Result<(), PrivilegeError> {
    step(
        "give up supplementary groups",
        thread::set_thread_groups(&[]),
    )?;
    step(
        "change the group",
        thread::set_thread_res_gid(gid, gid, gid),
    )?;
    step("change the user", thread::set_thread_res_uid(uid, uid, uid))
}

/// Gives up all capabilities but these; tells which of them there are.
fn keep(wanted: CapabilitySet) -> Result<CapabilitySet, PrivilegeError> {
    let now = step("read its capabilities", thread::capabilities(None))?;
    let kept = now.permitted & wanted;
    step(
        "give up ambient capabilities",
        thread::clear_ambient_capability_set(),
    )?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    step("give up capabilities", thread::set_capabilities(None, sets))?;
    Ok(kept)
}

/// No program that this process starts could gain any. Who may not do this is no root: then
/// `no_new_privs` sees to it.
fn forget_bounding_set() -> Result<(), PrivilegeError> {
    let now = step("read its capabilities", thread::capabilities(None))?;
    if !now.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match thread::remove_capability_from_bounding_set(capability) {
            // Behind the last one that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            done => step("give up the bounding set", done)?,
        }
    }
    Ok(())
}

/// What the next reload will read.
fn readable(config: &Config) -> Result<(), PrivilegeError> {
    let group = rustix::process::getgid().as_raw();
    for path in &config.files {
        fs::File::open(path).map_err(|error| PrivilegeError::Unreadable {
            path: path.clone(),
            group,
            error,
        })?;
    }
    for path in &config.include_directories {
        fs::read_dir(path).map_err(|error| PrivilegeError::Unlisted {
            path: path.clone(),
            group,
            error,
        })?;
    }
    Ok(())
}

fn step<T>(step: &'static str, done: rustix::io::Result<T>) -> Result<T, PrivilegeError> {
    done.map_err(|error| PrivilegeError::Step {
        step,
        error: error.into(),
    })
}
