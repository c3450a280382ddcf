//! The few things that the log asks of a file system, so that tests can make each of them fail.

use std::io;

/// A directory that belongs to one log. Every error is what the file system says.
pub trait Storage: Send + Sync {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new, empty file; one that has the name already is lost.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns once all names created, changed and removed before would survive a power cut.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file. Closed when dropped.
pub trait File: Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// Fills the buffer as far as the file goes; tells how far.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns once all that was written would survive a power cut.
    fn sync(&self) -> io::Result<()>;
}
