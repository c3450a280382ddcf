//! The two things that only the `SIOCETHTOOL` ioctl tells: a driver's counters and whether a NIC
//! takes VLAN tags off before XDP sees the frame. Numbers are those of `linux/ethtool.h`.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

const GFLAGS: u32 = 0x25;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GSSET_INFO: u32 = 0x37;
const SET_STATS: u32 = 1;
const FLAG_RXVLAN: u32 = 1 << 8;
/// Bytes of a counter's name.
const NAME: usize = 32;
/// No driver has more; also bounds the memory that a broken one makes us take.
const MAX_COUNTERS: usize = 1 << 16;

/// Whether the receiving side keeps VLAN tags out of the frame (`rx-vlan-offload`).
#[must_use]
pub fn strips_vlan_tags(interface: &str) -> bool {
    // struct ethtool_value: command, flags.
    let mut value = [pair(GFLAGS, 0)];
    call(interface, &mut value).is_ok() && high(value[0]) & FLAG_RXVLAN != 0
}

/// Replies of an XDP program that veth could not deliver; `None` if the driver does not count.
#[must_use]
pub fn xdp_tx_errors(interface: &str) -> Option<u64> {
    let counters = counters(interface).ok()?;
    let errors = counters
        .iter()
        .filter(|(name, _)| name.ends_with("xdp_tx_errors"));
    let values: Vec<u64> = errors.map(|(_, value)| *value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn counters(interface: &str) -> io::Result<Vec<(String, u64)>> {
    // struct ethtool_sset_info: command, reserved, mask of sets (64 bits), lengths.
    let mut info = [pair(GSSET_INFO, 0), 1 << SET_STATS, 0];
    call(interface, &mut info)?;
    let count = (low(info[2]) as usize).min(MAX_COUNTERS);
    // struct ethtool_gstrings: command, set, number (32 bits each), names.
    let mut names = vec![0u64; 2 + count * NAME / 8];
    names[0] = pair(GSTRINGS, SET_STATS);
    names[1] = count as u64;
    call(interface, &mut names)?;
    // struct ethtool_stats: command, number, values.
    let mut stats = vec![0u64; 1 + count];
    stats[0] = pair(GSTATS, count as u32);
    call(interface, &mut stats)?;
    let bytes: Vec<u8> = names.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let names = bytes[12..].chunks_exact(NAME).map(name);
    Ok(names.zip(stats[1..].iter().copied()).collect())
}

fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Two 32-bit fields as they stand in memory.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn low(pair: u64) -> u32 {
    let [a, b, c, d, ..] = pair.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

fn high(pair: u64) -> u32 {
    let [.., a, b, c, d] = pair.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Hands `data`, which starts with a command and is as long as the command's answer, to the driver.
fn call(interface: &str, data: &mut [u64]) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
    // SAFETY: the request's data is as long as its command's answer, see the callers.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_as_in_memory() {
        assert_eq!((low(pair(1, 2)), high(pair(1, 2))), (1, 2));
    }

    #[test]
    fn loopback_neither_strips_nor_counts() {
        assert!(!strips_vlan_tags("lo"));
        assert_eq!(xdp_tx_errors("lo"), None);
        assert_eq!(xdp_tx_errors("a-name-that-is-too-long"), None);
    }
}
