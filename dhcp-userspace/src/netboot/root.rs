//! The files below the root, and the names by which clients ask for them.
//!
//! The kernel keeps every look-up below the root (`openat2` with `RESOLVE_BENEATH`), so neither a
//! name nor a symbolic link leads out of it, whatever else changes in the tree meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Longer names are nobody's.
const MAX_NAME: usize = 1024;
/// The kernel gives up where a directory is moved while it follows a link with `..` in it.
const TRIES: usize = 8;

/// A file as it was when it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    pub file: Arc<File>,
    pub size: u64,
    /// Whole seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
    pub inode: u64,
}

/// Why a client does not get a file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no such file below boot.root")]
    NotFound,
    #[error(
        "the name leads out of boot.root (`..`, or a link to elsewhere or with an absolute target)"
    )]
    Outside,
    #[error("it is no regular file")]
    NotAFile,
    #[error("xdhcpd may not read it")]
    Forbidden,
    #[error("not everybody may read it: `chmod o+r` makes it public")]
    NotPublic,
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

/// Sees that files can be served from `root`.
///
/// # Errors
/// If it is no directory that this process may enter, or the kernel cannot confine look-ups to it.
pub fn check(root: &Path) -> io::Result<()> {
    let directory = open_root(root)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(directory, ".", flags, Mode::empty(), ResolveFlags::BENEATH)?;
    Ok(())
}

/// Opens the file of this name. May wait for the disk.
///
/// # Errors
/// Whatever keeps it from being served.
pub fn open(root: &Path, name: &[u8]) -> Result<Opened, OpenError> {
    let path = relative(name)?;
    // Each time anew: the root may be a link that is pointed to another release of the files.
    let directory = open_root(root).map_err(|error| refused(&error))?;
    let file = File::from(open_beneath(&directory, &path)?);
    let data = file.metadata().map_err(OpenError::Io)?;
    if !data.is_file() {
        return Err(OpenError::NotAFile);
    }
    // Clients do not say who they are, and what was put here by mistake is not for everybody.
    if data.mode() & Mode::ROTH.bits() == 0 {
        return Err(OpenError::NotPublic);
    }
    Ok(Opened {
        file: Arc::new(file),
        size: data.len(),
        modified: (data.mtime(), data.mtime_nsec()),
        inode: data.ino(),
    })
}

fn open_root(root: &Path) -> io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, root, flags, Mode::empty())?)
}

fn open_beneath(
    directory: &rustix::fd::OwnedFd,
    path: &Path,
) -> Result<rustix::fd::OwnedFd, OpenError> {
    // A FIFO without a writer must not hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        tries += 1;
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < TRIES => {}
            result => return result.map_err(|errno| refused(&errno.into())),
        }
    }
}

fn refused(error: &io::Error) -> OpenError {
    let code = error.raw_os_error();
    match code.map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => OpenError::NotFound,
        Some(Errno::XDEV | Errno::LOOP) => OpenError::Outside,
        Some(Errno::ACCESS | Errno::PERM) => OpenError::Forbidden,
        // A socket, or a device without a driver.
        Some(Errno::NXIO | Errno::NODEV) => OpenError::NotAFile,
        _ => OpenError::Io(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
    }
}

/// The path below the root. Leading slashes and back-slashes are as some firmware sends them.
fn relative(name: &[u8]) -> Result<PathBuf, OpenError> {
    if name.len() > MAX_NAME || name.contains(&0) {
        return Err(OpenError::NotFound);
    }
    let parts = name.split(|byte| matches!(byte, b'/' | b'\\'));
    let mut path = PathBuf::new();
    for part in parts.filter(|part| !matches!(*part, b"" | b".")) {
        if part == b".." {
            return Err(OpenError::Outside);
        }
        path.push(OsStr::from_bytes(part));
    }
    if path.as_os_str().is_empty() {
        return Err(OpenError::NotFound);
    }
    Ok(path)
}

