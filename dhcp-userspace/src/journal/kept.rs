//! Files with damage, out of use and kept for the operator. A start takes them for cause to doubt
//! what it knows, until somebody who knew all leases says otherwise.

use std::io::ErrorKind;

use super::name::{DAMAGED, SUPERSEDED};
use super::{JournalError, Upkeep};

impl Upkeep {
    /// Nothing that was lost with the files kept so far is missed any more: it is in the journal
    /// again, or has run out. They get names that say so, and no later start doubts because of
    /// them. Tells how many there were.
    ///
    /// # Errors
    /// [`JournalError::Io`]: the next start may doubt without need.
    pub fn supersede(&self) -> Result<usize, JournalError> {
        let mut files = self.shared.files.lock().expect("no panics while held");
        let damaged = std::mem::take(&mut files.kept);
        drop(files);
        if damaged.is_empty() {
            return Ok(0);
        }
        for name in &damaged {
            self.rename_superseded(name)?;
        }
        let synced = self.shared.storage.sync_dir();
        synced.map_err(|error| JournalError::io("sync the directory of", "the journal", error))?;
        Ok(damaged.len())
    }

    fn rename_superseded(&self, name: &str) -> Result<(), JournalError> {
        let stem = name.strip_suffix(DAMAGED).unwrap_or(name);
        let renamed = self
            .shared
            .storage
            .rename(name, &format!("{stem}{SUPERSEDED}"));
        match renamed {
            // Looked at and removed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            renamed => renamed.map_err(|error| JournalError::io("rename", name, error)),
        }
    }
}
