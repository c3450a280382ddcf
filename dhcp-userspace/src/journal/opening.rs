use std::sync::Arc;

use super::replay::Reading;
use super::storage::Storage;
use super::{JournalError, Log, Replayed, Settings, Written};
use crate::clock::Now;

/// A log that was read, of which nobody knows the records yet. All of them are on disk for sure.
pub struct Opening {
    reading: Reading,
    storage: Arc<dyn Storage>,
    settings: Settings,
    now: Now,
    boot_id: [u8; 16],
}

impl Opening {
    pub(super) fn of(
        storage: Arc<dyn Storage>,
        settings: Settings,
        now: Now,
        boot_id: [u8; 16],
    ) -> Result<Self, JournalError> {
        Ok(Self {
            reading: Reading::of(&*storage, settings)?,
            storage,
            settings,
            now,
            boot_id,
        })
    }

    /// How many records there are.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.reading.live()
    }

    /// Hands the records over one by one, in their order, and leaves them out of [`Replayed`].
    ///
    /// # Errors
    /// [`JournalError::Io`] if they cannot be read again.
    pub fn hand_over(
        self,
        each: &mut dyn FnMut(Written<'_>),
    ) -> Result<(Log, Replayed), JournalError> {
        let when = (self.now, self.boot_id);
        let (state, replayed) = self.reading.hand_over(when, each)?;
        let log = Log::over(self.storage, self.settings, state, self.boot_id);
        Ok((log, replayed))
    }
}
