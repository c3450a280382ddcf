//! Commands that are over at once, and processes that run beside us, with their logs.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};

use crate::wait::wait_until;

const TAIL_LINES: usize = 25;

/// Runs a command to its end and returns what it printed; a failure carries what it complained.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("could not start `{shown}`"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is. Administrators' programs are often not on a user's PATH.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(usual);
    let found = places.find_map(|place| Some(place.join(program)).filter(|path| path.is_file()));
    found.with_context(|| format!("the program {program} is not installed"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A process of its own group, killed on drop.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it prints is appended to the file `log`. In a group of its own, so that a
    /// Ctrl-C at the terminal reaches us alone and we end things in order.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("could not open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        // `cargo run` sets this for us, and it must not decide which libraries others load.
        command.env_remove("LD_LIBRARY_PATH").process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// `None` while it runs.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Signals the process itself, not its group; an error when it has ended.
    pub fn signal(&mut self, signal: i32) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            return Err(self.explain(&anyhow!("{} has ended ({status})", self.name)));
        }
        // SAFETY: kill takes no pointers, and the child has not been waited for, so the id is its.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        Ok(())
    }

    /// Like a power cut: SIGKILL, to its children too.
    pub fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // SAFETY: kill takes no pointers, and the group is the child's own.
            unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        }
        let _ = self.child.wait();
    }

    /// SIGTERM, then waits for the end; killed if it takes longer than `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exit_status()? {
            return Ok(status);
        }
        self.signal(libc::SIGTERM)?;
        let ended = self.wait_end(limit);
        if ended.is_err() {
            self.kill();
        }
        ended
    }

    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let ended = wait_until(&what, limit, || Ok(self.child.try_wait()?));
        ended.map_err(|error| self.explain(&error))
    }

    /// Waits until the process has, or what it logs after byte `from` holds `needle`.
    pub fn wait_for_line(&mut self, needle: &str, from: usize, limit: Duration) -> Result<String> {
        let what = format!("{} to print {needle:?}", self.name);
        self.wait_for(&what, limit, |process| {
            let log = process.log();
            let mut new = log.get(from..).unwrap_or_default().lines();
            Ok(new.find(|line| line.contains(needle)).map(str::to_owned))
        })
    }

    /// Like [`wait_until`], but ends when the process does, and a failure shows its log.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let answer = wait_until(what, limit, || {
            // Asked first, so that the condition sees all that an ended process has left.
            let ended = self.child.try_wait()?;
            match (condition(self)?, ended) {
                (None, Some(status)) => {
                    bail!("{} ended ({status}) while waiting for {what}", self.name)
                }
                (answer, _) => Ok(answer),
            }
        });
        answer.map_err(|error| self.explain(&error))
    }

    /// Adds the end of the process's log to an error.
    pub fn explain(&self, error: &Error) -> Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n    ");
        anyhow!("{error:#}\nThe last that {} said:\n    {tail}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn shell(script: &str, log: &Path) -> Process {
        Process::start("the shell", Command::new("sh").args(["-c", script]), log).unwrap()
    }

    #[test]
    fn finds_a_line_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell(
            "echo I am ready to serve; exec sleep 60",
            &dir.path().join("log"),
        );
        assert_eq!(
            process.wait_for_line("ready", 0, LIMIT).unwrap(),
            "I am ready to serve"
        );
        process.terminate(LIMIT).unwrap();
    }

    #[test]
    fn an_end_before_the_line_shows_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("echo no such file >&2; exit 3", &dir.path().join("log"));
        let error = format!(
            "{:#}",
            process.wait_for_line("ready", 0, LIMIT).unwrap_err()
        );
        assert!(
            error.contains("no such file") && error.contains("exit status: 3"),
            "{error}"
        );
    }

    #[test]
    fn a_failed_command_tells_its_complaint() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; false"])).unwrap_err();
        assert!(error.to_string().ends_with("broken"), "{error}");
    }

    #[test]
    fn drop_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("sleep 60 & echo child $!; wait", &dir.path().join("log"));
        let line = process.wait_for_line("child", 0, LIMIT).unwrap();
        drop(process);
        let child = Path::new("/proc")
            .join(line.strip_prefix("child ").unwrap())
            .join("cmdline");
        // A zombie, until its new parent has noticed, has no command line.
        let gone = || {
            Ok(fs::read(&child)
                .map_or(true, |line| line.is_empty())
                .then_some(()))
        };
        wait_until("the child to be gone", LIMIT, gone).unwrap();
    }
}
