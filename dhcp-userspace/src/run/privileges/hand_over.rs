//! What root made is given to the user that the daemon is to be: state, pins, the way to them.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chownat, fstat, openat};

use super::{PrivilegeError, User};
use crate::config::Config;
use crate::config::model::FastPathMode;
use crate::fastpath::Pins;

/// Our directories are not deep; somebody else's might be made to be.
const DEPTH: usize = 8;
const SEARCH_GROUP: u32 = 0o010;
const SEARCH_OTHERS: u32 = 0o001;

/// Makes the directories that the daemon will want, as root, and gives them and what root has left in
/// them to the user.
///
/// # Errors
/// If the system refuses, or a directory belongs to another user.
pub fn hand_over(config: &Config, user: &User) -> Result<(), PrivilegeError> {
    let state = &config.server.state_dir;
    whose(
        state,
        user,
        make(state).and_then(|()| give_tree(state, user)),
    )?;
    if let Some(directory) = config.server.control_socket.parent()
        && !directory.exists()
    {
        whose(directory, user, make_for_operators(directory, user))?;
    }
    pins(config, user)
}

/// Without a bpffs there are no pins, which the daemon will say.
fn pins(config: &Config, user: &User) -> Result<(), PrivilegeError> {
    let pins = Pins::of(config);
    let wanted = config.fast_path.mode != FastPathMode::Off;
    if wanted && pins.make().is_err() || !pins.root().exists() {
        return Ok(());
    }
    let given = give_tree(pins.root(), user);
    whose(pins.root(), user, given)?;
    let directory = &config.fast_path.pin_dir;
    whose(directory, user, give_directory(directory, user))?;
    for above in pins.bpffs_above() {
        whose(&above, user, open_way(&above, user))?;
    }
    Ok(())
}

fn whose(path: &Path, user: &User, done: io::Result<()>) -> Result<(), PrivilegeError> {
    done.map_err(|error| PrivilegeError::HandOver {
        path: path.to_owned(),
        user: user.name.clone(),
        error,
    })
}

/// The group may go to the socket in it.
fn make_for_operators(path: &Path, user: &User) -> io::Result<()> {
    make(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o750))?;
    give_directory(path, user)
}

fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Gives a directory with what root has left in it. Its owner may have prepared it for us, so nothing is
/// followed, neither symbolic links nor other names of a file.
fn give_tree(path: &Path, user: &User) -> io::Result<()> {
    let directory = open_directory(path)?;
    let about = of_root_or(user, &directory, path)?;
    give_below(&directory, user, DEPTH)?;
    give(&directory, &about, user)
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
    let directory = open_directory(path)?;
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

/// Follows a symbolic link, which root has made.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
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
fn open_way(directory: &Path, user: &User) -> io::Result<()> {
    let about = fs::metadata(directory)?;
    let mode = about.mode() & 0o7777;
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let searches = about.uid() == uid
        || about.gid() == gid && mode & SEARCH_GROUP != 0
        || mode & SEARCH_OTHERS != 0;
    if searches {
        return Ok(());
    }
    // No group had any rights: then it is ours that gets one.
    let mode = if mode & 0o070 == 0 {
        std::os::unix::fs::chown(directory, None, Some(gid))?;
        mode | SEARCH_GROUP
    } else {
        mode | SEARCH_OTHERS
    };
    fs::set_permissions(directory, Permissions::from_mode(mode))?;
    tracing::info!(
        "{} can be searched by {} now, to reach its pins (mode {mode:o})",
        directory.display(),
        user.name
    );
    Ok(())
}
