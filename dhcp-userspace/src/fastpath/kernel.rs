//! The loaded program and its maps.

use std::collections::BTreeSet;
use std::path::Path;

use aya::Ebpf;
use aya::maps::PerCpuArray;
use aya::programs::{TestRun, TestRunOptions, Xdp};
use dhcp_common::Reason;
use dhcp_common::layout::{map, program};

use super::FastPathError;
use super::carry;
use super::maps;
use super::off::{Off, Platform};
use super::pins::{self, PinError, Pins, SHARED};
use super::ports::Hooks;
use super::size::Needs;
use super::trace::Tracer;
use crate::config::Config;
use crate::config::model::FastPathMode;
use crate::lease::table::{Size, Table};

/// The longest frame that a run gives back.
const MAX_FRAME: usize = 4096;

pub struct Kernel {
    ebpf: Ebpf,
    unpinned: Option<PinError>,
    /// The table of the run before is in use, or was taken over.
    knows_last_run: bool,
    tracer: Option<Tracer>,
}

impl Kernel {
    /// Loads the program over the pinned table if there is one and it has room, else over a new
    /// one, to which it carries over what the pinned one holds.
    ///
    /// # Errors
    /// If the program is not wanted or cannot be loaded.
    pub fn open(config: &Config, pins: &Pins, platform: &Platform) -> Result<(Self, Table), Off> {
        if config.fast_path.mode == FastPathMode::Off {
            return Err(Off::Mode);
        }
        let object = platform.check()?;
        let needs = Needs::of(config);
        if let Err(error) = pins.make() {
            return Self::unpinned(object, needs.size(), error);
        }
        let old = maps::pinned_table(&pins.maps());
        match old {
            Some(old) if fits(&old, &needs) => Self::reopen(object, size_of(&old, &needs), pins),
            old => Self::replace(object, &needs, old.as_ref(), pins),
        }
    }

    fn unpinned(object: &[u8], size: Size, error: PinError) -> Result<(Self, Table), Off> {
        let ebpf = maps::load(object, size, None)?;
        let table = maps::table(&ebpf, size)?;
        Ok((Self::new(ebpf, Some(error), false), table))
    }

    fn reopen(object: &[u8], size: Size, pins: &Pins) -> Result<(Self, Table), Off> {
        let ebpf = maps::load(object, size, Some(&pins.maps()))?;
        let table = maps::table(&ebpf, size)?;
        Ok((Self::new(ebpf, None, true), table))
    }

    fn replace(
        object: &[u8],
        needs: &Needs,
        old: Option<&Table>,
        pins: &Pins,
    ) -> Result<(Self, Table), Off> {
        let next = pins.next_maps().map_err(Off::Map)?;
        let size = carry::size(needs, old);
        let ebpf = maps::load(object, size, Some(&next))?;
        let table = maps::table(&ebpf, size)?;
        if let Some(old) = old {
            carry::take_over(old, &table);
        }
        pins.use_next_maps(&next).map_err(Off::Map)?;
        Ok((Self::new(ebpf, None, old.is_some()), table))
    }

    fn new(mut ebpf: Ebpf, unpinned: Option<PinError>, knows_last_run: bool) -> Self {
        Self {
            tracer: Tracer::new(&mut ebpf),
            ebpf,
            unpinned,
            knows_last_run,
        }
    }

    /// Whether leases that the program of the run before still answers for can be closed.
    #[must_use]
    pub const fn knows_last_run(&self) -> bool {
        self.knows_last_run
    }

    /// Whether somebody has removed the pin of a map.
    #[must_use]
    pub fn lacks_pins(&self, pins: &Pins) -> bool {
        let directory = pins.maps();
        let mut names = SHARED.iter().map(|(name, _)| name);
        self.unpinned.is_none() && names.any(|name| pins::is_gone(&directory.join(name)))
    }

    /// Pins the maps again whose pins are gone, so that the next start finds them.
    ///
    /// # Errors
    /// If nothing can be pinned any more.
    pub fn pin_again(&self, pins: &Pins) -> Result<(), PinError> {
        pins.make()?;
        let directory = pins.maps();
        std::fs::create_dir_all(&directory).map_err(|error| PinError::Make {
            path: directory.clone(),
            error,
        })?;
        let paths = SHARED.map(|(name, _)| (name, directory.join(name)));
        let mut lacking = paths.iter().filter(|(_, path)| pins::is_gone(path));
        lacking.try_for_each(|(name, path)| self.pin_map(name, path))?;
        self.try_to_pin(pins)
    }

