use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What can go wrong with the journal. The text tells the operator what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Nothing was written. Goes on by itself once there is space again.
    #[error("no space left for the journal: leases cannot be given until some space is freed")]
    Full,

    /// More records are queued than the disk takes.
    #[error("the journal's queue is full: the disk is slower than the requests come in")]
    Busy,

    #[error("the journal was closed")]
    Closed,

    /// Final once the log itself returned it: what is on disk is not known any more.
    #[error("the journal failed to {action} {file}: {source}")]
    Io {
        action: &'static str,
        file: String,
        source: Arc<io::Error>,
    },

    #[error(
        "{} is in use by {}: two servers cannot share a state_dir",
        dir.display(),
        pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
    )]
    Locked { dir: PathBuf, pid: Option<u32> },

    #[error(
        "{file} was written by a newer xdhcpd at offset {offset}: run that version, or export the leases with it"
    )]
    Newer { file: String, offset: u64 },

    #[error("a record of {len} bytes is too long for the journal, which takes {max}")]
    TooLong { len: usize, max: usize },
}

impl JournalError {
    pub(super) fn io(action: &'static str, file: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            action,
            file: file.into(),
            source: Arc::new(source),
        }
    }

    /// The same, but with an error that freeing space ends told apart.
    pub(super) fn io_or_full(
        action: &'static str,
        file: impl Into<String>,
        source: io::Error,
    ) -> Self {
        if is_full(&source) {
            return Self::Full;
        }
        Self::io(action, file, source)
    }
}

/// Whether freeing space would end this.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