/// A name as people may see it in a log or a table.
#[must_use]
pub fn shown(name: &[u8]) -> String {
    let name = &name[..name.len().min(MAX_NAME)];
    let text = String::from_utf8_lossy(name);
    let safe = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree {
        _outer: tempfile::TempDir,
        root: PathBuf,
    }

    /// `root/` with some files, beside a file that nobody may have.
    fn tree() -> Tree {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("x86/deep")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        fs::write(root.join("a.efi"), "abc").unwrap();
        fs::write(root.join("x86/b.efi"), "abcd").unwrap();
        Tree {
            _outer: outer,
            root,
        }
    }

    fn size(tree: &Tree, name: &str) -> Result<u64, OpenError> {
        open(&tree.root, name.as_bytes()).map(|opened| opened.size)
    }

    #[test]
    fn names_as_firmware_writes_them() {
        let tree = tree();
        let names = [
            "x86/b.efi",
            "/x86/b.efi",
            "\\x86\\b.efi",
            "//x86/./b.efi",
            "x86\\b.efi",
        ];
        for name in names {
            assert_eq!(size(&tree, name).unwrap(), 4, "{name}");
        }
        for name in [
            "",
            "/",
            "nothing",
            "a.efi/b",
            "x86/b.efi\0",
            &"a".repeat(5000),
        ] {
            assert!(
                matches!(size(&tree, name), Err(OpenError::NotFound)),
                "{name}"
            );
        }
    }

    #[test]
    fn no_name_leads_out() {
        let tree = tree();
        for name in [
            "../secret",
            "/../secret",
            "x86/../../secret",
            "..\\secret",
            "x86/../a.efi",
        ] {
            assert!(
                matches!(size(&tree, name), Err(OpenError::Outside)),
                "{name}"
            );
        }
        let absolute = tree.root.parent().unwrap().join("secret");
        let name = absolute.to_str().unwrap();
        assert!(
            matches!(size(&tree, name), Err(OpenError::NotFound)),
            "absolute"
        );
    }

    #[test]
    fn links_stay_inside() {
        let tree = tree();
        let link = |to: &Path, name: &str| symlink(to, tree.root.join(name)).unwrap();
        link(Path::new("x86/b.efi"), "current");
        link(Path::new("../a.efi"), "x86/up");
        link(Path::new("x86"), "arch");
        for name in ["current", "arch/b.efi", "x86/up"] {
            assert!(size(&tree, name).is_ok(), "{name}");
        }
        let outside = tree.root.parent().unwrap();
        link(&outside.join("secret"), "absolute");
        link(Path::new("../secret"), "above");
        link(outside, "door");
        link(Path::new("loop"), "loop");
        link(Path::new("/proc/self/root"), "magic");
        for name in [
            "absolute",
            "above",
            "door/secret",
            "loop",
            "magic/etc/passwd",
        ] {
            assert!(
                matches!(size(&tree, name), Err(OpenError::Outside)),
                "{name}"
            );
        }
    }

    #[test]
    fn only_regular_files() {
        let tree = tree();
        let fifo = tree.root.join("fifo");
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.root.join("socket")).unwrap();
        for name in ["fifo", "socket", "x86"] {
            assert!(
                matches!(size(&tree, name), Err(OpenError::NotAFile)),
                "{name}"
            );
        }
    }

    #[test]
    fn only_what_everybody_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let tree = tree();
        let path = tree.root.join("a.efi");
        for (mode, is_public) in [(0o640, false), (0o604, true), (0o770, false), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match size(&tree, "a.efi") {
                Ok(_) => assert!(is_public, "{mode:o}"),
                Err(OpenError::NotPublic) => assert!(!is_public, "{mode:o}"),
                Err(error) => panic!("{mode:o}: {error}"),
            }
        }
    }

    #[test]
    fn a_root_that_is_none() {
        let tree = tree();
        assert!(check(&tree.root).is_ok());
        assert!(check(&tree.root.join("a.efi")).is_err());
        assert!(check(&tree.root.join("nothing")).is_err());
    }

    #[test]
    fn names_cannot_write_to_a_terminal() {
        assert_eq!(shown(b"a\x1b[2J\n.efi"), "a\\u{1b}[2J\\n.efi");
        assert_eq!(shown("käse.efi".as_bytes()), "käse.efi");
    }
}
