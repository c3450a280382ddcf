//! The fast path on the daemon's own memory: what workers run while XDP is off, and what the
//! loaded program is held against.

use dhcp_common::Reason;
use dhcp_common::boot::Bucket;
use dhcp_common::fast::{self, Env, MAX_WINDOW, Peek, Scratch, Window};
use dhcp_common::guard::{Line, Lines};
use dhcp_common::head::Head;
use dhcp_common::layout::Meta;
use dhcp_common::slot::Slot;
use dhcp_common::template::{END_PAD, MAX_BODY, MAX_TAIL, Tail, Template, copy_words};
use dhcp_common::wire::{BOOTP_LEN, IP_LEN, UDP_LEN};
use dhcp_common::word::Word;

use crate::lease::table::Table;

/// A frame in a buffer of the daemon, as the interface `ifindex` received it at `now`.
pub struct HostEnv<'a> {
    pub table: &'a Table,
    /// The whole frame with its link header; becomes the reply on a hit.
    pub frame: &'a mut Vec<u8>,
    pub ifindex: u32,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub now: u64,
}

impl HostEnv<'_> {
    /// Answers the frame in place if the kernel would; extends the lease.
    pub fn answer(&mut self, scratch: &mut Scratch) -> Reason {
        let table = self.table;
        let _run = table.run();
        fast::answer(self, scratch)
    }

    /// What [`Self::answer`] would say; changes nothing.
    #[must_use]
    pub fn explain(&self, scratch: &mut Scratch) -> Reason {
        fast::explain(self, scratch)
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> bool {
        let Some(to) = self.frame.get_mut(at..at + bytes.len()) else {
            return false;
        };
        to.copy_from_slice(bytes);
        true
    }
}

impl Lines for HostEnv<'_> {
    fn line(&self, index: u32) -> Option<&Line> {
        self.table.line(index)
    }
}

impl Env for HostEnv<'_> {
    fn frame_len(&self) -> usize {
        self.frame.len()
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn peek(&self, to: &mut Peek) -> bool {
        let start = self.frame.first_chunk();
        start.map(|bytes| to.0 = *bytes).is_some()
    }

    fn window(&self, at: usize, len: usize, to: &mut Window) -> bool {
        let Some(bytes) = self.frame.get(at..at + len.min(MAX_WINDOW)) else {
            return false;
        };
        let Some((ip, rest)) = bytes.split_first_chunk::<IP_LEN>() else {
            return false;
        };
        let Some((udp, rest)) = rest.split_first_chunk::<UDP_LEN>() else {
            return false;
        };
        let Some((bootp, options)) = rest.split_first_chunk::<BOOTP_LEN>() else {
            return false;
        };
        (to.ip, to.udp, to.bootp) = (*ip, *udp, *bootp);
        load_words(options, &mut to.options);
        true
    }

    fn meta(&self) -> Option<&Meta> {
        Some(self.table.meta())
    }

    fn root(&self, index: u32) -> Option<u64> {
        let root = &self.table.parts().root;
        root.get(index as usize).map(Word::load)
    }

    fn block(&self, index: u32) -> Option<u64> {
        let blocks = &self.table.parts().blocks;
        blocks.get(index as usize).map(Word::load)
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.table.parts().slots.get(index as usize)
    }

    fn tail(&self, index: u32) -> Option<&Tail> {
        self.table.parts().tails.get(index as usize)
    }

    fn template(&self, index: u32) -> Option<&Template> {
        self.table.parts().templates.get(index as usize)
    }

    fn bucket(&self, index: u32) -> Option<&Bucket> {
        self.table.parts().boots.get(index as usize)
    }

    fn resize(&mut self, _: usize, to: usize) -> bool {
        self.frame.resize(to, 0);
        true
    }

    fn store_head(&mut self, head: &Head, from: usize) -> bool {
        head.0.get(from..).is_some_and(|head| self.store(0, head))
    }

    fn store_body(&mut self, at: usize, template: u32, len: usize) -> bool {
        let template = self.table.parts().templates.get(template as usize);
        let (Some(template), true) = (template, len <= MAX_BODY) else {
            return false;
        };
        let Some(to) = self.frame.get_mut(at..at + len) else {
            return false;
        };
        copy_words(template.body(), to);
        true
    }

    fn store_tail(&mut self, at: usize, tail: &[u64; 8], len: usize) -> bool {
        let to = self.frame.get_mut(at..at + len);
        len <= MAX_TAIL && to.is_some_and(|to| copy_bytes(tail, 0, to))
    }

    fn store_option(&mut self, at: usize, window: &Window, from: usize, len: usize) -> bool {
        let to = self.frame.get_mut(at..at + len);
        to.is_some_and(|to| copy_bytes(&window.options, from, to))
    }

    fn store_end(&mut self, at: usize, len: usize) -> bool {
        END_PAD
            .get(..len)
            .is_some_and(|bytes| self.store(at, bytes))
    }
}

/// Copies bytes to words as they stand in memory; bytes behind them in the last word are zeroed.
fn load_words(from: &[u8], to: &mut [u64]) {
    for (chunk, word) in from.chunks(8).zip(to) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(bytes);
    }
}

/// Fills `to` with the bytes of `words` from byte `from` on; false if there are not as many.
fn copy_bytes(words: &[u64], from: usize, to: &mut [u8]) -> bool {
    for (i, byte) in to.iter_mut().enumerate() {
        let Some(word) = words.get((from + i) / 8) else {
            return false;
        };
        *byte = word.to_ne_bytes()[(from + i) % 8];
    }
    true
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
