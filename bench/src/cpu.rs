//! CPU time, to the nanosecond, of processes and of single threads (`/proc/*/schedstat`), and where they run.

use std::fs;
use std::io;
use std::mem;

use anyhow::{Context, Result};

use crate::site::Receivers;

/// CPU time in nanoseconds, of the same moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// All threads of the server's process.
    pub server: u64,
    /// What its kernel did to receive (and, with XDP, to answer).
    pub receive: u64,
    /// The generator, and what receives for it.
    pub generator: u64,
}

impl Usage {
    /// Of the calling thread as the generator; `server` has the process id, if there is a process.
    pub fn now(receivers: Receivers, server: Option<u32>) -> Result<Self> {
        Ok(Self {
            server: server.map_or(Ok(0), of_process)?,
            receive: of_receiver(receivers.server)?,
            generator: of_thread("thread-self")? + of_receiver(receivers.generator)?,
        })
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            receive: self.receive.saturating_sub(before.receive),
            generator: self.generator.saturating_sub(before.generator),
        }
    }

    /// All that the server costs.
    pub fn charged(&self) -> u64 {
        self.server + self.receive
    }
}

fn of_receiver(thread: Option<u32>) -> Result<u64> {
    thread.map_or(Ok(0), |id| of_thread(&id.to_string()))
}

fn of_process(id: u32) -> Result<u64> {
    let mut sum = 0;
    let tasks = fs::read_dir(format!("/proc/{id}/task")).context("the server has ended")?;
    for task in tasks {
        // One that has ended meanwhile did nothing that counts.
        let thread = format!("{id}/task/{}", task?.file_name().to_string_lossy());
        sum += of_thread(&thread).unwrap_or(0);
    }
    Ok(sum)
}

fn of_thread(path: &str) -> Result<u64> {
    let path = format!("/proc/{path}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse(&text).with_context(|| format!("{path}: {text:?}"))
}

/// The first number is the time on a CPU.
fn parse(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets a thread (0: this one) run on this CPU alone.
pub fn pin(thread: u32, cpu: usize) -> Result<()> {
    // SAFETY: all zero is an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the number is that of a CPU, far less than the set has bits.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    let size = size_of_val(&set);
    // SAFETY: the pointer and the size are those of the set.
    let result = unsafe { libc::sched_setaffinity(thread.cast_signed(), size, &raw const set) };
    done(result).with_context(|| format!("could not pin thread {thread} to CPU {cpu}"))
}

/// Lets a thread run before all that are not real-time.
pub fn before_all_others(thread: u32) -> Result<()> {
    // SAFETY: all zero is a valid parameter.
    let mut parameter: libc::sched_param = unsafe { mem::zeroed() };
    parameter.sched_priority = 1;
    let id = thread.cast_signed();
    // SAFETY: the pointer is that of the parameter.
    let result = unsafe { libc::sched_setscheduler(id, libc::SCHED_FIFO, &raw const parameter) };
    done(result).with_context(|| format!("could not prefer thread {thread}"))
}

fn done(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_a_cpu_comes_first() {
        assert_eq!(parse("123456 789 3\n"), Some(123_456));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn own_time_grows_with_work() {
        let before = of_thread("thread-self").unwrap();
        let mut number = 1u64;
        while of_thread("thread-self").unwrap() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        let usage = Usage {
            server: 5,
            receive: 2,
            generator: 9,
        };
        assert_eq!(usage.charged(), 7);
        assert_eq!(usage.since(usage).charged(), 0);
    }
}
