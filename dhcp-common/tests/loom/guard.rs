//! The guard's words, which the daemon writes while the kernel reads them.

use std::sync::Mutex;

use dhcp_common::guard::{self, Asker, Class, Keeper, Line, Lines, Orders};

use super::*;

/// A MAC that takes the place of MAC 1 in the block list, with a seed of 0.
const OTHER: u64 = 17;

/// The few lines that a model touches, made when they are first asked for.
#[derive(Default)]
struct Memory {
    lines: Mutex<Vec<(u32, &'static Line)>>,
    orders: Orders,
}

impl Lines for Memory {
    fn line(&self, index: u32) -> Option<&Line> {
        let mut lines = self.lines.lock().unwrap();
        let found = lines.iter().find(|(at, _)| *at == index);
        let line = found.map(|(_, line)| *line);
        Some(line.unwrap_or_else(|| {
            let line: &Line = Box::leak(Box::default());
            lines.push((index, line));
            line
        }))
    }
}

impl Memory {
    fn keeper(&self) -> Keeper<'_, Self> {
        Keeper {
            lines: self,
            orders: &self.orders,
        }
    }
}

fn asker(mac: u64) -> Asker {
    Asker {
        mac,
        ingress: 7,
        source: mac,
        class: Class::First,
        foreign: false,
        selects: false,
    }
}

/// A place of the block list goes on to another client: the one before is not blocked for its time.
/// Finds: reading the key before the time; writing the key before the old time is taken away.
#[test]
fn nobody_is_blocked_for_anothers_time() {
    loom::model(|| {
        let memory = Arc::new(Memory::default());
        let keeper = memory.keeper();
        let place = keeper.block(&asker(1), NOW, 0);
        let reader = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || guard::is_blocked(&*memory, &memory.orders, &asker(1), NOW))
        };
        assert_eq!(keeper.block(&asker(OTHER), LONGER, NOW), place);
        assert!(!reader.join().unwrap(), "blocked for the next one's time");
        assert!(guard::is_blocked(
            &*memory,
            &memory.orders,
            &asker(OTHER),
            NOW
        ));
    });
}

/// Who is known stays so while the other filter begins to count and the old one is emptied.
/// Finds: emptying first; believing a filter that no longer counts.
#[test]
fn who_is_known_stays_known_over_a_turn() {
    loom::model(|| {
        let memory = Arc::new(Memory::default());
        memory.keeper().know(1);
        let reader = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || guard::may_be_known(&*memory, &memory.orders, &asker(1)))
        };
        let old = memory.keeper().change_over();
        let lines = memory.lines.lock().unwrap().clone();
        for (index, _) in lines.iter().filter(|(index, _)| old.contains(index)) {
            memory.keeper().clear(*index);
        }
        assert!(reader.join().unwrap(), "a known client is a stranger");
    });
}
