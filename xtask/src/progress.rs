//! Steps that show their name and time while a command runs, and its output only if it fails.

use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use xdhcpd_tests::interrupt;

const TICK: Duration = Duration::from_millis(100);

/// How a command ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Standard output and standard error, as they came.
    pub(crate) output: String,
    pub(crate) time: Duration,
}

/// Runs `command` as the step `name`; a failure prints all that it said.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    let finished = try_step(name, command)?;
    if !finished.status.success() {
        eprint!("{}", finished.output);
        bail!("{name}: failed ({})", finished.status);
    }
    Ok(())
}

/// Like [`step`], but the caller judges the result.
pub(crate) fn try_step(name: &str, command: &mut Command) -> Result<Finished> {
    try_step_telling(name, command, |_| None)
}

/// Like [`try_step`]; what `pick` makes of a line of the output is printed at once.
pub(crate) fn try_step_telling(
    name: &str,
    command: &mut Command,
    pick: impl Fn(&str) -> Option<String>,
) -> Result<Finished> {
    let (started, line) = (now(), StepLine::new(name));
    let (reader, writer) = io::pipe()?;
    if interrupt::is_caught() {
        // The Ctrl-C comes to us alone, and we end all of it.
        command.process_group(0);
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn();
    // The command holds the pipe's writing end too, and reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        child.with_context(|| format!("could not start {:?}", command.get_program()))?;
    let group = child.id().cast_signed();
    let output = unless(interrupt::happened, group, || read(reader, &line, pick))?;
    let status = child.wait()?;
    let time = started.elapsed();
    line.finish(status.success(), time);
    interrupt::check()?;
    Ok(Finished {
        status,
        output,
        time,
    })
}

/// Does the work, during which a process group is ended once something has `happened`.
fn unless<T>(happened: fn() -> bool, group: libc::pid_t, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    let watch = move || {
        while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if happened() {
                // SAFETY: kill takes no pointers; the group's first process has not been waited for.
                unsafe { libc::kill(-group, libc::SIGTERM) };
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(watch);
        let worked = work();
        drop(done);
        worked
    })
}

fn read(
    reader: PipeReader,
    line: &StepLine,
    pick: impl Fn(&str) -> Option<String>,
) -> Result<String> {
    let (mut reader, mut output) = (BufReader::new(reader), String::new());
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        line.tell(text.trim());
        if let Some(picked) = pick(&text) {
            line.keep(&picked);
        }
        output.push_str(&text);
        bytes.clear();
    }
    Ok(output)
}

#[expect(
    clippy::disallowed_methods,
    reason = "people want to know how long a step takes"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// One line of the terminal: a spinner, or plain text where there is no terminal.
struct StepLine {
    name: String,
    spinner: Option<ProgressBar>,
}

impl StepLine {
    fn new(name: &str) -> Self {
        let spinner = io::stderr().is_terminal().then(|| spinner(name));
        if spinner.is_none() {
            eprintln!("{name} ...");
        }
        Self {
            name: name.to_owned(),
            spinner,
        }
    }

    fn tell(&self, message: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(message.to_owned());
        }
    }

    /// Tells something that stays on the terminal.
    fn keep(&self, message: &str) {
        match &self.spinner {
            Some(spinner) => spinner.println(message),
            None => eprintln!("{message}"),
        }
    }

    fn finish(&self, success: bool, time: Duration) {
        let (mark, end) = if success {
            ("✓", "done")
        } else {
            ("✗", "failed")
        };
        match &self.spinner {
            Some(spinner) => {
                spinner.finish_and_clear();
                eprintln!("{mark} {} ({:.1} s)", self.name, time.as_secs_f64());
            }
            None => eprintln!("{}: {end} in {:.1} s", self.name, time.as_secs_f64()),
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} ({elapsed}) {wide_msg:.dim}");
    let spinner = ProgressBar::new_spinner().with_prefix(name.to_owned());
    spinner.set_style(style.expect("the template is well formed"));
    spinner.enable_steady_tick(TICK);
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn keeps_both_streams_in_order() {
        let finished = try_step("speaking", &mut shell("echo one; echo two >&2; exit 4")).unwrap();
        assert_eq!(finished.output, "one\ntwo\n");
        assert_eq!(finished.status.code(), Some(4));
    }

    #[test]
    fn who_interrupts_a_step_ends_all_that_it_started() {
        let (reader, writer) = io::pipe().unwrap();
        let mut command = shell("sleep 600 & wait");
        let mut child = command.stdout(writer).process_group(0).spawn().unwrap();
        drop(command);
        let group = child.id().cast_signed();
        // Both of them hold the pipe.
        let output = unless(
            || true,
            group,
            || read(reader, &StepLine::new("a"), |_| None),
        );
        assert_eq!(output.unwrap(), "");
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_failing_step_is_an_error_with_its_name() {
        let error = step("building a house", &mut shell("exit 1")).unwrap_err();
        assert!(
            error.to_string().starts_with("building a house: failed"),
            "{error}"
        );
    }
}
