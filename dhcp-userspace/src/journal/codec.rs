//! Payloads as bytes; the picture is in [`super`].

use std::net::Ipv4Addr;

use super::frame::{Type, read_u32, read_u64};
use super::{JournalError, Kind, Record, Written};

/// Bytes of a lease before the client identifier.
const FIXED: usize = 37;
/// Set in the kind of a lease that has option 82: its length and itself stand behind the client
/// identifier.
const WITH_AGENT: u8 = 0x80;
pub(super) const CLOCK: usize = 24;

/// Turns records into payloads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoder {
    pub(super) boot: u64,
    /// The longest payload that fits into a segment.
    pub(super) max: usize,
}

impl Encoder {
    /// Appends the payload to `out`; tells its length.
    pub(super) fn encode(&self, record: &Record, out: &mut Vec<u8>) -> Result<usize, JournalError> {
        let agent = match record.relay_agent.len() {
            0 => 0,
            len => 2 + len,
        };
        let len = FIXED + record.client_id.len() + agent + record.hostname.len();
        if len > self.max {
            return Err(JournalError::TooLong { len, max: self.max });
        }
        out.extend(self.boot.to_le_bytes());
        out.extend(record.reserved_until.to_le_bytes());
        out.extend(record.since.to_le_bytes());
        out.extend(record.address.to_bits().to_le_bytes());
        out.extend((record.client_id.len() as u16).to_le_bytes());
        out.extend(record.mac);
        out.push(record.kind as u8 | if agent > 0 { WITH_AGENT } else { 0 });
        out.extend(&record.client_id);
        if agent > 0 {
            out.extend((record.relay_agent.len() as u16).to_le_bytes());
            out.extend(&record.relay_agent);
        }
        out.extend(&record.hostname);
        Ok(len)
    }
}

/// What a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Lease(Lease<'a>),
    Clock(Clock),
    Bounds(Bounds),
}

impl<'a> Content<'a> {
    pub(super) fn decode(kind: Type, payload: &'a [u8]) -> Option<Self> {
        match kind {
            Type::Lease => Lease::decode(payload).map(Self::Lease),
            Type::Clock => Clock::decode(payload).map(Self::Clock),
            Type::Bounds => Bounds::decode(payload).map(Self::Bounds),
        }
    }
}

/// A record that is still bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease<'a> {
    pub(super) address: u32,
    pub(super) kind: Kind,
    /// The boot on whose clock `reserved_until` is.
    pub(super) boot: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Lease<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Option<Self> {
        parts(payload)?;
        Some(Self {
            address: read_u32(payload, 24),
            kind: kind(payload[36] & !WITH_AGENT)?,
            boot: read_u64(payload, 0),
            payload,
        })
    }

    /// `reserved_until` is still on the clock of `boot`.
    pub(super) fn written(&self) -> Written<'a> {
        let [client_id, relay_agent, hostname] = parts(self.payload).expect("checked by decode");
        Written {
            address: Ipv4Addr::from_bits(self.address),
            kind: self.kind,
            mac: self.payload[30..36].try_into().expect("6 bytes"),
            reserved_until: read_u64(self.payload, 8),
            since: read_u64(self.payload, 16),
            client_id,
            hostname,
            relay_agent,
        }
    }
}

/// Client identifier, option 82 and hostname.
fn parts(payload: &[u8]) -> Option<[&[u8]; 3]> {
    let rest = payload.get(FIXED..)?;
    let id_len = u16::from_le_bytes([payload[28], payload[29]]);
    let (client_id, rest) = rest.split_at_checked(usize::from(id_len))?;
    if payload[36] & WITH_AGENT == 0 {
        return Some([client_id, &[], rest]);
    }
    let (len, rest) = rest.split_first_chunk()?;
    let (agent, hostname) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some([client_id, agent, hostname])
}

