//! What a start allocates, and what it keeps for each lease: counted, not timed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dhcp_userspace::clock::{Now, SECOND};
use dhcp_userspace::config;
use dhcp_userspace::engine::Engine;
use dhcp_userspace::journal::{Disk, Kind, Log, Opening, Record, Settings};
use dhcp_userspace::lease::table::{Size, Table};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the caller of the system's allocator must be.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the same layout.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the caller of the system's allocator must be.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: made by `alloc` with the same layout.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LEASES: u32 = 200_000;
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
const BOOT: [u8; 16] = [7; 16];
const NOW: Now = Now {
    boot: 1000 * SECOND,
    unix: 1_700_000_000 * SECOND,
};

fn record(number: u32) -> Record {
    let [a, b, c, d] = number.to_be_bytes();
    let mac = [2, 0, a, b, c, d];
    Record {
        address: Ipv4Addr::from_bits(FIRST.to_bits() + number),
        kind: Kind::Bound,
        mac,
        reserved_until: NOW.boot + 3600 * SECOND,
        since: NOW.unix,
        client_id: [&[1][..], &mac].concat(),
        hostname: Vec::new(),
        relay_agent: Vec::new(),
    }
}

fn write(directory: &Path) {
    let disk = Arc::new(Disk::open(directory).unwrap());
    let (mut log, _) = Log::open(disk, Settings::default(), NOW, BOOT).unwrap();
    // Each twice: those that are superseded cost nothing either.
    for number in (0..LEASES).chain(0..LEASES) {
        log.append(&record(number), NOW).unwrap();
    }
    log.sync().unwrap();
}

fn read(directory: &Path) -> Opening {
    let disk = Arc::new(Disk::open(directory).unwrap());
    Log::read(disk, Settings::default(), NOW, BOOT).unwrap()
}

fn engine(directory: &Path) -> Engine {
    let path = directory.join("dhcp.yaml");
    let state = directory.display();
    let yaml = format!(
        "interfaces: [lo]\n\
         server: {{state_dir: {state}/state, control_socket: {state}/control.sock}}\n\
         subnets:\n  - {{subnet: 10.0.0.0/8, pools: [10.1.0.0-10.4.255.255]}}\n"
    );
    std::fs::write(&path, yaml).unwrap();
    let config = Arc::new(config::load(&path).unwrap());
    let table = Table::anonymous(Size::for_addresses(1024, 8)).unwrap();
    Engine::new(config, Arc::new(table)).unwrap()
}

/// Allocations and bytes that are kept.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, isize) {
    let before = (
        ALLOCATIONS.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    let made = work();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before.0;
    let kept = BYTES.load(Ordering::Relaxed).wrapping_sub(before.1);
    (made, allocations, kept as isize)
}

/// One test: whatever ran beside it would be counted too.
#[test]
fn a_start_allocates_next_to_nothing_for_a_lease() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    write(&journal);

    let (opening, allocations, _) = counted(|| read(&journal));
    assert_eq!(opening.live(), u64::from(LEASES));
    assert!(allocations < 200, "reading once: {allocations}");
    let mut seen = 0;
    let (handed, allocations, _) = counted(|| opening.hand_over(&mut |_| seen += 1));
    assert_eq!(seen, LEASES);
    assert!(allocations < 50, "reading again: {allocations}");
    drop(handed.unwrap());

    let engine = engine(directory.path());
    let opening = read(&journal);
    let (lost, allocations, kept) = counted(|| {
        let mut restoring = engine.restoring(opening.live(), NOW);
        let (log, _) = opening
            .hand_over(&mut |record| restoring.take(&record))
            .unwrap();
        drop(log);
        restoring.finish()
    });
    assert_eq!((lost, engine.known_clients()), (0, LEASES as usize));
    let (leases, each) = (LEASES as usize, kept / LEASES as isize);
    assert!(allocations < leases / 50, "{allocations} allocations");
    assert!(each <= 48, "{each} bytes are kept for each client");
}
