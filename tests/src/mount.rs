//! A private bpffs, and what tests have left mounted. What a daemon pins in a bpffs is let go when it is unmounted.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub struct BpfFs {
    path: PathBuf,
}

impl BpfFs {
    pub fn mount(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)?;
        let target = CString::new(path.as_os_str().as_bytes())?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let (kind, none) = (c"bpf".as_ptr(), std::ptr::null());
        // SAFETY: the strings live until the call returns; a bpffs takes no data.
        let result = unsafe { libc::mount(kind, target.as_ptr(), kind, flags, none) };
        if result != 0 {
            let error = io::Error::last_os_error();
            return Err(error).with_context(|| format!("no bpffs at {}", path.display()));
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Does nothing where nothing is mounted.
fn unmount(path: &Path) {
    let Ok(target) = CString::new(path.as_os_str().as_bytes()) else {
        return;
    };
    // SAFETY: the string lives until the call returns.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}

/// Unmounts everything below a directory, which must be named without links, the innermost first.
pub(crate) fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    points_below(&mounts, directory).for_each(unmount);
}

/// Later mounts come first.
fn points_below<'a>(mounts: &'a str, directory: &'a Path) -> impl Iterator<Item = &'a Path> {
    let points = mounts
        .lines()
        .rev()
        .filter_map(|line| line.split(' ').nth(4));
    points
        .map(Path::new)
        .filter(move |point| point.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_and_the_innermost_first() {
        let mounts = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
90 22 0:50 / /tmp/lab-1 rw - tmpfs tmpfs rw
91 90 0:51 / /tmp/lab-1/state rw - tmpfs tmpfs rw
92 22 0:52 / /tmp/lab-10/state rw - tmpfs tmpfs rw
";
        let found: Vec<_> = points_below(mounts, Path::new("/tmp/lab-1")).collect();
        assert_eq!(found, ["/tmp/lab-1/state", "/tmp/lab-1"].map(Path::new));
    }
}
