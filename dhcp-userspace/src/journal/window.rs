//! A part of a file in memory, which moves on.

use super::JournalError;
use super::name::Name;
use super::storage::File;

/// Bytes read at a time; more than the longest frame.
pub(super) const CHUNK: u64 = 1 << 20;

pub(super) struct Window<'f> {
    name: Name,
    file: &'f dyn File,
    bytes: Vec<u8>,
    /// How many of them are of the file, from `start` on; what comes before `at` is done.
    len: usize,
    start: u64,
    at: usize,
    /// They go to the end of the file.
    is_whole: bool,
}

impl<'f> Window<'f> {
    pub(super) fn new(name: Name, file: &'f dyn File) -> Self {
        Self {
            name,
            file,
            bytes: Vec::new(),
            len: 0,
            start: 0,
            at: 0,
            is_whole: false,
        }
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }

    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// What is there and not done.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.len]
    }

    /// These many bytes, which [`Self::has`] has found, and done with from now on.
    pub(super) fn take(&mut self, size: usize) -> &[u8] {
        let from = self.at;
        self.at += size;
        &self.bytes[from..self.at]
    }

    /// Done with so many bytes, which need not be there.
    pub(super) fn skip(&mut self, size: u64) {
        let here = size.min((self.len - self.at) as u64);
        self.at += here as usize;
        if here < size {
            self.start = self.offset() + size - here;
            (self.at, self.len) = (0, 0);
        }
    }

    /// Whether `need` more bytes are there, after reading on if they were not.
    #[inline]
    pub(super) fn has(&mut self, need: usize) -> Result<bool, JournalError> {
        if self.len - self.at >= need || self.is_whole {
            return Ok(self.len - self.at >= need);
        }
        self.read_on()?;
        Ok(self.len >= need)
    }

    fn read_on(&mut self) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("read", self.name.to_string(), error);
        self.bytes.copy_within(self.at..self.len, 0);
        self.start += self.at as u64;
        self.len -= self.at;
        self.at = 0;
        let from = self.start + self.len as u64;
        let rest = self.file.size().map_err(failed)?.saturating_sub(from);
        let want = rest.min(CHUNK) as usize;
        if self.bytes.len() < self.len + want {
            self.bytes.resize(self.len + want, 0);
        }
        let room = &mut self.bytes[self.len..self.len + want];
        let read = self.file.read_at(room, from).map_err(failed)?;
        self.len += read;
        self.is_whole = read as u64 == rest || read == 0;
        Ok(())
    }
}
