//! Runs a compiled test. It copies only where bytes are made anew: options in pieces, `concat`,
//! `hexstring`, letters that change their case, numbers in words.

use std::borrow::Cow;

use super::tree::{Node, Value};
use super::{Subject, bytes, pattern, read};

/// Every value and result is None where a number has not the length that its function reads:
/// the test then does not match, whatever stands around it.
type Maybe<T> = Option<T>;

pub fn holds(node: &Node, subject: &Subject<'_>) -> Maybe<bool> {
    let request = subject.request;
    Some(match node {
        Node::Always => true,
        Node::Not(inner) => !holds(inner, subject)?,
        Node::All(nodes) => !one_is(nodes, false, subject)?,
        Node::Any(nodes) => one_is(nodes, true, subject)?,
        Node::Equal(left, right) => value(left, subject)? == value(right, subject)?,
        Node::Matches(regex, of) => regex.matches(&value(of, subject)?),
        Node::Exists(field) => read::read(subject, field).is_some(),
        Node::Like(field, pattern) => {
            read::read(subject, field).is_some_and(|value| pattern.matches_text(&value))
        }
        Node::UserClass(pattern) => pattern::in_user_class(request, pattern),
        Node::Arch(code) => pattern::has_arch(request, *code),
        Node::Mac(pattern) => pattern.matches(&request.mac),
        Node::Relay(net) => request.is_relayed() && net.contains(&request.giaddr),
        Node::Member(class) => subject.members.contains(*class),
        Node::Known => subject.known,
    })
}

/// Whether one of them comes out so; those behind it are not run.
fn one_is(nodes: &[Node], wanted: bool, subject: &Subject<'_>) -> Maybe<bool> {
    for node in nodes {
        if holds(node, subject)? == wanted {
            return Some(true);
        }
    }
    Some(false)
}

/// The bytes of a value.
pub fn value<'v>(of: &'v Value, subject: &Subject<'v>) -> Maybe<Cow<'v, [u8]>> {
    let request = subject.request;
    let run = |of: &'v Value| value(of, subject);
    Some(match of {
        Value::Literal(bytes) => Cow::Borrowed(bytes),
        Value::Raw(field) => read::read(subject, field).unwrap_or_default(),
        Value::Text(field) => trimmed(read::read(subject, field).unwrap_or_default()),
        Value::Enterprise(code) => read::enterprise(request, *code).unwrap_or_default(),
        Value::Mac => Cow::Borrowed(&request.mac),
        Value::Giaddr => Cow::Borrowed(request.giaddr_bytes()),
        Value::Substring(of, cut) => {
            let value = run(of)?;
            let range = bytes::substring(value.len(), *cut);
            bytes::part(value, range)
        }
        Value::Split(of, delimiters, field) => {
            let value = run(of)?;
            let range = bytes::split(&value, &run(delimiters)?, *field);
            bytes::part(value, range)
        }
        Value::Concat(parts) => Cow::Owned(concat(parts, subject)?),
        Value::Lower(of) => bytes::lower(run(of)?),
        Value::Upper(of) => bytes::upper(run(of)?),
        Value::Choose(test, yes, no) => run(if holds(test, subject)? { yes } else { no })?,
        Value::HexString(of, separator) => {
            Cow::Owned(bytes::hex_string(&run(of)?, &run(separator)?))
        }
        Value::Shown(of, shown) => Cow::Owned(bytes::show(&run(of)?, *shown)?),
    })
}

fn concat(parts: &[Value], subject: &Subject<'_>) -> Maybe<Vec<u8>> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&value(part, subject)?);
    }
    Some(all)
}

fn trimmed(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let len = pattern::without_zeros(&value).len();
    bytes::part(value, 0..len)
}
