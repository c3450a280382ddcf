//! A private bpffs: what a daemon pins there is let go when it is unmounted.

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
pub(crate) fn unmount(path: &Path) {
    let Ok(target) = CString::new(path.as_os_str().as_bytes()) else {
        return;
    };
    // SAFETY: the string lives until the call returns.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}
