//! What the nonces of FORCERENEW are made of: made once, and kept as long as clients keep theirs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::engine::Engine;

const NAME: &str = "forcerenew.key";

type Secret = [u8; 32];

/// Gives the engine its secret. Without one it gives no nonces, and serves all the same.
pub fn give(engine: &Engine, state_dir: &Path) {
    match take(state_dir) {
        Ok(secret) => engine.set_secret(secret),
        Err(error) => {
            let path = state_dir.join(NAME);
            tracing::warn!(%error, path = %path.display(), "no secret for FORCERENEW");
        }
    }
}

/// Reads the secret, or makes one.
fn take(state_dir: &Path) -> io::Result<Secret> {
    let path = state_dir.join(NAME);
    match std::fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            let why = "it is not 32 bytes long; remove it to have a new one made";
            io::Error::new(io::ErrorKind::InvalidData, why)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error),
    }
}

/// Under another name until it is whole: what is half written would be refused for ever.
fn make(path: &Path) -> io::Result<Secret> {
    let mut secret = Secret::default();
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let part = path.with_added_extension("part");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    // Else a power cut might take the name back, and with it the nonces that clients have by then.
    File::open(path.parent().unwrap_or(path))?.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_nobody_else_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let secret = take(directory.path()).unwrap();
        assert_ne!(secret, [0; 32]);
        assert_eq!(take(directory.path()).unwrap(), secret);
        let path = directory.path().join(NAME);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, [0; 31]).unwrap();
        assert!(take(directory.path()).is_err());
    }
}
