//! Memory that holds zeroed or shared words: anonymous, or a BPF array mapped from its fd.
//! The only place where such memory is made and given a type.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use dhcp_common::boot::Bucket;
use dhcp_common::layout::Meta;
use dhcp_common::slot::Slot;
use dhcp_common::template::{Tail, Template};
use dhcp_common::word::Word;

/// A type made of [`Word`]s only: any bit pattern is one, and it may change under a reader.
///
/// # Safety
/// The type is `repr(C)` or `repr(transparent)` and has no fields but [`Word`]s and such types.
pub unsafe trait Words: Sync {}

// SAFETY: a word.
unsafe impl Words for Word {}
// SAFETY: eight words.
unsafe impl Words for Slot {}
// SAFETY: eight words.
unsafe impl Words for Tail {}
// SAFETY: entries of four words each.
unsafe impl Words for Bucket {}
// SAFETY: 96 words.
unsafe impl Words for Template {}
// SAFETY: words, orders of four words and ports of two words each.
unsafe impl Words for Meta {}

/// `len` values of `T`, page-aligned.
pub struct Memory<T: Words> {
    start: NonNull<T>,
    len: usize,
    shared: bool,
    owns: PhantomData<T>,
}

// SAFETY: `T` is Sync and the mapping belongs to no thread.
unsafe impl<T: Words> Send for Memory<T> {}
// SAFETY: shared access goes through `&T` only, and `T` is Sync.
unsafe impl<T: Words> Sync for Memory<T> {}

impl<T: Words> Memory<T> {
    /// Zeroed memory of this process. Pages take memory only once touched.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(
            len,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
        )
    }

    /// The memory of a BPF array made with `BPF_F_MMAPABLE`, whose value is a `T`.
    ///
    /// # Errors
    /// If the fd is no such array or has fewer than `len` entries.
    pub fn of_array(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_SHARED, fd.as_raw_fd())
    }

    /// Whether others have this memory too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    fn map(len: usize, flags: i32, fd: i32) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let bytes = (len * size_of::<T>()).max(1);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            start,
            len,
            shared: flags & libc::MAP_SHARED != 0,
            owns: PhantomData,
        })
    }
}

impl<T: Words> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping is page-aligned, `len` values long, lives as long as `self`, and
        // any content is a valid `T`, whose words tolerate concurrent writers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Words> Drop for Memory<T> {
    fn drop(&mut self) {
        let bytes = (self.len * size_of::<T>()).max(1);
        // SAFETY: exactly what `map` made; no borrow outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}
