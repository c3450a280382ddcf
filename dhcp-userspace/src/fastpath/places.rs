//! The places of interfaces in the table, where the program looks for them.

use std::collections::{BTreeMap, BTreeSet};

use dhcp_common::layout::{PORTS, Port as Place};
use dhcp_common::wire::mac_bits;

use crate::engine::Interface;
use crate::lease::table::Table;

pub fn crowded_out() -> String {
    format!("another interface has the same index modulo {PORTS}, which is its place in the table")
}

/// Writes the interfaces to their places in the table; tells which have one.
pub fn place(interfaces: &[Interface], table: &Table) -> BTreeSet<u32> {
    let mut places: BTreeMap<usize, &Interface> = BTreeMap::new();
    for interface in interfaces {
        places
            .entry(interface.index as usize % PORTS)
            .or_insert(interface);
    }
    for (at, place) in table.meta().ports.iter().enumerate() {
        match places.get(&at) {
            Some(interface) => set_place(place, interface.index, mac_bits(&interface.mac, 0)),
            None => set_place(place, 0, 0),
        }
    }
    places.values().map(|interface| interface.index).collect()
}

/// Leaves a place alone that is right already: the program may be reading it.
fn set_place(place: &Place, index: u32, mac: u64) {
    if place.mac_of(index) != Some(mac) {
        place.set(index, mac);
    }
}
