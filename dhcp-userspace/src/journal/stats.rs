use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that anybody may read at any time. Plain counters: no two need agree.
#[derive(Debug, Default)]
pub struct Stats {
    /// Records on disk since start.
    pub records: Counter,
    /// Records that found no space.
    pub refused: Counter,
    /// Batches on disk. What was queued together is two where a segment ends.
    pub batches: Counter,
    /// Calls of fdatasync for them.
    pub syncs: Counter,
    /// Bytes written to segments.
    pub bytes: Counter,
    pub largest_batch: Counter,
    /// How long the last batch took to write and sync, in ns.
    pub last_sync: Counter,
    pub compactions: Counter,
    /// Places found damaged by compactions, each told by [`super::Verdict::Damaged`] later.
    pub damage: Counter,
    /// Segments on disk with records.
    pub segments: Counter,
    /// Records that were the last of their address at start or at the last compaction.
    pub live_records: Counter,
    /// The bytes of these.
    pub live_bytes: Counter,
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}
