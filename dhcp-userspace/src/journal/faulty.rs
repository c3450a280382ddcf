//! A file system in memory whose operations fail on demand, and whose power can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::storage::{File, Storage};

/// What is to happen at the n-th operation that changes something, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails with this error; a write may have been done in part.
    Error(io::ErrorKind),
    /// It and all after it fail and have no effect, but the machine runs on.
    Broken,
    /// The same, and what was not synced is lost; see [`Faulty::after_power_cut`].
    PowerCut,
}

/// What a disk that is full still takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Space {
    #[default]
    Enough,
    /// What is written over bytes that are there.
    InPlace,
    /// Nothing, as where no byte is ever written in place; a part of a write is done all the same.
    None,
}

/// Bytes that the disk writes at once, or the older ones stay; at most one is torn by a power cut.
const SECTOR: usize = 32;

/// Clones are the same directory.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<Mutex<World>>);

#[derive(Clone, Default)]
struct World {
    /// Names as processes see them, and as they are on disk.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Since the last sync of the directory.
    name_steps: Vec<NameStep>,
    inodes: Vec<Inode>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    /// Why nothing has an effect any more.
    dead: Option<Fault>,
    space: Space,
}

#[derive(Clone)]
enum NameStep {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl NameStep {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, index) => {
                names.insert(name.clone(), *index);
            }
            Self::Rename(from, to) => {
                if let Some(index) = names.remove(from) {
                    names.insert(to.clone(), index);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Not synced yet, in order.
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Step {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let end = *offset as usize + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset as usize..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => content.resize(*len as usize, 0),
        }
    }
}

impl Faulty {
    pub(crate) fn with_fault(self, at: usize, fault: Fault) -> Self {
        self.world().fault = Some((at, fault));
        self
    }

    /// Operations so far that changed something.
    pub(crate) fn operations(&self) -> usize {
        self.world().operations
    }

    /// From now on no file can become longer.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.set_space(if is_full {
            Space::InPlace
        } else {
            Space::Enough
        });
    }

    pub(crate) fn set_space(&self, space: Space) {
        self.world().space = space;
    }

    /// What another process finds if this one is killed.
    pub(crate) fn after_kill(&self) -> Self {
        let mut world = self.world().clone();
        world.fault = None;
        world.dead = None;
        world.operations = 0;
        Self(Arc::new(Mutex::new(world)))
    }

    /// What is on disk after a power cut. Of what was not synced, the disk did some things and
    /// left out others, as the seed chooses: changes of names, and of every file any sectors of
    /// any age, one of them torn at any byte.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let world = self.world();
        let mut random = Random(seed);
        let mut names = world.durable_names.clone();
        for step in &world.name_steps {
            if random.below(2) == 0 {
                step.apply(&mut names);
            }
        }
        let contents = world.inodes.iter();
        let contents = contents.map(|inode| inode.after_power_cut(&mut random));
        Self::on_disk(names, contents.collect())
    }

    /// How many bytes are not synced in the file that has the most of them.
    pub(crate) fn unsynced(&self) -> usize {
        let world = self.world();
        world.inodes.iter().map(Inode::unsynced).max().unwrap_or(0)
    }

    /// The same as [`Self::after_power_cut`], where the disk wrote what was not synced up to a byte
    /// and nothing from there on, or the other way round. Names are those of before, or all new.
    pub(crate) fn after_power_cut_at(&self, byte: usize, order: Order) -> Self {
        let world = self.world();
        let names = match order {
            Order::Forward => &world.names,
            Order::Backward => &world.durable_names,
        };
        let contents = world.inodes.iter();
        let contents = contents.map(|inode| inode.cut_at(byte, order));
        Self::on_disk(names.clone(), contents.collect())
    }

    fn on_disk(names: BTreeMap<String, usize>, contents: Vec<Vec<u8>>) -> Self {
        let inodes = contents.into_iter().map(|content| Inode {
            seen: content.clone(),
            durable: content,
            steps: Vec::new(),
        });
        let world = World {
            durable_names: names.clone(),
            names,
            inodes: inodes.collect(),
            ..World::default()
        };
        Self(Arc::new(Mutex::new(world)))
    }

    /// As [`Self::with_fault`], of one that is in use: an error of the disk.
    pub(crate) fn fail_at(&self, at: usize) {
        self.world().fault = Some((at, Fault::Error(io::ErrorKind::Other)));
    }

    /// Gives back the memory of files that have no name any more; nobody may have them open.
    pub(crate) fn forget_removed(&self) {
        let mut world = self.world();
        if !world.name_steps.is_empty() {
            return;
        }
        let names = world.names.values().chain(world.durable_names.values());
        let named: BTreeSet<usize> = names.copied().collect();
        for (index, inode) in world.inodes.iter_mut().enumerate() {
            if !named.contains(&index) {
                *inode = Inode::default();
            }
        }
    }

    /// How long each file is; names have chance in them.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let world = self.world();
        let inodes = world.names.values().map(|index| &world.inodes[*index]);
        let mut sizes: Vec<_> = inodes.map(|inode| inode.seen.len()).collect();
        sizes.sort_unstable();
        sizes
    }

    /// What a file has, to be looked at or damaged.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[name]].seen.clone()
    }

    pub(crate) fn set_content(&self, name: &str, content: &[u8]) {
        let mut world = self.world();
        let index = world.names[name];
        world.inodes[index].seen = content.into();
        world.inodes[index].durable = content.into();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no panics while held")
    }
}

