//! Makes, finds and maps the BPF arrays of a lease table.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use aya::maps::{Map, MapData, MapType};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};
use dhcp_common::Reason;
use dhcp_common::guard::LINES;
use dhcp_common::layout::{BLOCK, ROOT_LEN, map, program};
use dhcp_common::word::Word;

use super::off::Off;
use super::pins::SHARED;
use super::size::block_entries;
use crate::lease::memory::{Memory, Words};
use crate::lease::table::{Parts, Size, Table};

/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;

/// The table that an earlier run has pinned, if all of its maps are there and as expected: the
/// loader would take others without a look.
#[must_use]
pub fn pinned_table(directory: &Path) -> Option<Table> {
    let pinned = |(name, value)| pinned_map(directory, name, value);
    let maps: Vec<MapData> = SHARED.into_iter().map(pinned).collect::<Option<_>>()?;
    let [
        root,
        blocks,
        slots,
        tails,
        boots,
        templates,
        meta,
        guard,
        counters,
    ] = maps.as_slice()
    else {
        return None;
    };
    let entries = |map: &MapData| map.info().map_or(0, |info| info.max_entries());
    let size = Size {
        blocks: entries(slots) / BLOCK,
        pages: entries(blocks) / BLOCK,
        templates: entries(templates),
        buckets: entries(boots),
    };
    let whole = entries(root) == ROOT_LEN
        && entries(slots) == size.slots()
        && entries(tails) == size.slots()
        && size.buckets.is_power_of_two()
        && entries(meta) == 1
        && entries(guard) == LINES
        && entries(counters) == Reason::COUNT as u32;
    let maps = [root, blocks, slots, tails, boots, templates, meta, guard];
    whole
        .then(|| parts(maps, size).ok())
        .flatten()
        .map(|parts| Table::new(parts, size))
}

fn pinned_map(directory: &Path, name: &str, value: usize) -> Option<MapData> {
    let found = MapData::from_pin(directory.join(name)).ok()?;
    let info = found.info().ok()?;
    let (kind, flags) = match name {
        map::COUNTERS => (MapType::PerCpuArray, 0),
        _ => (MapType::Array, MMAPABLE),
    };
    let fits = info.map_type().is_ok_and(|found| found == kind)
        && info.map_flags() & MMAPABLE == flags
        && info.key_size() == 4
        && info.value_size() as usize == value;
    fits.then_some(found)
}

/// Loads the object with maps of this size; takes or makes those pinned in `directory`.
///
/// # Errors
/// If the kernel refuses.
pub fn load(object: &[u8], size: Size, directory: Option<&Path>) -> Result<Ebpf, Off> {
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .map_max_entries(map::BLOCKS, block_entries(size))
        .map_max_entries(map::SLOTS, size.slots())
        .map_max_entries(map::TAILS, size.slots())
        .map_max_entries(map::BOOTS, size.buckets.max(1))
        .map_max_entries(map::TEMPLATES, size.templates);
    if let Some(directory) = directory {
        for (name, _) in SHARED {
            loader.map_pin_path(name, directory.join(name));
        }
    }
    let mut ebpf = loader.load(object).map_err(|error| refused(&error))?;
    for name in [program::ANSWER, program::EXPLAIN] {
        load_program(&mut ebpf, name)?;
    }
    Ok(ebpf)
}

/// The verifier gives up with EAGAIN when a signal is waiting for the process; libbpf, too, tries
/// again.
const ATTEMPTS: usize = 8;

/// Loads one program of the object.
///
/// # Errors
/// If the kernel refuses.
pub fn load_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Off> {
    let program = xdp(ebpf, name)?;
    let mut result = program.load();
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if was_interrupted(error) => result = program.load(),
            _ => break,
        }
    }
    result.map_err(|error| refused(&error))?;
    Ok(program)
}

fn was_interrupted(error: &ProgramError) -> bool {
    let ProgramError::LoadError { io_error, .. } = error else {
        return false;
    };
    io_error.raw_os_error() == Some(libc::EAGAIN)
}

/// A program of the object.
///
/// # Errors
/// If the object is of another build.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Off> {
    let found = ebpf.program_mut(name);
    let program = found.and_then(|program| program.try_into().ok());
    program.ok_or_else(|| Off::Load(format!("the object has no XDP program `{name}`")))
}

/// The table in the memory of the object's maps.
///
/// # Errors
/// If a map is missing or cannot be mapped.
pub fn table(ebpf: &Ebpf, size: Size) -> Result<Table, Off> {
    let array = |name| match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(Off::Load(format!("the object has no array `{name}`"))),
    };
    let maps = [
        array(map::ROOT)?,
        array(map::BLOCKS)?,
        array(map::SLOTS)?,
        array(map::TAILS)?,
        array(map::BOOTS)?,
        array(map::TEMPLATES)?,
        array(map::META)?,
        array(map::GUARD)?,
    ];
    let parts = parts(maps, size).map_err(Off::Map)?;
    Ok(Table::new(parts, size))
}

fn parts(
    [root, blocks, slots, tails, boots, templates, meta, guard]: [&MapData; 8],
    size: Size,
) -> io::Result<Parts> {
    Ok(Parts {
        root: memory::<Word>(root, ROOT_LEN)?,
        blocks: memory::<Word>(blocks, block_entries(size))?,
        slots: memory(slots, size.slots())?,
        tails: memory(tails, size.slots())?,
        boots: memory(boots, size.buckets)?,
        templates: memory(templates, size.templates)?,
        meta: memory(meta, 1)?,
        guard: memory(guard, LINES)?,
    })
}

fn memory<T: Words>(map: &MapData, len: u32) -> io::Result<Memory<T>> {
    Memory::of_array(map.fd().as_fd(), len as usize)
}

/// An error of the loader in one sentence.
fn refused(error: &(dyn Error + 'static)) -> Off {
    let text = describe(error);
    if chain(error).any(is_permission_denied) {
        return Off::NotPermitted(text);
    }
    Off::Load(text)
}

fn is_permission_denied(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error with its causes; of a verifier's log, which fills screens, the end.
#[must_use]
pub fn describe(error: &(dyn Error + 'static)) -> String {
    if let Some(ProgramError::LoadError {
        io_error,
        verifier_log,
    }) = error.downcast_ref()
    {
        let log = verifier_log.to_string();
        tracing::debug!("verifier: {log}");
        let mut lines = log.lines().rev().filter(|line| !line.trim().is_empty());
        let last = lines.find(|line| !line.starts_with("processed"));
        return format!("{io_error}: {}", last.unwrap_or("no reason given"));
    }
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
