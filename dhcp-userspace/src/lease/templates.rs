//! Reply templates: found again by content, counted by the slots that name them, and reused only
//! when no program run can still be copying them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dhcp_common::template::{Facts, MAX_BODY, copy_words};
use foldhash::fast::RandomState;

use super::table::Table;
use crate::clock::SECOND;

/// A program run copies a template within microseconds; a preempted daemon thread (fast path
/// off) within milliseconds.
const GRACE: u64 = 2 * SECOND;

/// Index 0 is never given, so that fresh memory names no template.
pub struct Templates {
    known: DashMap<Box<[u8]>, u32, RandomState>,
    references: Vec<AtomicU32>,
    free: Mutex<Free>,
}

struct Free {
    /// The lowest index never given yet.
    next: u32,
    /// Given back, oldest first, with the time.
    returned: VecDeque<(u32, u64)>,
}

/// The body of a reply from sname on, options END-terminated and padded behind `facts.open_len`.
#[derive(Clone, Debug)]
pub struct Content {
    pub facts: Facts,
    pub body: [u8; MAX_BODY],
}

impl Content {
    fn key(&self) -> Box<[u8]> {
        let facts = &self.facts;
        let mut key = Vec::with_capacity(16 + usize::from(facts.full_len));
        key.extend(facts.server.to_be_bytes());
        key.extend(facts.siaddr.to_be_bytes());
        key.extend(facts.lease_secs.to_be_bytes());
        key.extend(facts.open_len.to_be_bytes());
        key.extend(&self.body[..usize::from(facts.full_len)]);
        key.into()
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
        };
        Self {
            known: DashMap::default(),
            references: (0..count).map(|_| AtomicU32::new(0)).collect(),
            free: Mutex::new(free),
        }
    }

    /// Counts a reference that a slot of an earlier run holds.
    pub fn adopt(&self, table: &Table, index: u32) {
        if self.references[index as usize].fetch_add(1, Ordering::Relaxed) == 0 {
            let template = table.template(index);
            let mut content = Content {
                facts: template.facts(),
                body: [0; MAX_BODY],
            };
            copy_words(template.body(), &mut content.body);
            self.known.insert(content.key(), index);
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
    pub fn intern(&self, table: &Table, content: &Content, now: u64) -> Option<u32> {
        let entry = self.known.entry(content.key());
        let index = match entry {
            dashmap::Entry::Occupied(known) => *known.get(),
            dashmap::Entry::Vacant(new) => {
                let index = self.take(now)?;
                table.template(index).write(&content.facts, &content.body);
                *new.insert(index)
            }
        };
        // Counted while the entry is locked: `release` looks at the count under the same lock.
        self.references[index as usize].fetch_add(1, Ordering::Relaxed);
        Some(index)
    }

    fn take(&self, now: u64) -> Option<u32> {
        let mut free = self.free.lock().expect("no panics while held");
        if free
            .returned
            .front()
            .is_some_and(|(_, since)| since + GRACE <= now)
        {
            return free.returned.pop_front().map(|(index, _)| index);
        }
        let fresh = free.next < self.references.len() as u32;
        fresh.then(|| {
            free.next += 1;
            free.next - 1
        })
    }

    /// Takes a slot's reference back.
    pub fn release(&self, table: &Table, index: u32, now: u64) {
        if index == 0 || self.references[index as usize].fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        let template = table.template(index);
        let mut content = Content {
            facts: template.facts(),
            body: [0; MAX_BODY],
        };
        copy_words(template.body(), &mut content.body);
        let count = &self.references[index as usize];
        let unused = self.known.remove_if(&content.key(), |_, at| {
            *at == index && count.load(Ordering::Relaxed) == 0
        });
        if unused.is_some() {
            let mut free = self.free.lock().expect("no panics while held");
            free.returned.push_back((index, now));
        }
    }

    /// Templates in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.known.len()
    }
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

    #[test]
    fn equal_content_is_shared_and_reused_after_grace() {
        let size = Size {
            blocks: 1,
            pages: 1,
            templates: 3,
        };
        let table = Table::anonymous(size).unwrap();
        let templates = Templates::new(&table);
        let one = templates.intern(&table, &content(1), 0).unwrap();
        assert_eq!(templates.intern(&table, &content(1), 0), Some(one));
        let two = templates.intern(&table, &content(2), 0).unwrap();
        assert_ne!(one, two);
        assert_eq!(
            templates.intern(&table, &content(3), 0),
            None,
            "0 is never given"
        );
        templates.release(&table, one, 10);
        assert_eq!(
            templates.intern(&table, &content(3), 10 + GRACE),
            None,
            "one reference left"
        );
        templates.release(&table, one, 10);
        assert_eq!(
            templates.intern(&table, &content(3), 9 + GRACE),
            None,
            "still in grace"
        );
        assert_eq!(templates.intern(&table, &content(3), 10 + GRACE), Some(one));
        assert_eq!(templates.in_use(), 2);
    }

    #[test]
    fn an_earlier_run_is_adopted() {
        let size = Size {
            blocks: 1,
            pages: 1,
            templates: 4,
        };
        let table = Table::anonymous(size).unwrap();
        let before = Templates::new(&table);
        before.intern(&table, &content(1), 0).unwrap();
        let two = before.intern(&table, &content(2), 0).unwrap();
        let after = Templates::new(&table);
        after.adopt(&table, two);
        after.adopted();
        assert_eq!(after.intern(&table, &content(2), 0), Some(two));
        assert_eq!(
            after.intern(&table, &content(9), GRACE),
            Some(1),
            "1 was named by no slot"
        );
    }
}
