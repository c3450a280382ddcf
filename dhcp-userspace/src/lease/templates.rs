//! Reply templates: found again by content, counted by the slots that name them, and reused only
//! when no program run can still be copying them: [`Templates::settle`] waits for that.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use dashmap::DashMap;
use dhcp_common::template::{Facts, MAX_BODY, copy_words};
use foldhash::fast::RandomState;

use super::table::Table;
use crate::clock::SECOND;

/// Where the kernel does not tell that runs are over: one takes microseconds, unless its processor is
/// a virtual one that is taken away meanwhile.
const GRACE: u64 = 2 * SECOND;

/// Index 0 is never given, so that fresh memory names no template.
pub struct Templates {
    known: DashMap<Box<[u8]>, u32, RandomState>,
    references: Vec<AtomicU32>,
    /// Adopted templates whose content another index has too: nobody finds them any more.
    doubles: Mutex<HashSet<u32, RandomState>>,
    free: Mutex<Free>,
}

struct Free {
    /// The lowest index never given yet.
    next: u32,
    /// Given back, oldest first, with the time; a run may still be copying them.
    returned: VecDeque<(u32, u64)>,
    /// To be given again.
    settled: VecDeque<u32>,
}

/// The body of a reply from sname on, options END-terminated and padded behind `facts.open_len`.
#[derive(Clone, Debug)]
pub struct Content {
    pub facts: Facts,
    pub body: [u8; MAX_BODY],
}

/// What tells a content from others.
struct Key {
    bytes: [u8; FACTS + MAX_BODY],
    len: usize,
}

/// Bytes of the facts in a key.
const FACTS: usize = 14;

impl Content {
    fn key(&self) -> Key {
        let facts = &self.facts;
        let mut key = Key {
            bytes: [0; FACTS + MAX_BODY],
            len: FACTS + usize::from(facts.full_len),
        };
        key.bytes[..4].copy_from_slice(&facts.server.to_be_bytes());
        key.bytes[4..8].copy_from_slice(&facts.siaddr.to_be_bytes());
        key.bytes[8..12].copy_from_slice(&facts.lease_secs.to_be_bytes());
        key.bytes[12..FACTS].copy_from_slice(&facts.open_len.to_be_bytes());
        let body = &self.body[..usize::from(facts.full_len)];
        key.bytes[FACTS..key.len].copy_from_slice(body);
        key
    }
}

impl Key {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Templates {
    /// Starts with what the table's slots name already, counted by [`Self::adopt`].
    #[must_use]
    pub fn new(table: &Table) -> Self {
        let count = table.size().templates as usize;
        let free = Free {
            next: 1,
            returned: VecDeque::new(),
            settled: VecDeque::new(),
        };
        Self {
            known: DashMap::default(),
            references: (0..count).map(|_| AtomicU32::new(0)).collect(),
            doubles: Mutex::default(),
            free: Mutex::new(free),
        }
    }

    /// Counts a reference that a slot of an earlier run holds.
    pub fn adopt(&self, table: &Table, index: u32) {
        if self.references[index as usize].fetch_add(1, Ordering::Relaxed) == 0 {
            let key = content_of(table, index).key();
            let known = self.known.entry(key.bytes().into());
            if *known.or_insert(index) != index {
                self.doubles().insert(index);
            }
        }
    }

    /// Ends the adoption at start: what no slot named is free.
    pub fn adopted(&self) {
        let mut free = self.free.lock().expect("no panics while held");
        let used = |index: u32| self.references[index as usize].load(Ordering::Relaxed) != 0;
        let last = (1..self.references.len() as u32)
            .rev()
            .find(|index| used(*index));
        free.next = last.unwrap_or(0) + 1;
        free.returned = (1..free.next)
            .filter(|index| !used(*index))
            .map(|i| (i, 0))
            .collect();
    }