/// Which end of what was not synced reaches the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Forward,
    Backward,
}

impl Inode {
    fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        if self.steps.is_empty() {
            return self.durable.clone();
        }
        let ages = self.ages();
        let mut content = vec![0; ages[random.below(ages.len())].len()];
        let sectors = content.len().div_ceil(SECTOR).max(1);
        let torn = random.below(sectors);
        for (number, sector) in content.chunks_mut(SECTOR).enumerate() {
            let age = &ages[random.below(ages.len())];
            fill(sector, number * SECTOR, age);
            if number == torn {
                let at = random.below(sector.len() + 1);
                let age = &ages[random.below(ages.len())];
                fill(&mut sector[..at], number * SECTOR, age);
            }
        }
        content
    }

    /// What the file was after each step since the last sync.
    fn ages(&self) -> Vec<Vec<u8>> {
        let mut content = self.durable.clone();
        let mut ages = vec![content.clone()];
        for step in &self.steps {
            step.apply(&mut content);
            ages.push(content.clone());
        }
        ages
    }

    fn unsynced(&self) -> usize {
        let bytes = self.steps.iter().map(|step| match step {
            Step::Write(_, bytes) => bytes.len(),
            Step::SetLen(_) => 0,
        });
        bytes.sum()
    }

    fn cut_at(&self, byte: usize, order: Order) -> Vec<u8> {
        let offset = self.steps.iter().find_map(|step| match step {
            Step::Write(offset, _) => Some(*offset as usize),
            Step::SetLen(_) => None,
        });
        let (Some(offset), Some(new)) = (offset, self.ages().pop()) else {
            return self.durable.clone();
        };
        let mut content = vec![0; new.len()];
        let (front, back) = content.split_at_mut((offset + byte).min(new.len()));
        let (first, last) = match order {
            Order::Forward => (&new, &self.durable),
            Order::Backward => (&self.durable, &new),
        };
        fill(front, 0, first);
        fill(back, front.len(), last);
        content
    }
}

/// Copies what a file has at an offset; zeros behind its end.
fn fill(to: &mut [u8], offset: usize, from: &[u8]) {
    to.fill(0);
    let from = from.get(offset..).unwrap_or_default();
    let len = to.len().min(from.len());
    to[..len].copy_from_slice(&from[..len]);
}

impl World {
    /// Counts an operation and lets it fail if its turn has come.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Error(kind))) if at == number => return Err(kind.into()),
            Some((at, fault)) if at == number => self.dead = Some(fault),
            _ => {}
        }
        if self.dead.is_some() {
            return Err(io::Error::other("no disk"));
        }
        Ok(())
    }

    fn rename(&mut self, step: NameStep) {
        step.apply(&mut self.names);
        self.name_steps.push(step);
    }

    fn index(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.world().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut world = self.world();
        world.operate()?;
        let index = world.inodes.len();
        world.inodes.push(Inode::default());
        world.rename(NameStep::Create(name.into(), index));
        Ok(self.file(index))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let index = self.world().index(name)?;
        Ok(self.file(index))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.operate()?;
        world.index(from)?;
        world.rename(NameStep::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.operate()?;
        world.index(name)?;
        world.rename(NameStep::Remove(name.into()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut world = self.world();
        world.operate()?;
        world.durable_names = world.names.clone();
        world.name_steps.clear();
        Ok(())
    }
}

impl Faulty {
    fn file(&self, index: usize) -> Box<dyn File> {
        Box::new(Open {
            world: self.clone(),
            index,
        })
    }
}

struct Open {
    world: Faulty,
    index: usize,
}

impl File for Open {
    fn size(&self) -> io::Result<u64> {
        Ok(self.world.world().inodes[self.index].seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.world.world();
        let seen = &world.inodes[self.index].seen;
        let rest = seen.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.world.world();
        let mut result = world.operate();
        if world.dead.is_some() {
            return result;
        }
        let end = offset as usize + bytes.len();
        let is_longer = end > world.inodes[self.index].seen.len();
        match world.space {
            Space::InPlace if is_longer => return Err(io::ErrorKind::StorageFull.into()),
            Space::None => result = Err(io::ErrorKind::StorageFull.into()),
            Space::InPlace | Space::Enough => {}
        }
        let done = match result {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 2],
        };
        world.inodes[self.index].step(Step::Write(offset, done.into()));
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.world.world();
        world.operate()?;
        world.inodes[self.index].step(Step::SetLen(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.world();
        let result = world.operate();
        if world.dead == Some(Fault::PowerCut) {
            return result;
        }
        let inode = &mut world.inodes[self.index];
        if result.is_err() {
            // As on Linux: pages that could not be written are marked clean, and no later sync
            // writes them. The length is no page.
            let is_length = |step: &Step| matches!(step, Step::SetLen(_));
            inode.steps.retain(is_length);
            return result;
        }
        for step in std::mem::take(&mut inode.steps) {
            step.apply(&mut inode.durable);
        }
        result
    }
}

impl Inode {
    fn step(&mut self, step: Step) {
        step.apply(&mut self.seen);
        self.steps.push(step);
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
