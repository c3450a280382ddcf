//! The daemon's end of the control socket.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast, mpsc};

use super::protocol::{Happened, Line, Lost, Request};

/// The longest request: an import of a million leases.
const MAX_REQUEST: u64 = 512 << 20;
/// Every other request is shorter. Of longer ones, one at a time is in memory.
const USUAL_REQUEST: u64 = 64 << 10;
/// Connections at once; those of `xdhcpctl events` stay.
const CONNECTIONS: usize = 64;
/// Who connects has something to ask.
const PATIENCE: Duration = Duration::from_secs(60);
/// A daemon that starts keeps the lock for much less than these tries take, some seconds.
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Lines that wait for a slow reader before the answering thread does.
const LINES: usize = 256;

/// What answers requests. Runs on a thread that may block; gets what passes an item on, which
/// tells whether anybody still listens.
pub type Answer = dyn Fn(Request, &mut dyn FnMut(serde_json::Value) -> bool) -> Result<serde_json::Value, String>
    + Send
    + Sync;

/// What every connection needs.
#[derive(Clone)]
pub struct Service {
    answer: Arc<Answer>,
    events: broadcast::Sender<Happened>,
    /// For requests that are longer than usual.
    long: Arc<Semaphore>,
}

impl Service {
    #[must_use]
    pub fn new(answer: Arc<Answer>, events: broadcast::Sender<Happened>) -> Self {
        let long = Arc::new(Semaphore::new(1));
        Self {
            answer,
            events,
            long,
        }
    }
}

/// The control socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "another xdhcpd listens on {0}: stop it first, or give this one its own control_socket"
    )]
    InUse(PathBuf),
    #[error(
        "another process keeps {0} locked (`fuser {0}` names it): end it, or change control_socket"
    )]
    Locked(PathBuf),
    #[error(
        "cannot listen on {path}: {source}; its directory must be of the user that xdhcpd runs as"
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot listen on {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Listens on `path`, which root and its group may use. A socket that a daemon left behind when
/// it died is removed. Wants a tokio runtime.
///
/// # Errors
/// If another daemon listens there, or the directory cannot be written.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => BindError::Directory { path, source },
            _ => BindError::Io { path, source },
        }
    };
    let Some(_alone) = alone(path, LOCK_TRIES).map_err(failed)? else {
        return Err(BindError::Locked(directory(path).to_owned()));
    };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(BindError::InUse(path.to_owned()));
    }
    listen(path).map_err(failed)
}