    /// The index of a template with this content, one reference more; `None` if all are in use.
    pub fn intern(&self, table: &Table, content: &Content) -> Option<u32> {
        self.intern_up_to(table, content, u32::MAX)
    }

    /// As [`Self::intern`], but no new one if so many are in use.
    pub fn intern_up_to(&self, table: &Table, content: &Content, most: u32) -> Option<u32> {
        let key = content.key();
        // Counted while the entry is locked: `release` looks at the count under the same lock.
        if let Some(known) = self.known.get(key.bytes()) {
            self.count(*known);
            return Some(*known);
        }
        match self.known.entry(key.bytes().into()) {
            // Another thread was first.
            dashmap::Entry::Occupied(known) => {
                let index = *known.get();
                self.count(index);
                drop(known);
                Some(index)
            }
            dashmap::Entry::Vacant(new) => {
                let index = self.take(most)?;
                table.template(index).write(&content.facts, &content.body);
                self.count(index);
                new.insert(index);
                Some(index)
            }
        }
    }

    fn count(&self, index: u32) {
        self.references[index as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one reference more of a template that a locked slot names.
    pub fn retain(&self, index: u32) {
        if index != 0 {
            self.count(index);
        }
    }

    /// Makes what was given back ready to be given again, once every run is over that may have begun
    /// while a slot named it. May wait for the kernel, some hundredths of a second.
    pub fn settle(&self, table: &Table, now: u64) {
        let free = || self.free.lock().expect("no panics while held");
        let waiting = free().returned.len();
        if waiting == 0 {
            return;
        }
        // What is given back meanwhile stands behind, and waits for the next time.
        let over = table.wait_for_runs().is_ok();
        let is_over = |since: u64| over || since.saturating_add(GRACE) <= now;
        let mut free = free();
        let free = &mut *free;
        let settled = free.returned.iter().take(waiting);
        let count = settled.take_while(|(_, since)| is_over(*since)).count();
        let settled = free.returned.drain(..count).map(|(index, _)| index);
        free.settled.extend(settled);
    }

    fn take(&self, most: u32) -> Option<u32> {
        let mut free = self.free.lock().expect("no panics while held");
        let idle = free.returned.len() + free.settled.len();
        if free.next as usize - 1 - idle >= most as usize {
            return None;
        }
        if let Some(index) = free.settled.pop_front() {
            return Some(index);
        }
        let fresh = free.next < self.references.len() as u32;
        fresh.then(|| {
            free.next += 1;
            free.next - 1
        })
    }

    /// Takes a slot's reference back. An index that no template has is nobody's.
    pub fn release(&self, table: &Table, index: u32, now: u64) {
        let Some(count) = self.references.get(index as usize) else {
            return;
        };
        if index == 0 || count.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        let unused = self.doubles().remove(&index) || {
            let key = content_of(table, index).key();
            let is_unused = |at: u32| at == index && count.load(Ordering::Relaxed) == 0;
            self.known
                .remove_if(key.bytes(), |_, at| is_unused(*at))
                .is_some()
        };
        if unused {
            let mut free = self.free.lock().expect("no panics while held");
            free.returned.push_back((index, now));
        }
    }

    fn doubles(&self) -> MutexGuard<'_, HashSet<u32, RandomState>> {
        self.doubles.lock().expect("no panics while held")
    }

    /// Templates that were ever in use, and how many of them are not.
    #[cfg(test)]
    pub(crate) fn handed_out(&self) -> (usize, usize) {
        let free = self.free.lock().expect("no panics while held");
        let idle = free.returned.len() + free.settled.len();
        (free.next as usize - 1, idle)
    }

    /// Templates in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.known.len() + self.doubles().len()
    }
}

fn content_of(table: &Table, index: u32) -> Content {
    let template = table.template(index);
    let mut content = Content {
        facts: template.facts(),
        body: [0; MAX_BODY],
    };
    copy_words(template.body(), &mut content.body);
    content
}

#[cfg(test)]
mod tests {
    use super::super::table::Size;
    use super::*;

