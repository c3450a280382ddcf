//! A 64-bit cell that the daemon and the kernel both read and write. The only `unsafe` of this
//! crate, because the BPF target has neither atomic loads nor atomic read-modify-write in
//! `core::sync::atomic`.

#[cfg(not(target_arch = "bpf"))]
pub use host::{Word, fence};
#[cfg(target_arch = "bpf")]
pub use kernel::{Word, fence};

#[cfg(not(target_arch = "bpf"))]
mod host {
    #![forbid(unsafe_code)]
    #[cfg(not(loom))]
    use core::sync::atomic;
    #[cfg(loom)]
    use loom::sync::atomic;

    use atomic::{AtomicU64, Ordering};

    /// A shared 64-bit cell.
    #[derive(Debug)]
    #[repr(transparent)]
    pub struct Word(AtomicU64);

    impl Default for Word {
        fn default() -> Self {
            Self::new(0)
        }
    }

    impl Word {
        #[must_use]
        pub fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }

        /// The value; what was stored before it by [`Word::store`] is visible after this.
        #[inline(always)]
        pub fn load(&self) -> u64 {
            self.0.load(Ordering::Acquire)
        }

        /// Stores a value; everything written before is visible to whoever loads it.
        #[inline(always)]
        pub fn store(&self, value: u64) {
            self.0.store(value, Ordering::Release);
        }

        /// Stores `new` if the value is `old`, and tells whether it did; a full barrier, as
        /// `lock cmpxchg` is in the kernel.
        #[inline(always)]
        pub fn replace(&self, old: u64, new: u64) -> bool {
            let replaced = self
                .0
                .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok();
            // BPF's exchange orders like smp_mb() on both sides; C11's SeqCst alone does not.
            fence();
            replaced
        }

        /// Stores a value in one step with [`Word::replace`]s of other threads: one that expects
        /// what was there before comes first and is overwritten, or fails.
        #[inline(always)]
        pub fn overwrite(&self, value: u64) {
            self.0.swap(value, Ordering::SeqCst);
        }

        /// Adds without telling the old value.
        #[inline(always)]
        pub fn add(&self, value: u64) {
            self.0.fetch_add(value, Ordering::Relaxed);
        }

        /// Sets these bits and leaves the others as they are.
        #[inline(always)]
        pub fn insert(&self, bits: u64) {
            self.0.fetch_or(bits, Ordering::SeqCst);
        }

        /// Clears these bits and leaves the others as they are.
        #[inline(always)]
        pub fn remove(&self, bits: u64) {
            self.0.fetch_and(!bits, Ordering::SeqCst);
        }
    }

    /// A full barrier: what was written before it is visible before anything after it is read.
    #[inline(always)]
    pub fn fence() {
        atomic::fence(Ordering::SeqCst);
    }
}

#[cfg(target_arch = "bpf")]
mod kernel {
    #![allow(unsafe_code, reason = "BPF has no atomics in core::sync::atomic")]
    use core::cell::UnsafeCell;
    use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};
    use core::ptr::{read_volatile, write_volatile};

    /// A shared 64-bit cell.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct Word(UnsafeCell<u64>);

    // SAFETY: every access is a whole aligned 64-bit load, store or atomic exchange.
    unsafe impl Sync for Word {}

    impl Word {
        #[inline(always)]
        pub fn load(&self) -> u64 {
            // SAFETY: the cell is aligned and lives as long as the borrow.
            unsafe { read_volatile(self.0.get()) }
        }

        #[inline(always)]
        pub fn store(&self, value: u64) {
            // SAFETY: the cell is aligned and lives as long as the borrow.
            unsafe { write_volatile(self.0.get(), value) }
        }

        #[inline(always)]
        pub fn replace(&self, old: u64, new: u64) -> bool {
            // SAFETY: the cell is aligned and lives as long as the borrow.
            let (_, replaced) = unsafe {
                atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                    self.0.get(),
                    old,
                    new,
                )
            };
            replaced
        }

        #[inline(always)]
        pub fn add(&self, value: u64) {
            // SAFETY: the cell is aligned and lives as long as the borrow; the old value is not used.
            unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(self.0.get(), value) };
        }
    }

    /// Nothing to do: [`Word::replace`] is a full barrier, and the program needs none beside it.
    #[inline(always)]
    pub fn fence() {}
}