const fn kind(byte: u8) -> Option<Kind> {
    match byte {
        1 => Some(Kind::Bound),
        2 => Some(Kind::Released),
        3 => Some(Kind::Declined),
        4 => Some(Kind::Forgotten),
        _ => None,
    }
}

/// How far the wall clock was ahead of `CLOCK_BOOTTIME` in a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) boot_id: [u8; 16],
    pub(super) offset: u64,
}

impl Clock {
    pub(super) fn encode(&self) -> [u8; CLOCK] {
        let mut bytes = [0; CLOCK];
        bytes[..16].copy_from_slice(&self.boot_id);
        bytes[16..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let payload: &[u8; CLOCK] = payload.try_into().ok()?;
        Some(Self {
            boot_id: payload[..16].try_into().expect("16 bytes"),
            offset: read_u64(payload, 16),
        })
    }
}

/// What leases say of their boot: enough of the random `boot_id` to tell boots apart.
pub(super) fn boot_tag(boot_id: &[u8; 16]) -> u64 {
    read_u64(boot_id, 0)
}

/// The first and the last frame of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) leases: u64,
    /// The last sequence number that the snapshot stands for.
    pub(super) covered: u64,
}

impl Bounds {
    pub(super) fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.leases.to_le_bytes());
        bytes[8..].copy_from_slice(&self.covered.to_le_bytes());
        bytes
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let payload: &[u8; 16] = payload.try_into().ok()?;
        Some(Self {
            leases: read_u64(payload, 0),
            covered: read_u64(payload, 8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Lease<'_> {
        fn record(&self) -> Record {
            self.written().into()
        }
    }

    fn record() -> Record {
        Record {
            address: Ipv4Addr::new(10, 0, 1, 2),
            kind: Kind::Declined,
            mac: [1, 2, 3, 4, 5, 6],
            reserved_until: 0x1122_3344_5566_7788,
            since: 0x99,
            client_id: b"\xff\0\x01".into(),
            hostname: b"n1".into(),
            relay_agent: Vec::new(),
        }
    }

    #[test]
    fn option_82_costs_nothing_where_there_is_none() {
        let with = Record {
            relay_agent: b"\x01\x02eth".into(),
            ..record()
        };
        let encoder = Encoder { boot: 7, max: 99 };
        let mut bytes = Vec::new();
        assert_eq!(encoder.encode(&with, &mut bytes).unwrap(), 42 + 2 + 5);
        assert_eq!(Lease::decode(&bytes).unwrap().record(), with);
        for len in 0..FIXED + 3 + 2 + 5 {
            assert_eq!(Lease::decode(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_lease_looks_as_documented_and_comes_back() {
        let encoder = Encoder { boot: 7, max: 42 };
        let mut bytes = Vec::new();
        assert_eq!(encoder.encode(&record(), &mut bytes).unwrap(), 42);
        assert_eq!(
            bytes,
            b"\x07\0\0\0\0\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11\x99\0\0\0\0\0\0\0\
              \x02\x01\x00\x0a\x03\0\x01\x02\x03\x04\x05\x06\x03\xff\0\x01n1"
        );
        let lease = Lease::decode(&bytes).unwrap();
        assert_eq!((lease.boot, lease.record()), (7, record()));
        bytes[36] = 5;
        assert_eq!(Lease::decode(&bytes), None, "no such kind");
    }

    #[test]
    fn too_long_is_said() {
        let encoder = Encoder { boot: 7, max: 41 };
        let error = encoder.encode(&record(), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, JournalError::TooLong { len: 42, max: 41 }));
    }

    #[test]
    fn cut_payloads_are_refused() {
        let mut bytes = Vec::new();
        let encoder = Encoder { boot: 7, max: 99 };
        encoder.encode(&record(), &mut bytes).unwrap();
        for len in 0..FIXED + 3 {
            assert_eq!(Lease::decode(&bytes[..len]), None);
        }
        assert_eq!(Clock::decode(&[0; 23]), None);
        assert_eq!(Bounds::decode(&[0; 17]), None);
    }
}