    fn content(mark: u8) -> Content {
        let mut body = [0; MAX_BODY];
        body[200] = mark;
        let facts = Facts {
            server: 1,
            lease_secs: 60,
            open_len: 201,
            full_len: 256,
            ..Facts::default()
        };
        Content { facts, body }
    }

    fn table(templates: u32) -> Table {
        let size = Size {
            templates,
            ..Size::for_addresses(1, 1)
        };
        Table::anonymous(size).unwrap()
    }

    #[test]
    fn equal_content_is_shared_and_reused_when_no_run_copies_it() {
        let table = table(3);
        let templates = Templates::new(&table);
        let intern = |mark| templates.intern(&table, &content(mark));
        let one = intern(1).unwrap();
        assert_eq!(intern(1), Some(one));
        assert_ne!(intern(2), Some(one));
        assert_eq!(intern(3), None, "0 is never given");
        templates.release(&table, one, 0);
        templates.settle(&table, 0);
        assert_eq!(intern(3), None, "one reference left");
        templates.release(&table, one, 0);
        assert_eq!(intern(3), None, "a run may be copying it");
        std::thread::scope(|scope| {
            let run = table.run();
            scope.spawn(|| templates.settle(&table, u64::MAX));
            assert_eq!(intern(3), None, "one is");
            drop(run);
        });
        assert_eq!(intern(3), Some(one));
        assert_eq!(templates.in_use(), 2);
    }

    #[test]
    fn what_somebody_holds_is_given_to_nobody_else() {
        let table = table(3);
        let templates = Templates::new(&table);
        let (templates, table) = (&templates, &table);
        let hold = |mark: u8| {
            for _ in 0..20_000 {
                let Some(index) = templates.intern(table, &content(mark)) else {
                    templates.settle(table, 0);
                    continue;
                };
                let held = content_of(table, index).body[200];
                assert_eq!(held, mark, "template {index}");
                templates.release(table, index, 0);
            }
        };
        std::thread::scope(|scope| {
            for mark in [1, 1, 2, 3] {
                scope.spawn(move || hold(mark));
            }
        });
    }

    #[test]
    fn an_earlier_run_is_adopted() {
        let table = table(4);
        let before = Templates::new(&table);
        before.intern(&table, &content(1)).unwrap();
        let two = before.intern(&table, &content(2)).unwrap();
        let after = Templates::new(&table);
        after.adopt(&table, two);
        after.adopted();
        after.settle(&table, 0);
        assert_eq!(after.intern(&table, &content(2)), Some(two));
        assert_eq!(
            after.intern(&table, &content(9)),
            Some(1),
            "1 was named by no slot"
        );
    }

    #[test]
    fn equal_content_at_two_places_is_freed_at_both() {
        for first in [1, 2] {
            let table = table(3);
            for index in [1, 2] {
                let Content { facts, body } = content(1);
                table.template(index).write(&facts, &body);
            }
            let templates = Templates::new(&table);
            templates.adopt(&table, 1);
            templates.adopt(&table, 2);
            templates.adopted();
            assert_eq!(templates.in_use(), 2);
            templates.release(&table, first, 0);
            assert_eq!(templates.in_use(), 1);
            templates.release(&table, 3 - first, 0);
            assert_eq!(templates.in_use(), 0);
            templates.settle(&table, 0);
            let given = [2, 3].map(|mark| templates.intern(&table, &content(mark)));
            assert_eq!(given, [Some(first), Some(3 - first)]);
        }
    }

    #[test]
    fn an_index_beyond_the_table_is_nobodys() {
        let table = Table::anonymous(Size::for_addresses(1, 1)).unwrap();
        let templates = Templates::new(&table);
        templates.release(&table, u32::MAX, 0);
        assert_eq!(templates.in_use(), 0);
    }
}
