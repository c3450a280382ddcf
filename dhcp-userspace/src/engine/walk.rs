//! Looking at every address, which takes long where there are many.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;

use dhcp_common::layout::BLOCK;

use super::Engine;
use super::state::State;

impl Engine {
    /// Looks at every address of the table, in their order. The state is let go of again and again: who
    /// waits to replace it keeps everybody else waiting too.
    pub(super) fn walk(&self, mut look: impl FnMut(&State, Ipv4Addr, u32)) {
        self.walk_until(|state, address, index| {
            look(state, address, index);
            ControlFlow::Continue(())
        });
    }

    /// The same, until told to stop.
    pub(super) fn walk_until(
        &self,
        mut look: impl FnMut(&State, Ipv4Addr, u32) -> ControlFlow<()>,
    ) {
        let mut state = self.read();
        for (address, index) in self.table.addresses() {
            if address.to_bits() % BLOCK == 0 {
                drop(state);
                state = self.read();
            }
            if look(&state, address, index).is_break() {
                return;
            }
        }
    }
}
