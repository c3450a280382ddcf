//! What clients ask for in vain: names that are not there are counted, and every refusal is told
//! in the log, at a bounded rate.

use std::collections::HashMap;
use std::net::IpAddr;

use super::report::NotFound;
use crate::clock::SECOND;

/// Names that are counted one by one; more are counted together.
const MAX_NAMES: usize = 256;
const OTHERS: &str = "(others)";
/// The same client is told of once in this time for the same file.
const QUIET: u64 = 600 * SECOND;
/// Clients and files remembered for that. While there are more, the rest is not told of.
const MAX_TOLD: usize = 1024;
/// Lines in a second, over all clients.
const MAX_LINES: u32 = 10;

#[derive(Default)]
pub struct Missing {
    names: HashMap<String, (u64, IpAddr)>,
    told: HashMap<(IpAddr, String), u64>,
    second: u64,
    lines: u32,
}

impl Missing {
    /// There is no file of this name.
    pub fn count(&mut self, client: IpAddr, file: &str) {
        let known = self.names.contains_key(file) || self.names.len() < MAX_NAMES;
        let name = if known { file } else { OTHERS };
        let entry = self.names.entry(name.to_owned()).or_insert((0, client));
        *entry = (entry.0 + 1, client);
    }

    /// Whether the log is to tell that this client did not get this file.
    pub fn is_news(&mut self, client: IpAddr, file: &str, now: u64) -> bool {
        let key = (client, file.to_owned());
        if self.told.get(&key).is_some_and(|told| now < told + QUIET) {
            return false;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.retain(|_, told| now < *told + QUIET);
        }
        if self.told.len() >= MAX_TOLD || !self.has_line_left(now) {
            return false;
        }
        self.told.insert(key, now);
        true
    }

    fn has_line_left(&mut self, now: u64) -> bool {
        if self.second != now / SECOND {
            (self.second, self.lines) = (now / SECOND, 0);
        }
        self.lines += 1;
        self.lines <= MAX_LINES
    }

    /// Most frequent first.
    #[must_use]
    pub fn list(&self) -> Vec<NotFound> {
        let row = |(file, (count, client)): (&String, &(u64, IpAddr))| NotFound {
            file: file.clone(),
            count: *count,
            last_client: *client,
        };
        let mut rows: Vec<_> = self.names.iter().map(row).collect();
        rows.sort_by(|a, b| (b.count, &a.file).cmp(&(a.count, &b.file)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    impl Missing {
        fn note(&mut self, client: IpAddr, file: &str, now: u64) -> bool {
            self.count(client, file);
            self.is_news(client, file, now)
        }
    }

    #[test]
    fn told_once_for_each_client_and_file() {
        let mut missing = Missing::default();
        assert!(missing.note(client(1), "a", SECOND));
        assert!(!missing.note(client(1), "a", 2 * SECOND));
        assert!(missing.note(client(2), "a", 2 * SECOND));
        assert!(missing.note(client(1), "b", 2 * SECOND));
        assert!(missing.note(client(1), "a", SECOND + QUIET));
        let list = missing.list();
        assert_eq!((list[0].file.as_str(), list[0].count), ("a", 4));
        assert_eq!((list[1].file.as_str(), list[1].count), ("b", 1));
    }

    #[test]
    fn a_scan_fills_neither_the_log_nor_the_memory() {
        let mut missing = Missing::default();
        let told = (0..5000).filter(|i| missing.note(client(1), &format!("x{i}"), SECOND));
        assert_eq!(told.count(), MAX_LINES as usize);
        let list = missing.list();
        assert_eq!(list.len(), MAX_NAMES + 1);
        assert_eq!((list[0].file.as_str(), list[0].count), (OTHERS, 5000 - 256));
        for i in 0..5000 {
            missing.note(client(2), &format!("x{i}"), i * SECOND / 4);
            assert!(missing.told.len() <= MAX_TOLD);
        }
    }
}
