//! Which options stand where in a reply: with the others, or in the header fields that are free
//! (RFC 2131 section 4.1, RFC 2132 section 9.3).

use dhcp_common::wire::{bootp, option};

use super::options::{encoded_len, put};
use super::reply::{FILE_LEN, SNAME_LEN};
use crate::config::model::Boot;

/// Option 52 with its value.
const OVERLOAD_LEN: usize = 3;
const IN_FILE: u8 = 1;
const IN_SNAME: u8 = 2;

/// A field that may take options has its room, END taken off.
#[derive(Clone, Copy, Default)]
struct Free {
    file: usize,
    sname: usize,
}

impl Free {
    fn of(boot: &Boot) -> Self {
        // A text that does not fit is not there.
        let free = |text: &str, len: usize| match text.is_empty() || text.len() >= len {
            true => len - 1,
            false => 0,
        };
        Self {
            file: free(&boot.file, FILE_LEN),
            sname: free(&boot.server_name, SNAME_LEN),
        }
    }
}

#[derive(Default)]
pub(super) struct Plan<'a> {
    options: Vec<(u8, &'a [u8])>,
    file: Vec<u8>,
    sname: Vec<u8>,
    /// Options for which there is no room.
    pub(super) left_out: u32,
}

impl<'a> Plan<'a> {
    /// Options are placed in the order given: the first ones are left out last.
    pub(super) fn new(wanted: &[(u8, &'a [u8])], room: usize, boot: &Boot) -> Self {
        let plain = Self::place(wanted, room, Free::default());
        if plain.left_out == 0 || room < OVERLOAD_LEN {
            return plain;
        }
        let overloaded = Self::place(wanted, room - OVERLOAD_LEN, Free::of(boot));
        if overloaded.left_out < plain.left_out {
            overloaded
        } else {
            plain
        }
    }

    fn place(wanted: &[(u8, &'a [u8])], room: usize, free: Free) -> Self {
        let mut plan = Self::default();
        let mut left = room;
        for (code, value) in wanted {
            let len = encoded_len(value);
            if len <= left {
                left -= len;
                plan.options.push((*code, value));
            } else if plan.file.len() + len <= free.file {
                put(&mut plan.file, *code, value);
            } else if plan.sname.len() + len <= free.sname {
                put(&mut plan.sname, *code, value);
            } else {
                plan.left_out += 1;
            }
        }
        plan
    }

    /// Option 52.
    fn overload(&self) -> u8 {
        let used = |field: &[u8], bit| if field.is_empty() { 0 } else { bit };
        used(&self.file, IN_FILE) | used(&self.sname, IN_SNAME)
    }

    /// More room would have made it another plan.
    pub(super) fn is_crowded(&self) -> bool {
        self.left_out > 0 || self.overload() != 0
    }

    /// Appends the options to a frame whose BOOTP message begins at `start`, and fills its fields.
    pub(super) fn put(&self, frame: &mut Vec<u8>, start: usize) {
        if self.overload() != 0 {
            put(frame, option::OVERLOAD, &[self.overload()]);
        }
        for (code, value) in &self.options {
            put(frame, *code, value);
        }
        let fields = [(&self.file, bootp::FILE), (&self.sname, bootp::SNAME)];
        for (field, at) in fields.into_iter().filter(|(field, _)| !field.is_empty()) {
            let place = &mut frame[start + at..][..=field.len()];
            place[..field.len()].copy_from_slice(field);
            place[field.len()] = option::END;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Options;
    use proptest::prelude::*;

    fn boot(file: usize, sname: usize) -> Boot {
        Boot {
            file: "f".repeat(file),
            server_name: "s".repeat(sname),
            ..Boot::default()
        }
    }

    fn codes(region: &[u8]) -> Vec<u8> {
        Options::new(region)
            .map(|field| field.unwrap().code)
            .collect()
    }

    #[test]
    fn file_then_sname_take_what_finds_no_room() {
        let value = [7; 40];
        let wanted: Vec<(u8, &[u8])> = (1..=6).map(|code| (code, &value[..])).collect();
        let place = |room, boot: &Boot| {
            let plan = Plan::new(&wanted, room, boot);
            let main: Vec<u8> = plan.options.iter().map(|(code, _)| *code).collect();
            let fields = (codes(&plan.file), codes(&plan.sname));
            (main, fields, plan.overload(), plan.left_out)
        };
        let all = vec![1, 2, 3, 4, 5, 6];
        assert_eq!(place(252, &boot(0, 0)), (all, (vec![], vec![]), 0, 0));
        let rest = (vec![5, 6], vec![]);
        assert_eq!(place(171, &boot(0, 0)), (vec![1, 2, 3, 4], rest, 1, 0));
        let both = (vec![2, 3, 4], vec![5]);
        assert_eq!(place(45, &boot(0, 0)), (vec![1], both, 3, 1));
        assert_eq!(place(45, &boot(1, 0)), (vec![1], (vec![], vec![2]), 2, 4));
        assert_eq!(place(45, &boot(1, 1)), (vec![1], (vec![], vec![]), 0, 5));
        let (_, (file, _), ..) = place(45, &boot(128, 0));
        assert_eq!(
            file,
            [2, 3, 4],
            "a name that is too long leaves the field free"
        );
        // Option 52 would cost more than it gives.
        assert_eq!(place(84, &boot(1, 1)), (vec![1, 2], (vec![], vec![]), 0, 4));
    }

    proptest! {
        #[test]
        fn everything_is_somewhere_once_and_nothing_is_too_long(
            lens in prop::collection::vec(0usize..400, 0..12), room in 0usize..1300,
            file in prop::sample::select(vec![0usize, 5, 127, 128]), sname in 0usize..2,
        ) {
            let bytes = [9; 400];
            let wanted: Vec<(u8, &[u8])> = lens.iter().zip(1..).map(|(len, code)| (code, &bytes[..*len])).collect();
            let plan = Plan::new(&wanted, room, &boot(file, sname));
            let mut frame = vec![0; 240];
            plan.put(&mut frame, 0);
            prop_assert!(frame.len() - 240 <= room);
            let mut found = codes(&frame[240..]);
            found.retain(|code| *code != 52);
            for (bit, range) in [(1, 108..236), (2, 44..108)] {
                if plan.overload() & bit != 0 {
                    prop_assert!(frame[range.clone()].contains(&255));
                    found.extend(codes(&frame[range]));
                } else {
                    prop_assert!(frame[range].iter().all(|byte| *byte == 0));
                }
            }
            found.dedup();
            let before = found.len();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(before, found.len(), "no option in two places");
            prop_assert_eq!(found.len() as u32 + plan.left_out, wanted.len() as u32);
        }
    }
}
