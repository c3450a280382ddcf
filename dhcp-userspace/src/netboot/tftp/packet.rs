//! Packets of RFC 1350, and the options of RFC 2347.

/// Error codes of RFC 1350 and 2347.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    NotDefined = 0,
    NotFound = 1,
    AccessViolation = 2,
    IllegalOperation = 4,
}

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Of a DATA packet.
pub const HEADER: usize = 4;

/// What a server may be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Read(Read<'a>),
    /// A write request, or one to read in a mode that is none.
    Unserved,
    Ack(u16),
    /// The client's own words.
    Error(&'a [u8]),
}

/// A read request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read<'a> {
    pub file: &'a [u8],
    /// Names are in any case.
    pub options: Vec<(&'a [u8], &'a [u8])>,
}

/// `None` for what is no packet that a client sends.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (code, rest) = bytes.split_first_chunk::<2>()?;
    match u16::from_be_bytes(*code) {
        RRQ => Some(read(rest).map_or(Packet::Unserved, Packet::Read)),
        WRQ => Some(Packet::Unserved),
        ACK => Some(Packet::Ack(u16::from_be_bytes(*rest.first_chunk::<2>()?))),
        ERROR => Some(Packet::Error(
            words(rest.get(2..)?).next().unwrap_or_default(),
        )),
        _ => None,
    }
}

/// Both modes get the bytes as they are: a boot file is not text for the server's terminal, and
/// its size (`tsize`) must be what comes.
fn read(bytes: &[u8]) -> Option<Read<'_>> {
    let mut words = words(bytes);
    let (file, mode) = (words.next()?, words.next()?);
    let known = [&b"octet"[..], b"netascii"];
    if !known.iter().any(|known| mode.eq_ignore_ascii_case(known)) {
        return None;
    }
    let mut options = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.push((name, value));
    }
    Some(Read { file, options })
}

/// Strings that each end with a zero; some firmware leaves out the last one.
fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|byte| *byte == 0)
}

/// The packet of a block: its header, and the data.
pub fn data(packet: &mut Vec<u8>, block: u64, bytes: &[u8]) {
    packet.clear();
    packet.extend_from_slice(&DATA.to_be_bytes());
    // Counts from 0 again after 65535, which all clients that take large files expect.
    packet.extend_from_slice(&(block as u16).to_be_bytes());
    packet.extend_from_slice(bytes);
}

#[must_use]
pub fn oack(options: &[(&'static str, u64)]) -> Vec<u8> {
    let mut packet = OACK.to_be_bytes().to_vec();
    for (name, value) in options {
        packet.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    packet
}

#[must_use]
pub fn error(code: Code, message: &str) -> Vec<u8> {
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend_from_slice(&(code as u16).to_be_bytes());
    packet.extend_from_slice(message.as_bytes());
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let rows: [(&[u8], Option<Packet<'_>>); 8] = [
            (
                b"\0\x01a.efi\0octet\0",
                Some(Packet::Read(Read {
                    file: b"a.efi",
                    options: vec![],
                })),
            ),
            (
                b"\0\x01a\0OcTeT\0tsize\x000\0blksize\x001468\0",
                Some(Packet::Read(Read {
                    file: b"a",
                    options: vec![(b"tsize", b"0"), (b"blksize", b"1468")],
                })),
            ),
            (
                b"\0\x01a\0netascii\0tsize",
                Some(Packet::Read(Read {
                    file: b"a",
                    options: vec![],
                })),
            ),
            (b"\0\x01a\0mail\0", Some(Packet::Unserved)),
            (b"\0\x02a\0octet\0", Some(Packet::Unserved)),
            (b"\0\x04\x12\x34", Some(Packet::Ack(0x1234))),
            (b"\0\x05\0\x08no\0", Some(Packet::Error(b"no"))),
            (b"\0\x03\0\x01data", None),
        ];
        for (bytes, want) in rows {
            assert_eq!(parse(bytes), want, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn cut_anywhere_it_is_still_no_panic() {
        let whole = b"\0\x01a.efi\0octet\0tsize\x000\0blksize\x001468\0";
        for len in 0..whole.len() {
            let _ = parse(&whole[..len]);
        }
        for code in 0..7 {
            assert_eq!(parse(&[0, code]).is_some(), matches!(code, 1 | 2), "{code}");
        }
    }

    #[test]
    fn what_the_server_sends() {
        let mut packet = vec![9; 9];
        data(&mut packet, 65537, b"xy");
        assert_eq!(packet, b"\0\x03\0\x01xy");
        assert_eq!(
            oack(&[("tsize", 7), ("blksize", 512)]),
            b"\0\x06tsize\x007\0blksize\x00512\0"
        );
        assert_eq!(error(Code::NotFound, "no"), b"\0\x05\0\x01no\0");
    }
}
