//! The way to a directory, as root, past directories that others may write.
//!
//! Whoever may write a directory may put a symbolic link into it, at any moment. So the way is walked
//! step by step, each from a descriptor of the one before, and a link is followed only where nobody
//! but root can have put it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, absolute};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// As many links as the kernel follows.
const LINKS: usize = 40;
/// Neither reads nor follows.
const WAY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Where a way has led.
pub struct Place {
    pub directory: OwnedFd,
    /// Was not there before.
    pub is_made: bool,
}

/// Opens a directory, if it is there.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    match walk(path, false)? {
        (place, true) => readable(&place.directory),
        (_, false) => Err(Errno::NOENT.into()),
    }
}

/// Opens a directory, or the nearest one above it that is there.
pub fn nearest(path: &Path) -> io::Result<OwnedFd> {
    readable(&walk(path, false)?.0.directory)
}

/// Opens a directory; makes it, and those above it, if they are not there.
pub fn make(path: &Path) -> io::Result<Place> {
    let place = walk(path, true)?.0;
    Ok(Place {
        directory: readable(&place.directory)?,
        ..place
    })
}

/// Walks as far as it goes; tells whether that is all the way.
fn walk(path: &Path, makes: bool) -> io::Result<(Place, bool)> {
    let mut place = root()?;
    let mut is_roots = only_root_writes(&place)?;
    let mut rest = steps(&absolute(path)?)?;
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let Some(next) = step(&place, &name, makes)? else {
            return Ok((place, false));
        };
        if is_link(&next)? {
            links += 1;
            if !is_roots || links > LINKS {
                return Err(refused(path, &name, links));
            }
            let to = readlinkat(&next.directory, c"", Vec::new())?;
            if to.as_bytes().starts_with(b"/") {
                place = root()?;
                is_roots = only_root_writes(&place)?;
            }
            rest.extend(steps(Path::new(OsStr::from_bytes(to.as_bytes())))?);
        } else {
            // It stays so: what is below another user's directory is that user's to move.
            is_roots &= only_root_writes(&next)?;
            place = next;
        }
    }
    Ok((place, true))
}

fn root() -> io::Result<Place> {
    Ok(Place {
        directory: openat(CWD, "/", OFlags::DIRECTORY | WAY, Mode::empty())?,
        is_made: false,
    })
}

/// What has this name; nothing if there is nothing and nothing is to be made.
fn step(from: &Place, name: &CString, makes: bool) -> io::Result<Option<Place>> {
    let mut is_made = false;
    loop {
        match openat(&from.directory, name, WAY, Mode::empty()) {
            Err(Errno::NOENT) if !makes => return Ok(None),
            Err(Errno::NOENT) => is_made = makes_directory(&from.directory, name)?,
            there => {
                let directory = there?;
                return Ok(Some(Place { directory, is_made }));
            }
        }
    }
}

fn is_link(place: &Place) -> io::Result<bool> {
    let mode = fstat(&place.directory)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Symlink)
}

fn readable(there: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(there, c".", flags, Mode::empty())?)
}

/// The last one first.
fn steps(path: &Path) -> io::Result<Vec<CString>> {
    use std::path::Component::{Normal, ParentDir};
    let steps = path.components().rev();
    let names = steps.filter(|step| matches!(step, Normal(_) | ParentDir));
    let name = |step: std::path::Component<'_>| CString::new(step.as_os_str().as_bytes());
    Ok(names.map(name).collect::<Result<_, _>>()?)
}

/// True if there was nothing of this name.
fn makes_directory(above: &OwnedFd, name: &CString) -> io::Result<bool> {
    match mkdirat(above, name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn only_root_writes(place: &Place) -> io::Result<bool> {
    let about = fstat(&place.directory)?;
    let closed_to_group = about.st_gid == 0 || about.st_mode & WRITABLE_BY_GROUP == 0;
    let closed_to_others = about.st_mode & WRITABLE_BY_OTHERS == 0;
    Ok(about.st_uid == 0 && closed_to_group && closed_to_others)
}

fn refused(path: &Path, name: &CString, links: usize) -> io::Error {
    if links > LINKS {
        return Errno::LOOP.into();
    }
    let text = format!(
        "{} on the way to {} is a symbolic link in a directory that others than root may write, \
         and root does not follow it; remove it, or configure the directory that it leads to",
        name.to_string_lossy(),
        path.display()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// `/tmp` is for everybody, as the directory of a user is for that user.
    #[test]
    fn a_link_that_others_may_have_put_there_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (there, link) = (
            directory.path().join("there"),
            directory.path().join("link"),
        );
        fs::create_dir(&there).unwrap();
        symlink(&there, &link).unwrap();
        open(&there).unwrap();
        for path in [link.clone(), link.join("below")] {
            let error = make(&path).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().starts_with("link on the way"), "{error}");
            assert!(nearest(&path).is_err() && open(&path).is_err());
        }
        assert!(fs::read_dir(&there).unwrap().next().is_none());
    }

    #[test]
    fn what_is_not_there_is_made_and_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        nearest(&path).unwrap();
        assert!(!path.exists());
        assert!(make(&path).unwrap().is_made);
        assert!(!make(&path).unwrap().is_made);
        assert!(path.is_dir());
    }

    /// Links of root's on the way are the system's: `/var/run`, `/proc/self`.
    #[test]
    fn a_link_of_roots_is_followed() {
        open(Path::new("/proc/self/task")).unwrap();
        open(Path::new("/proc/1/../self/task")).unwrap();
        assert!(open(Path::new("/proc/version")).is_err());
    }
}