/// Makes the directory and locks it: of two daemons that start at once, each of which finds the
/// socket of a dead one, the second must not remove that of the first. None if somebody else keeps
/// it locked: whoever may open it can.
fn alone(path: &Path, tries: u32) -> io::Result<Option<File>> {
    std::fs::create_dir_all(directory(path))?;
    let directory = File::open(directory(path))?;
    for _ in 0..tries {
        match directory.try_lock() {
            Ok(()) => return Ok(Some(directory)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    if is_socket(path) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

/// Answers connections for ever.
pub async fn serve(listener: UnixListener, service: Service) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&free).try_acquire_owned() {
                Ok(place) => {
                    let served = converse(stream, service.clone());
                    tokio::spawn(async move {
                        // An error means that the reader went away, which is nothing to tell.
                        let _ = served.await;
                        drop(place);
                    });
                }
                Err(_) => refuse(stream),
            },
            // Out of file descriptors: give those who hold them a moment.
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Says so as far as that is possible without waiting.
fn refuse(stream: UnixStream) {
    let line = Line::Error(format!(
        "{CONNECTIONS} connections are open: end one of them"
    ));
    if let (Ok(text), Ok(mut stream)) = (lines(&[line]), stream.into_std()) {
        let _ = stream.write_all(&text);
    }
}

/// Answers one request.
///
/// # Errors
/// If the reader went away, which is nothing to tell.
pub async fn converse(stream: UnixStream, service: Service) -> io::Result<()> {
    let who = stream.peer_cred().ok();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let asked = tokio::time::timeout(PATIENCE, request(&mut read, &service.long)).await;
    let (asked, _turn) = asked.unwrap_or_else(|_| (Err("no request came".to_owned()), None));
    match asked {
        Ok(Request::Events) => events(read, write, service.events.subscribe()).await,
        Ok(request) => {
            note(&request, who);
            answer(request, &mut write, service.answer).await
        }
        Err(error) => put(&mut write, &[Line::Error(error)]).await,
    }
}

/// Who changes something can be found later.
fn note(request: &Request, who: Option<UCred>) {
    if let (Some(what), Some(who)) = (request.change(), who) {
        tracing::info!(
            request = what,
            user = who.uid(),
            pid = who.pid(),
            "asked to"
        );
    }
}

/// Reads a request; a long one keeps its turn.
async fn request<'l>(
    read: &mut BufReader<OwnedReadHalf>,
    long: &'l Semaphore,
) -> (Result<Request, String>, Option<SemaphorePermit<'l>>) {
    let mut text = Vec::new();
    let mut turn = None;
    let mut done = line(read, USUAL_REQUEST, &mut text).await;
    if matches!(done, Ok(false)) {
        turn = long.acquire().await.ok();
        done = line(read, MAX_REQUEST - USUAL_REQUEST, &mut text).await;
    }
    let request = match done {
        Ok(true) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        Ok(false) => Err(format!("it is longer than {MAX_REQUEST} bytes")),
        Err(error) => Err(error.to_string()),
    };
    let request = request.map_err(|error| format!("this is no request: {error}"));
    (request, turn)
}

/// Reads on; tells whether that was all.
async fn line(
    read: &mut BufReader<OwnedReadHalf>,
    most: u64,
    text: &mut Vec<u8>,
) -> io::Result<bool> {
    let count = read.take(most).read_until(b'\n', text).await?;
    Ok((count as u64) < most || text.ends_with(b"\n"))
}

async fn answer(
    request: Request,
    write: &mut OwnedWriteHalf,
    answer: Arc<Answer>,
) -> io::Result<()> {
    let (lines, mut from) = mpsc::channel(LINES);
    tokio::task::spawn_blocking(move || {
        let mut item = |value| lines.blocking_send(Line::Item(value)).is_ok();
        let last = answer(request, &mut item).map_or_else(Line::Error, Line::Done);
        let _ = lines.blocking_send(last);
    });
    let mut some = Vec::new();
    while from.recv_many(&mut some, LINES).await != 0 {
        put(write, &some).await?;
        some.clear();
    }
    Ok(())
}

async fn events(
    mut read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
    mut from: broadcast::Receiver<Happened>,
) -> io::Result<()> {
    let mut rest = [0];
    loop {
        let event = tokio::select! {
            event = from.recv() => event,
            _ = read.read(&mut rest) => return Ok(()),
        };
        let value = match event {
            Ok(event) => serde_json::to_value(event)?,
            Err(broadcast::error::RecvError::Lagged(lost)) => serde_json::to_value(Lost { lost })?,
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        };
        put(&mut write, &[Line::Item(value)]).await?;
    }
}

async fn put(write: &mut OwnedWriteHalf, lines: &[Line]) -> io::Result<()> {
    write.write_all(&self::lines(lines)?).await
}

fn lines(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::client::{self, ClientError};
    use super::super::protocol::Filter;
    use super::*;
    use serde_json::{Value, json};

    fn service() -> Service {
        let answer = |request, item: &mut dyn FnMut(Value) -> bool| match request {
            Request::Status => Ok(json!({"pid": 7})),
            Request::Leases(_) => Ok(json!((0..3).all(|i| item(json!(i))))),
            _ => Err("not here".to_owned()),
        };
        Service::new(Arc::new(answer), broadcast::channel(2).0)
    }

    /// Serves on a socket in a directory of its own while `test` runs on another thread.
    fn with_server<T: Send + 'static>(
        service: Service,
        test: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> T {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/control.sock");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = bind(&path).unwrap();
            tokio::spawn(serve(listener, service));
            tokio::task::spawn_blocking(move || test(&path))
                .await
                .unwrap()
        })
    }

    fn ask(path: &Path, request: &Request) -> Result<(Vec<Value>, Value), ClientError> {
        let mut items = Vec::new();
        let mut keep = |item| {
            items.push(item);
            Ok(())
        };
        let done = client::ask(path, request, &mut keep)?;
        Ok((items, done))
    }

    #[test]
    fn one_alone_looks_and_binds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let held = alone(&path, 1).unwrap();
        assert!(held.is_some());
        let other = File::open(directory.path()).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().unwrap();
        assert!(
            alone(&path, 2).unwrap().is_none(),
            "it does not wait for ever"
        );
        let error = bind(&path).unwrap_err().to_string();
        assert!(error.contains("fuser"), "{error}");
    }

    /// Each finds the socket of a daemon that is dead.
    #[test]
    fn of_those_that_start_at_once_one_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for _ in 0..100 {
            let start = std::sync::Barrier::new(4);
            let bind = || {
                let _runtime = runtime.enter();
                start.wait();
                bind(&path)
            };
            let bound: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
                let bound = threads.into_iter().map(|thread| thread.join().unwrap());
                bound.collect()
            });
            assert_eq!(bound.iter().filter(|bound| bound.is_ok()).count(), 1);
            std::os::unix::net::UnixStream::connect(&path).unwrap();
        }
    }

    #[test]
    fn round_trips() {
        with_server(service(), |path| {
            assert_eq!(
                ask(path, &Request::Status).unwrap(),
                (vec![], json!({"pid": 7}))
            );
            let listed = ask(path, &Request::Leases(Filter::default())).unwrap();
            assert_eq!(listed, (vec![json!(0), json!(1), json!(2)], json!(true)));
            let error = ask(path, &Request::Reload).unwrap_err();
            assert_eq!(error.to_string(), "not here");
        });
    }

    #[test]
    fn nonsense_is_answered_with_an_error() {
        use std::io::{Read, Write};
        with_server(service(), |path| {
            let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
            stream.write_all(b"hello\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(
                text.starts_with(r#"{"error":"this is no request: "#),
                "{text}"
            );
        });
    }

    #[test]
    fn a_request_may_be_longer_than_usual() {
        with_server(service(), |path| {
            let text = "x".repeat(3 * USUAL_REQUEST as usize);
            let request = Request::Import { text, apply: false };
            let error = ask(path, &request).unwrap_err();
            assert_eq!(error.to_string(), "not here");
        });
    }

    #[test]
    fn who_says_nothing_takes_no_more_than_the_places() {
        use std::os::unix::net::UnixStream;
        with_server(service(), |path| {
            let silent: Vec<_> = (0..CONNECTIONS)
                .map(|_| UnixStream::connect(path).unwrap())
                .collect();
            let error = ask(path, &Request::Status).unwrap_err().to_string();
            assert!(error.contains("64 connections are open"), "{error}");
            drop(silent);
            while ask(path, &Request::Status).is_err() {}
        });
    }

    #[test]
    fn a_slow_reader_is_told_how_many_events_it_lost() {
        let service = service();
        let events = service.events.clone();
        let event = |time| Happened {
            time,
            kind: "bind".into(),
            mac: "02:00:00:00:00:01".into(),
            address: [10, 0, 0, 1].into(),
            interface: "eth0".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let text = runtime.block_on(async move {
            let from = events.subscribe();
            for time in 0..5 {
                events.send(event(time)).unwrap();
            }
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (read, write) = theirs.into_split();
            let (mut ours, keep) = ours.into_split();
            let stream = super::events(BufReader::new(read), write, from);
            let reader = async {
                let mut lines = BufReader::new(&mut ours).lines();
                let first = lines.next_line().await.unwrap().unwrap();
                let second = lines.next_line().await.unwrap().unwrap();
                drop(keep);
                format!("{first}\n{second}")
            };
            tokio::join!(async { stream.await.unwrap() }, reader).1
        });
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, r#"{"item":{"lost":3}}"#);
        assert!(second.contains(r#""time":3"#), "{second}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _in = runtime.enter();
        let _listener = bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(bind(&path), Err(BindError::InUse(_))));
    }

    #[test]
    fn a_file_that_is_no_socket_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "mine").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _in = runtime.enter();
        assert!(matches!(bind(&path), Err(BindError::Io { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
