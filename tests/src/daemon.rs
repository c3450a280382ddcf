//! xdhcpd in a namespace, and what xdhcpctl says of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::namespace::{self, Namespace};
use crate::process::{self, Process};

/// How long a daemon may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where xdhcpd and xdhcpctl are.
#[derive(Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    pub fn in_directory(directory: &Path) -> Result<Self> {
        for name in ["xdhcpd", "xdhcpctl"] {
            let path = directory.join(name);
            if !path.exists() {
                bail!(
                    "{} is missing: build it, `cargo build -p dhcp-userspace`",
                    path.display()
                );
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// From `XDHCPD_BIN_DIR`, as `cargo xtask test` sets it; else those that were built in the
    /// same profile as the calling test, which lies in that profile's `deps`.
    pub fn find() -> Result<Self> {
        if let Some(directory) = env::var_os("XDHCPD_BIN_DIR") {
            return Self::in_directory(Path::new(&directory));
        }
        let test = env::current_exe()?;
        let profile = test
            .ancestors()
            .nth(2)
            .context("this test lies in no directory")?;
        Self::in_directory(profile)
    }

    pub fn xdhcpd(&self) -> PathBuf {
        self.directory.join("xdhcpd")
    }

    pub fn xdhcpctl(&self) -> PathBuf {
        self.directory.join("xdhcpctl")
    }
}

/// Killed on drop. Its files are in a directory that outlives it, so it can be started again.
pub struct Daemon {
    binaries: Binaries,
    namespace: PathBuf,
    directory: PathBuf,
    /// A program with arguments that starts it, such as setpriv or strace.
    under: Vec<String>,
    process: Process,
    /// Where in its log what this start says begins.
    log_from: usize,
}

impl Daemon {
    /// Starts it and waits until it serves. In `yaml`, `@DIR@` stands for `directory`; the
    /// control socket must be at `@DIR@/control.sock`.
    pub fn start(
        binaries: &Binaries,
        namespace: &Namespace,
        directory: &Path,
        yaml: &str,
    ) -> Result<Self> {
        Self::start_under(binaries, namespace, directory, yaml, Vec::new())
    }

    /// The same by another program, which becomes the daemon or has the same process id.
    pub fn start_under(
        binaries: &Binaries,
        namespace: &Namespace,
        directory: &Path,
        yaml: &str,
        under: Vec<String>,
    ) -> Result<Self> {
        write_config(directory, yaml)?;
        let namespace = namespace.path();
        let (process, log_from) = spawn(binaries, &namespace, directory, &under)?;
        let (binaries, directory) = (binaries.clone(), directory.to_owned());
        let mut daemon = Self {
            binaries,
            namespace,
            directory,
            under,
            process,
            log_from,
        };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Starts it again, on the same files, after [`Self::kill`] or [`Self::terminate`].
    pub fn restart(&mut self) -> Result<()> {
        self.terminate()?;
        self.launch()?;
        self.wait_ready()
    }

    /// Starts it again after its end, and does not wait until it serves.
    pub fn launch(&mut self) -> Result<()> {
        let (namespace, directory) = (&self.namespace, &self.directory);
        (self.process, self.log_from) = spawn(&self.binaries, namespace, directory, &self.under)?;
        Ok(())
    }

    pub fn wait_ready(&mut self) -> Result<()> {
        self.process
            .wait_for_line("ready", self.log_from, PATIENCE)?;
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; the daemon ends by itself.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)
    }

    /// Replaces the configuration file; the daemon reads it at the next `reload` or start.
    pub fn configure(&self, yaml: &str) -> Result<()> {
        write_config(&self.directory, yaml)
    }

    /// What `xdhcpctl --json` answers to `arguments`.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Value> {
        let answer = process::output(self.ctl_command().arg("--json").args(arguments));
        let answer = answer.map_err(|error| self.process.explain(&error))?;
        serde_json::from_str(&answer)
            .with_context(|| format!("{arguments:?} gave no JSON: {answer}"))
    }

    /// What `xdhcpctl` prints for people.
    pub fn ctl_text(&self, arguments: &[&str]) -> Result<String> {
        let answer = process::output(self.ctl_command().args(arguments));
        answer.map_err(|error| self.process.explain(&error))
    }

    /// An `xdhcpctl` on this daemon's socket, to be given arguments.
    pub fn ctl_command(&self) -> Command {
        let mut command = Command::new(self.binaries.xdhcpctl());
        command
            .arg("--socket")
            .arg(self.directory.join("control.sock"));
        command
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn write_config(directory: &Path, yaml: &str) -> Result<()> {
    let yaml = yaml.replace("@DIR@", &directory.to_string_lossy());
    fs::create_dir_all(directory)?;
    let path = directory.join("dhcp.yaml");
    fs::write(&path, yaml).with_context(|| format!("could not write {}", path.display()))
}

fn spawn(
    binaries: &Binaries,
    namespace: &Path,
    directory: &Path,
    under: &[String],
) -> Result<(Process, usize)> {
    let log = directory.join("xdhcpd.log");
    let seen = fs::metadata(&log).map_or(0, |log| log.len());
    let mut command = match under.split_first() {
        None => namespace::command_in(namespace, &binaries.xdhcpd()),
        Some((program, arguments)) => {
            let mut command = namespace::command_in(namespace, Path::new(program));
            command.args(arguments).arg(binaries.xdhcpd());
            command
        }
    };
    command.arg("--config").arg(directory.join("dhcp.yaml"));
    let process = Process::start("xdhcpd", &mut command, &log)?;
    Ok((process, usize::try_from(seen)?))
}
