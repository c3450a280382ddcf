//! Which process holds a port: for error messages.

use std::fs;
use std::path::Path;

/// "dnsmasq (pid 812)", or "another process" where the system does not tell.
#[must_use]
pub fn of_udp_port(port: u16) -> String {
    of_port(&["udp", "udp6"], port)
}

/// The same for a process that listens.
#[must_use]
pub fn of_tcp_port(port: u16) -> String {
    of_port(&["tcp", "tcp6"], port)
}

fn of_port(tables: &[&str], port: u16) -> String {
    let read = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let tables = tables.iter().flat_map(read);
    let inodes: Vec<_> = tables.flat_map(|table| inodes(&table, port)).collect();
    process_with(&inodes).unwrap_or_else(|| "another process".to_owned())
}

/// The inodes of the sockets bound to a port, from the text of `/proc/net/udp` or its like.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let bound = fields.get(1)?.ends_with(&suffix);
        bound.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn process_with(inodes: &[String]) -> Option<String> {
    let links: Vec<_> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut pids = fs::read_dir("/proc").ok()?.flatten().filter_map(pid);
    let pid = pids.find(|pid| has_any(Path::new(&format!("/proc/{pid}")), &links))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

fn has_any(process: &Path, links: &[String]) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let target = |fd: fs::DirEntry| fs::read_link(fd.path()).ok();
    open.flatten()
        .filter_map(target)
        .any(|to| links.iter().any(|link| to == Path::new(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let holder = of_udp_port(port);
        assert!(
            holder.ends_with(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
    }

    #[test]
    fn one_that_listens_is_found() {
        let socket = std::net::TcpListener::bind("[::1]:0").unwrap();
        let holder = of_tcp_port(socket.local_addr().unwrap().port());
        let want = format!("(pid {})", std::process::id());
        assert!(holder.ends_with(&want), "{holder}");
    }

    #[test]
    fn only_the_port_asked_for() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     1: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11111 2\n\
                     2: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 22222 2\n";
        assert_eq!(inodes(table, 67), ["11111"]);
        assert!(inodes(table, 69).is_empty());
    }
}