    /// A link that cannot be pinned is lost: whether it can is seen with a map.
    fn try_to_pin(&self, pins: &Pins) -> Result<(), PinError> {
        let path = pins.current().join("trial");
        self.pin_map(map::META, &path)?;
        let removed = std::fs::remove_file(&path);
        removed.map_err(|error| PinError::Make { path, error })
    }

    fn pin_map(&self, name: &str, path: &Path) -> Result<(), PinError> {
        let map = self.ebpf.map(name);
        let pinned = map.map_or(Ok(()), |map| map.pin(path));
        pinned.map_err(|error| PinError::Pin {
            path: path.to_owned(),
            error: maps::describe(&error),
        })
    }

    /// Why maps and links are not pinned, if they are not.
    #[must_use]
    pub fn why_unpinned(&self) -> Option<&PinError> {
        self.unpinned.as_ref()
    }

    /// What attaching needs.
    ///
    /// # Errors
    /// If the object is of another build.
    pub fn hooks<'a>(
        &'a mut self,
        pins: &'a Pins,
        mode: FastPathMode,
        vlans: &'a BTreeSet<String>,
    ) -> Result<Hooks<'a>, Off> {
        Ok(Hooks {
            program: maps::xdp(&mut self.ebpf, program::ANSWER)?,
            pins: self.unpinned.is_none().then_some(pins),
            mode,
            vlans,
        })
    }

    #[must_use]
    pub fn counters(&self) -> [u64; Reason::COUNT] {
        let array = self.ebpf.map(map::COUNTERS);
        let array = array.and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok());
        std::array::from_fn(|reason| {
            let values = array
                .as_ref()
                .and_then(|array| array.get(&(reason as u32), 0).ok());
            values.map_or(0, |values| values.iter().sum())
        })
    }

    /// Passes on what the program has logged.
    pub fn pass_log_on(&mut self) {
        if let Some(tracer) = &mut self.tracer {
            tracer.pass_on();
        }
    }

    /// Passes on what the program logs, or stops to.
    pub fn read_log(&mut self, on: bool) {
        match &mut self.tracer {
            Some(tracer) if on => tracer.start(),
            Some(tracer) => tracer.stop(),
            None => tracing::warn!("this build of the XDP program cannot trace"),
        }
    }

    /// What the answering program would say.
    ///
    /// # Errors
    /// If the interface is not there.
    pub fn explain(&self, frame: &[u8], ifindex: u32) -> Result<Reason, FastPathError> {
        let (code, _) = self.run(program::EXPLAIN, frame, ifindex)?;
        let reason = code.checked_sub(256).and_then(Reason::from_index);
        reason.ok_or_else(|| FastPathError::Run {
            ifindex,
            error: format!("it returned {code}"),
        })
    }

    /// Runs a program on a frame; gives what it returned and the frame.
    ///
    /// # Errors
    /// If the interface is not there.
    pub fn run(
        &self,
        name: &str,
        frame: &[u8],
        ifindex: u32,
    ) -> Result<(u32, Vec<u8>), FastPathError> {
        let failed = |error: String| FastPathError::Run { ifindex, error };
        let mut out = vec![0; MAX_FRAME];
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, frame.len() as u32, 0, ifindex, 0, 0]
            .map(u32::to_ne_bytes)
            .concat();
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let program = self
            .program(name)
            .ok_or_else(|| failed("there is no such program".into()))?;
        let result = program
            .test_run(options)
            .map_err(|error| failed(maps::describe(&error)))?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    #[must_use]
    pub fn verified_instructions(&self) -> Option<u32> {
        let info = self.program(program::ANSWER)?.info().ok()?;
        info.verified_instruction_count()
    }

    fn program(&self, name: &str) -> Option<&Xdp> {
        self.ebpf.program(name)?.try_into().ok()
    }
}

/// The size of a table of an earlier run that fits. Its map of boot memos has a bucket even if there
/// are to be none.
fn size_of(old: &Table, needs: &Needs) -> Size {
    let size = old.size();
    match needs.boot_memos {
        Some(0) => size.with_boots(0),
        _ => size,
    }
}

/// Whether a table of an earlier run has room for what is needed now, which it then makes.
fn fits(old: &Table, needs: &Needs) -> bool {
    let size = old.size();
    let wanted = needs.capacity.unwrap_or(0);
    let new = needs.size();
    let boots = match needs.boot_memos {
        Some(_) => size.buckets == new.buckets.max(1),
        None => size.buckets >= new.buckets,
    };
    let roomy = boots && size.slots() >= wanted && size.templates >= new.templates;
    roomy
        && needs
            .blocks
            .iter()
            .all(|block| old.add((*block).into()).is_ok())
}
