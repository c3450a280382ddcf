//! Daemons whose system calls fail on demand, by strace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use xdhcpd_tests::{Binaries, process};

use super::faults::wrapped;

/// What the next start is to suffer. In these words strace wants it.
pub struct Inject {
    order: PathBuf,
    log: PathBuf,
}

impl Inject {
    /// Nothing yet; with the binaries that obey. `before` is a script's beginning.
    pub fn new(directory: &Path, before: &str) -> Result<(Self, Binaries)> {
        process::find("strace")?;
        fs::create_dir_all(directory)?;
        let inject = Self {
            order: directory.join("inject"),
            log: directory.join("strace.log"),
        };
        // With -D the daemon stays our child, and strace is a grandchild in the same group.
        let script = format!(
            "{before}\nif [ -s {order} ]; then exec strace -D -f -y -Y -qq --seccomp-bpf -o {log} $(cat {order}) \
             \"$XDHCPD\" \"$@\"; fi\nexec \"$XDHCPD\" \"$@\"",
            order = inject.order.display(),
            log = inject.log.display(),
        );
        let binaries = wrapped(directory, &script)?;
        inject.nothing()?;
        Ok((inject, binaries))
    }

    /// These calls fail with an error, at the times that strace's `when` says; each thread counts each call
    /// for itself.
    pub fn calls(&self, calls: &str, error: &str, when: &str) -> Result<()> {
        fs::write(&self.log, "")?;
        let order = format!("-e trace={calls} -e inject={calls}:error={error}:when={when}");
        Ok(fs::write(&self.order, order)?)
    }

    pub fn nothing(&self) -> Result<()> {
        Ok(fs::write(&self.order, "")?)
    }

    /// The calls that have failed on demand since [`Self::calls`].
    pub fn failed(&self) -> Result<Vec<Failed>> {
        let log = fs::read_to_string(&self.log)?;
        let failed = log.lines().filter(|line| line.contains("(INJECTED)"));
        Ok(failed.filter_map(Failed::read).collect())
    }
}

/// A call that failed on demand.
#[derive(Debug)]
pub struct Failed {
    pub thread: String,
    /// The path of the descriptor that it was about; empty if it was about none.
    pub path: String,
}

impl Failed {
    /// From a line such as `71<journal> fdatasync(9</var/lib/xdhcpd/journal/1.new>) = -1 ...`.
    fn read(line: &str) -> Option<Self> {
        let mut names = line.split('<').skip(1);
        let mut name = || Some(names.next()?.split_once('>')?.0.to_owned());
        Some(Self {
            thread: name()?,
            path: name().unwrap_or_default(),
        })
    }
}
