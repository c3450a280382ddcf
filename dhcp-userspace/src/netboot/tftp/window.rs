//! Which blocks to send when: RFC 1350 with windows (RFC 7440), of which a window of one block is
//! the plain protocol. Knows neither sockets nor time.

use std::ops::RangeInclusive;

/// The server's side of a transfer. Blocks count from 1 and do not roll over here.
#[derive(Debug)]
pub struct Window {
    /// The last block, which is short, perhaps empty.
    last: u64,
    size: u64,
    acked: u64,
    sent: u64,
    /// Since [`Self::take_resent`].
    resent: u64,
    /// The window was sent again because of an acknowledgement, or began in the midst of the last
    /// one: more of these are echoes of what is still on its way.
    went_back: bool,
}

/// What an acknowledgement calls for.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    Send(RangeInclusive<u64>),
    /// The client has all.
    Done,
}

impl Window {
    #[must_use]
    pub const fn new(last: u64, size: u64) -> Self {
        Self {
            last,
            size,
            acked: 0,
            sent: 0,
            resent: 0,
            went_back: false,
        }
    }

    /// Blocks that the client has.
    #[must_use]
    pub const fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether no block was sent yet.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.sent == 0
    }

    /// Whether nothing remains that was not sent at least once.
    #[must_use]
    pub const fn is_all_sent(&self) -> bool {
        self.sent == self.last
    }

    /// The client has all blocks up to this, and asks for the next ones.
    pub fn ack(&mut self, block: u16) -> Next {
        let news = u64::from(block.wrapping_sub(self.acked as u16));
        let open = self.sent - self.acked;
        if news > open {
            return Next::Nothing;
        }
        if news == 0 && open > 0 {
            return self.again();
        }
        self.acked += news;
        self.went_back = news < open;
        if self.acked == self.last {
            return Next::Done;
        }
        Next::Send(self.send())
    }

    /// The block after those it has did not come. A single lost block shows by silence: to answer
    /// here would double every block from then on (RFC 1123, 4.2.3.1).
    fn again(&mut self) -> Next {
        if self.size == 1 || self.went_back {
            return Next::Nothing;
        }
        self.went_back = true;
        Next::Send(self.send())
    }

    /// Nothing was heard for too long.
    pub fn timeout(&mut self) -> RangeInclusive<u64> {
        self.went_back = false;
        self.send()
    }

    /// How many blocks were sent once more since this was asked last.
    pub const fn take_resent(&mut self) -> u64 {
        std::mem::replace(&mut self.resent, 0)
    }

    fn send(&mut self) -> RangeInclusive<u64> {
        self.resent += self.sent - self.acked;
        self.sent = self.last.min(self.acked + self.size);
        self.acked + 1..=self.sent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_block_at_a_time() {
        let mut window = Window::new(2, 1);
        assert_eq!(window.ack(0), Next::Send(1..=1));
        assert_eq!(window.ack(0), Next::Nothing, "sorcerer's apprentice");
        assert_eq!(window.timeout(), 1..=1);
        assert_eq!(window.ack(2), Next::Nothing, "of a block not sent");
        assert_eq!(window.ack(1), Next::Send(2..=2));
        assert_eq!(window.ack(1), Next::Nothing);
        assert_eq!(window.ack(2), Next::Done);
    }

    #[test]
    fn a_lost_block_of_a_window_goes_back_once() {
        let mut window = Window::new(100, 4);
        assert_eq!(window.ack(0), Next::Send(1..=4));
        assert_eq!(window.ack(2), Next::Send(3..=6), "3 was lost");
        assert_eq!(window.ack(2), Next::Nothing, "for 4, which was on its way");
        assert_eq!(window.ack(6), Next::Send(7..=10));
        assert_eq!(window.ack(6), Next::Send(7..=10), "7 was lost");
        assert_eq!(window.ack(6), Next::Nothing);
        assert_eq!(window.timeout(), 7..=10);
        // 3 and 4, 7 to 10, and those again.
        assert_eq!((window.take_resent(), window.take_resent()), (10, 0));
    }

    #[test]
    fn numbers_roll_over() {
        let mut window = Window::new(70_000, 16);
        let mut next = window.ack(0);
        while let Next::Send(blocks) = next {
            next = window.ack(*blocks.end() as u16);
        }
        assert_eq!((next, window.acked()), (Next::Done, 70_000));
    }

    /// A client of RFC 7440 behind a network that loses packets both ways.
    fn transfer(last: u64, size: u64, mut lost: impl FnMut() -> bool) -> u64 {
        let mut window = Window::new(last, size);
        let (mut has, mut sent) = (0, 0);
        let mut acks = vec![0u16];
        loop {
            let next = acks.pop().map(|ack| window.ack(ack));
            let blocks = match next {
                None => window.timeout(),
                Some(Next::Send(blocks)) => blocks,
                Some(Next::Nothing) => continue,
                Some(Next::Done) => {
                    assert_eq!(has, last);
                    return sent;
                }
            };
            acks.clear();
            let end = *blocks.end();
            sent += blocks.clone().count() as u64;
            for block in blocks {
                if lost() {
                    continue;
                }
                has += u64::from(block == has + 1);
                // At the window's end, and for what comes out of order.
                if (block == end || block != has) && !lost() {
                    acks.insert(0, has as u16);
                }
            }
        }
    }

    #[test]
    fn without_losses_nothing_is_sent_twice() {
        for (last, size) in [(1, 1), (7, 1), (100, 8), (70_000, 64)] {
            assert_eq!(transfer(last, size, || false), last);
        }
    }

    proptest! {
        #[test]
        fn all_arrives_whatever_is_lost(
            last in 1u64..300, size in 1u64..20, losses in proptest::collection::vec(0u8..4, 500),
        ) {
            let mut losses = losses.into_iter().map(|n| n == 0).chain(std::iter::repeat(false));
            let sent = transfer(last, size, || losses.next().unwrap_or(false));
            // Each loss costs a window at most, and an echo of it.
            prop_assert!(sent <= last + 2 * 500 * size);
        }
    }
}
