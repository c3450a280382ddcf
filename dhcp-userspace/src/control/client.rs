//! The other end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::protocol::{Line, Request};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "xdhcpd is not running: nothing listens on {0} (start it: `systemctl start xdhcpd`, or \
         `xdhcpd --config FILE`; another socket is chosen with --socket)"
    )]
    NotRunning(PathBuf),
    #[error("no permission to use {0}: be root, or in the group that owns the socket")]
    Permission(PathBuf),
    #[error("xdhcpd has stopped")]
    Cut,
    #[error(
        "xdhcpd answered what this xdhcpctl does not understand ({0}): are both of one version?"
    )]
    Unknown(#[from] serde_json::Error),
    #[error("not applied: say --yes to apply without asking")]
    NotConfirmed,
    /// The daemon's own words.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a request, gives every item to `item`, returns what the daemon is done with.
///
/// # Errors
/// If there is no daemon, it refuses, or `item` fails.
pub fn ask(
    path: &Path,
    request: &Request,
    item: &mut dyn FnMut(Value) -> Result<(), ClientError>,
) -> Result<Value, ClientError> {
    let mut stream = UnixStream::connect(path).map_err(|error| no_connection(error, path))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    match stream.write_all(&text) {
        // It has answered already, and wants to hear no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        done => done?,
    }
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Line::Item(value) => item(value)?,
            Line::Done(value) => return Ok(value),
            Line::Error(text) => return Err(ClientError::Refused(text)),
        }
    }
    Err(ClientError::Cut)
}

fn no_connection(error: io::Error, path: &Path) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning(path.to_owned())
        }
        io::ErrorKind::PermissionDenied => ClientError::Permission(path.to_owned()),
        _ => ClientError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_daemon_is_said_plainly() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut none = |_| Ok(());
        let error = ask(&path, &Request::Status, &mut none).unwrap_err();
        assert!(matches!(error, ClientError::NotRunning(_)));
        let text = error.to_string();
        assert!(
            text.contains("control.sock") && text.contains("systemctl start xdhcpd"),
            "{text}"
        );
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = ask(&path, &Request::Status, &mut none).unwrap_err();
        assert!(
            matches!(error, ClientError::NotRunning(_)),
            "left behind by one that died"
        );
    }

    #[test]
    fn an_answer_cut_off_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream)
                .read_line(&mut String::new())
                .unwrap();
            stream.write_all(b"{\"item\":1}\n").unwrap();
        });
        let error = ask(&path, &Request::Status, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, ClientError::Cut));
        daemon.join().unwrap();
    }
}
