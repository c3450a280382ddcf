//! A request, and what is answered.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use hyper::http::response::Builder;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::super::books::{Connection, Ongoing, Place};
use super::super::read::{on_disk, piece};
use super::super::report::Ended;
use super::super::root::{self, OpenError, Opened};
use super::super::shared::Shared;
use super::kind;
use super::range::{self, Part};
use super::version::{Verdict, Version};

pub type Body = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

/// Read at once. A few such pieces wait for a client at most.
const PIECE: u64 = 128 << 10;

/// Answers a request. Without a place in time the client is to come again.
pub async fn answer<B>(
    shared: &Shared,
    connection: &Connection,
    request: &Request<B>,
) -> Response<Body> {
    let Some(place) = connection.place().await.map(Arc::new) else {
        let busy = Response::builder()
            .header(RETRY_AFTER, 2)
            .header(CONNECTION, "close");
        return words(
            busy,
            StatusCode::SERVICE_UNAVAILABLE,
            "too many transfers, try again soon",
        );
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = Response::builder().header(ALLOW, "GET, HEAD");
        return words(
            allow,
            StatusCode::METHOD_NOT_ALLOWED,
            "files can be read only",
        );
    }
    let name: Vec<u8> = percent_decode_str(request.uri().path()).collect();
    let shown = root::shown(&name);
    let file = shown.trim_start_matches('/');
    match open(shared, name).await {
        Ok(opened) => found(&place, request, &opened, file),
        Err(why) => {
            place.refused(file, &why);
            words(Response::builder(), status(&why), &why.to_string())
        }
    }
}

async fn open(shared: &Shared, name: Vec<u8>) -> Result<Opened, OpenError> {
    let root = shared.root();
    let opened = on_disk(move || root::open(&root, &name)).await;
    opened.unwrap_or_else(|error| Err(OpenError::Io(error)))
}

const fn status(why: &OpenError) -> StatusCode {
    match why {
        OpenError::NotFound => StatusCode::NOT_FOUND,
        OpenError::Outside | OpenError::NotAFile | OpenError::Forbidden | OpenError::NotPublic => {
            StatusCode::FORBIDDEN
        }
        OpenError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn found<B>(
    place: &Arc<Place>,
    request: &Request<B>,
    opened: &Opened,
    file: &str,
) -> Response<Body> {
    let (headers, version) = (request.headers(), Version::of(opened));
    let head = Response::builder()
        .header(ETAG, &version.etag)
        .header(LAST_MODIFIED, httpdate::fmt_http_date(version.modified))
        .header(ACCEPT_RANGES, "bytes");
    match version.judge(headers) {
        Verdict::Send => {}
        Verdict::NotModified => {
            place.ended(Ended::Asked);
            return empty(head.status(StatusCode::NOT_MODIFIED));
        }
        Verdict::Failed => {
            place.ended(Ended::Asked);
            return words(
                head,
                StatusCode::PRECONDITION_FAILED,
                "the file has changed",
            );
        }
    }
    let whole = 0..opened.size;
    let (head, part) = match wanted(request.method(), headers, &version, opened.size) {
        Part::Whole => (head, whole),
        Part::Some(part) => (partial(head, &part, opened.size), part),
        Part::Nothing => {
            place.ended(Ended::Asked);
            let head = head.header(CONTENT_RANGE, format!("bytes */{}", opened.size));
            return words(
                head,
                StatusCode::RANGE_NOT_SATISFIABLE,
                "the file is shorter",
            );
        }
    };
    let head = head
        .header(CONTENT_TYPE, kind::of(file))
        .header(CONTENT_LENGTH, part.end - part.start);
    if request.method() == Method::HEAD {
        place.ended(Ended::Asked);
        return empty(head);
    }
    send(place, head, opened, file, part)
}

/// A range has a meaning for GET only (RFC 9110, 14.2).
fn wanted(method: &Method, headers: &HeaderMap, version: &Version, size: u64) -> Part {
    let header = headers.get(RANGE).and_then(|header| header.to_str().ok());
    match header.filter(|_| method == Method::GET && version.continues(headers)) {
        Some(header) => range::part(header, size),
        None => Part::Whole,
    }
}

fn partial(head: Builder, part: &Range<u64>, size: u64) -> Builder {
    let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
    head.status(StatusCode::PARTIAL_CONTENT)
        .header(CONTENT_RANGE, range)
}

fn send(
    place: &Arc<Place>,
    head: Builder,
    opened: &Opened,
    name: &str,
    part: Range<u64>,
) -> Response<Body> {
    let ongoing = place.begin(name.to_owned(), part.end - part.start);
    let (to, body) = Channel::new(1);
    tokio::spawn(feed(to, Arc::clone(&opened.file), part, ongoing));
    head.body(Either::Right(body))
        .expect("the headers are valid")
}

/// Reads as fast as the client takes it.
async fn feed(
    mut to: Sender<Bytes, io::Error>,
    file: Arc<std::fs::File>,
    part: Range<u64>,
    ongoing: Ongoing,
) {
    let mut at = part.start;
    while at < part.end {
        let len = PIECE.min(part.end - at);
        match piece(&file, at, len as usize).await {
            Ok(bytes) => {
                if to.send_data(bytes).await.is_err() {
                    return tracing::debug!("the client has gone");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the file cannot be read to its end");
                return to.abort(error);
            }
        }
        at += len;
        ongoing.has(at - part.start);
    }
    ongoing.end(Ended::Complete);
}

fn empty(head: Builder) -> Response<Body> {
    let body = Either::Left(Full::default());
    head.body(body).expect("the headers are valid")
}

fn words(head: Builder, status: StatusCode, text: &str) -> Response<Body> {
    let body = Either::Left(Full::from(format!("{text}\n")));
    let head = head
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8");
    head.body(body).expect("the headers are valid")
}
