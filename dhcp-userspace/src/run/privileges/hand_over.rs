//! What root made is given to the user that the daemon is to be: state, pins, the way to them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, chownat, fchmod, fchown, flock,
    fstat, fstatfs, openat,
};
use rustix::io::Errno;

use super::{PrivilegeError, User, way};
use crate::config::Config;
use crate::config::model::FastPathMode;
use crate::fastpath::{BPF_FS_MAGIC, Pins};

/// Our directories are not deep; somebody else's might be made to be.
const DEPTH: usize = 8;
const SEARCH_GROUP: u32 = 0o010;
const SEARCH_OTHERS: u32 = 0o001;

/// Makes the directories that the daemon will want, as root, and gives them and what root has left in
/// them to the user. That user may have prepared the directories that are its own, so no way through
/// them leads elsewhere: see [`way`].
///
/// # Errors
/// If the system refuses, a directory belongs to another user, or a daemon uses the state.
pub fn hand_over(config: &Config, user: &User) -> Result<(), PrivilegeError> {
    let state = &config.server.state_dir;
    whose(state, user, give_state(state, user))?;
    if let Some(directory) = config.server.control_socket.parent()
        && !directory.as_os_str().is_empty()
    {
        whose(directory, user, make_for_operators(directory, user))?;
    }
    pins(config, user)
}

fn give_state(path: &Path, user: &User) -> io::Result<()> {
    let directory = way::make(path)?.directory;
    not_in_use(&directory)?;
    give_tree(&directory, path, user)
}

/// A daemon started by mistake must not change what another one uses.
fn not_in_use(state: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
    let lock = openat(state, c"journal", flags | OFlags::DIRECTORY, Mode::empty())
        .and_then(|journal| openat(&journal, c"lock", flags, Mode::empty()));
    match lock.map(|lock| flock(&lock, FlockOperation::NonBlockingLockShared)) {
        Ok(Err(Errno::WOULDBLOCK)) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another xdhcpd uses it: stop it first, or give this one its own state_dir",
        )),
        _ => Ok(()),
    }
}

/// Without a bpffs there are no pins, which the daemon will say.
fn pins(config: &Config, user: &User) -> Result<(), PrivilegeError> {
    let pins = Pins::of(config);
    let root = pins.root();
    let makes = config.fast_path.mode != FastPathMode::Off;
    let Some(directory) = whose(root, user, pin_root(&pins, makes))? else {
        return Ok(());
    };
    whose(root, user, give_tree(&directory, root, user))?;
    let above = &config.fast_path.pin_dir;
    whose(above, user, give_directory(above, user))?;
    for above in pins.bpffs_above() {
        whose(&above, user, open_way(&above, user))?;
    }
    Ok(())
}

/// The directory of the pins; none if it is not there and not wanted, or there is no bpffs for it.
fn pin_root(pins: &Pins, makes: bool) -> io::Result<Option<OwnedFd>> {
    if makes {
        let is_bpffs = is_bpffs(&way::nearest(pins.root())?)?;
        if !is_bpffs && pins.mount_bpffs().is_err() {
            return Ok(None);
        }
        return Ok(Some(way::make(pins.root())?.directory));
    }
    match way::open(pins.root()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        directory => directory.map(Some),
    }
}

fn is_bpffs(directory: &OwnedFd) -> io::Result<bool> {
    Ok(fstatfs(directory)?.f_type == BPF_FS_MAGIC)
}

fn whose<T>(path: &Path, user: &User, done: io::Result<T>) -> Result<T, PrivilegeError> {
    done.map_err(|error| PrivilegeError::HandOver {
        path: path.to_owned(),
        user: user.name.clone(),
        error,
    })
}

/// The group may go to the socket in it. One that is there is as its owner wants it.
fn make_for_operators(path: &Path, user: &User) -> io::Result<()> {
    let place = way::make(path)?;
    if !place.is_made {
        return Ok(());
    }
    fchmod(&place.directory, Mode::RWXU | Mode::RGRP | Mode::XGRP)?;
    give(&place.directory, &fstat(&place.directory)?, user)
}

/// Gives a directory with what root has left in it. Its owner may have prepared it for us, so nothing is
/// followed, neither symbolic links nor other names of a file.
fn give_tree(directory: &OwnedFd, path: &Path, user: &User) -> io::Result<()> {
    let about = of_root_or(user, directory, path)?;
    give_below(directory, user, DEPTH)?;
    give(directory, &about, user)
}

fn give_below(directory: &OwnedFd, user: &User, depth: usize) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let there = openat(directory, name, flags, Mode::empty())?;
        let about = fstat(&there)?;
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory if depth > 0 => {
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
                let below = openat(&there, ".", flags, Mode::empty())?;
                give_below(&below, user, depth - 1)?;
                give(&there, &about, user)?;
            }
            FileType::RegularFile if about.st_nlink == 1 => give(&there, &about, user)?,
            _ => {}
        }
    }
    Ok(())
}

fn give_directory(path: &Path, user: &User) -> io::Result<()> {
    let directory = way::open(path)?;
    let about = of_root_or(user, &directory, path)?;
    give(&directory, &about, user)
}

/// Refuses a directory of anybody else.
fn of_root_or(user: &User, directory: &OwnedFd, path: &Path) -> io::Result<Stat> {
    let about = fstat(directory)?;
    if about.st_uid == 0 || about.st_uid == user.uid.as_raw() {
        return Ok(about);
    }
    let text = format!(
        "it belongs to user id {}; if that is right no more, `chown -R {} {}`",
        about.st_uid,
        user.name,
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// Root's only: what belongs to anybody else is not ours to give.
fn give(what: &OwnedFd, about: &Stat, user: &User) -> io::Result<()> {
    if about.st_uid != 0 {
        return Ok(());
    }
    let owner = (Some(user.uid), Some(user.gid));
    Ok(chownat(what, c"", owner.0, owner.1, AtFlags::EMPTY_PATH)?)
}

/// systemd mounts the bpffs for root alone. Who can search it can use the pins that it may use, and
/// see no others.
fn open_way(path: &Path, user: &User) -> io::Result<()> {
    let directory = way::open(path)?;
    let about = fstat(&directory)?;
    let mode = about.st_mode & 0o7777;
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let searches = about.st_uid == uid
        || about.st_gid == gid && mode & SEARCH_GROUP != 0
        || mode & SEARCH_OTHERS != 0;
    if searches {
        return Ok(());
    }
    // No group had any rights: then it is ours that gets one.
    let mode = if mode & 0o070 == 0 {
        fchown(&directory, None, Some(user.gid))?;
        mode | SEARCH_GROUP
    } else {
        mode | SEARCH_OTHERS
    };
    fchmod(&directory, Mode::from_raw_mode(mode))?;
    tracing::info!(
        "{} can be searched by {} now, to reach its pins (mode {mode:o})",
        path.display(),
        user.name
    );
    Ok(())
}
