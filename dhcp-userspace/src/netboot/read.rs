//! Pieces of files, read on threads that may wait for the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// Runs what may wait for the disk.
pub async fn on_disk<T: Send + 'static>(
    action: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(action)
        .await
        .map_err(io::Error::other)
}

/// `len` bytes from `at` on.
///
/// # Errors
/// If the file has become shorter, or the disk fails.
pub async fn piece(file: &Arc<File>, at: u64, len: usize) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = move || {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, at)?;
        Ok(Bytes::from(bytes))
    };
    on_disk(read).await?
}
