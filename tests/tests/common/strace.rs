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
            "{before}\nif [ -s {order} ]; then exec strace -D -f -Y -qq --seccomp-bpf -o {log} $(cat {order}) \
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

    /// The threads whose calls have failed on demand since [`Self::calls`], once for each call.
    pub fn failed(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        let failed = log.lines().filter(|line| line.contains("(INJECTED)"));
        let thread = |line: &str| {
            let (_, name) = line.split_once('<')?;
            Some(name.split_once('>')?.0.to_owned())
        };
        Ok(failed.filter_map(thread).collect())
    }
}
