//! What client and server agree on: RFC 2348 (blksize), 2349 (timeout, tsize), 7440 (windowsize).

use std::time::Duration;

use super::packet::Read;

/// Without an option.
const BLOCK: u64 = 512;
/// RFC 2348.
const MIN_BLOCK: u64 = 8;
const MAX_BLOCK: u64 = 65464;
/// Of a window, so that what is sent at once stays within a receive buffer of usual size.
const MAX_WINDOW_BYTES: u64 = 128 << 10;
const MAX_WINDOW: u64 = 64;
/// A longer one leaves too few tries before a client that is silent is taken for gone.
const MAX_TIMEOUT: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes of a block.
    pub block: u64,
    /// Blocks that are sent without an acknowledgement in between.
    pub window: u64,
    /// When to send again; `None`: as the server thinks.
    pub timeout: Option<Duration>,
}

/// The terms of a transfer, and the options to acknowledge. Options that are not known, or whose
/// value is none, are as if they had not been asked for.
#[must_use]
pub fn agree(read: &Read<'_>, size: u64) -> (Terms, Vec<(&'static str, u64)>) {
    let asked = |name: &str| {
        let mut all = read.options.iter();
        let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(found.1)
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let block = asked("blksize")
        .filter(|n| *n >= MIN_BLOCK)
        .map(|n| n.min(MAX_BLOCK));
    let most = (MAX_WINDOW_BYTES / block.unwrap_or(BLOCK)).clamp(1, MAX_WINDOW);
    let window = asked("windowsize").filter(|n| *n >= 1).map(|n| n.min(most));
    let timeout = asked("timeout").filter(|n| (1..=MAX_TIMEOUT).contains(n));
    let tsize = asked("tsize").map(|_| size);
    let agreed = [
        ("tsize", tsize),
        ("blksize", block),
        ("timeout", timeout),
        ("windowsize", window),
    ];
    let agreed = agreed
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let terms = Terms {
        block: block.unwrap_or(BLOCK),
        window: window.unwrap_or(1),
        timeout: timeout.map(Duration::from_secs),
    };
    (terms, agreed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(options: &[(&'static str, &'static str)]) -> (Terms, Vec<(&'static str, u64)>) {
        let options = options
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let read = Read {
            file: b"a",
            options: options.collect(),
        };
        agree(&read, 7)
    }

    #[test]
    fn none_asked_none_agreed() {
        let plain = Terms {
            block: 512,
            window: 1,
            timeout: None,
        };
        assert_eq!(ask(&[]), (plain, vec![]));
        let nonsense = [
            ("blksize", "7"),
            ("windowsize", "0"),
            ("timeout", "11"),
            ("x", "1"),
        ];
        assert_eq!(ask(&nonsense), (plain, vec![]));
        assert_eq!(ask(&[("blksize", "many"), ("tsize", "")]), (plain, vec![]));
    }

    #[test]
    fn as_asked_within_limits() {
        let (terms, agreed) = ask(&[("BLKSIZE", "1468"), ("tsize", "0"), ("windowsize", "4")]);
        assert_eq!((terms.block, terms.window), (1468, 4));
        assert_eq!(agreed, [("tsize", 7), ("blksize", 1468), ("windowsize", 4)]);
        let (terms, agreed) = ask(&[
            ("blksize", "70000"),
            ("windowsize", "70000"),
            ("timeout", "10"),
        ]);
        assert_eq!((terms.block, terms.window), (65464, 2));
        assert_eq!(terms.timeout, Some(Duration::from_secs(10)));
        assert_eq!(
            agreed,
            [("blksize", 65464), ("timeout", 10), ("windowsize", 2)]
        );
        assert_eq!(ask(&[("windowsize", "9999")]).0.window, MAX_WINDOW);
    }
}
