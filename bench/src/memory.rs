//! What a server holds in memory.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Anonymous memory of the process, and the BPF maps that it has open (each once). Bytes.
pub fn held(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let anonymous = kilobytes(&status, "RssAnon:").context("no RssAnon")? * 1024;
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        if let Some((id, bytes)) = number(&text, "map_id:").zip(number(&text, "memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(anonymous + maps.values().sum::<u64>())
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    number(status, name)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_behind_names() {
        let text = "pos:\t0\nmap_type:\t2\nmemlock:\t67108864\nmap_id:\t12\n";
        assert_eq!(number(text, "memlock:"), Some(67_108_864));
        assert_eq!(number(text, "map_id:"), Some(12));
        assert_eq!(number(text, "frozen:"), None);
        assert_eq!(kilobytes("RssAnon:\t    1234 kB\n", "RssAnon:"), Some(1234));
    }
}
