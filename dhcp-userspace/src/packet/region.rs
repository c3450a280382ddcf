//! The option region of a renewal: what a memo is made of.

use dhcp_common::memo::{self, Key, MAX_REGION};
use dhcp_common::wire::option;

use super::options::{Field, Options};
use super::request::Request;

/// Where an option stands in a region, with code and length; 0 bytes for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    pub at: u16,
    pub len: u8,
}

/// A region that the kernel may meet, and where it cuts options 61 and 82 from it.
#[derive(Debug)]
pub struct Region {
    bytes: [u8; MAX_REGION],
    len: usize,
    pub client_id: Cut,
    pub relay_agent: Cut,
}

impl Region {
    /// The region of a renewal as it came; `None` if the kernel must never answer it.
    #[must_use]
    pub fn of_renewal(request: &Request<'_>) -> Option<Self> {
        Self::build(request, |_| true)
    }

    /// The region that the client will renew with: clients repeat the options of the REQUEST
    /// that got them the lease but for 50 and 54, which a renewal must not have (RFC 2131
    /// section 4.3.6).
    #[must_use]
    pub fn predicted(request: &Request<'_>) -> Option<Self> {
        Self::build(request, |code| {
            code != option::REQUESTED_ADDRESS && code != option::SERVER_ID
        })
    }

    /// The memo of this region.
    #[must_use]
    pub fn memo(&self, key: &Key) -> u64 {
        let (chunks, _) = self.bytes.as_chunks::<8>();
        let words: [u64; MAX_REGION / 8] = std::array::from_fn(|i| u64::from_ne_bytes(chunks[i]));
        memo::hash(&words, self.len, key)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn build(request: &Request<'_>, keep: impl Fn(u8) -> bool) -> Option<Self> {
        let whole = request.region();
        let mut region = Self {
            bytes: [0; MAX_REGION],
            len: 0,
            client_id: Cut::default(),
            relay_agent: Cut::default(),
        };
        let mut options = Options::new(whole);
        let mut copied = 0;
        while let Some(Ok(field)) = options.next() {
            region.copy(&whole[copied..field.at])?;
            copied = field.at + field.size();
            if keep(field.code) {
                region.note(&field)?;
                region.copy(&whole[field.at..copied])?;
            }
        }
        let end = options.position();
        let padding = whole.get(end + 1..)?;
        region.copy(&whole[copied..=end])?;
        let complete = request.is_simple() && padding.iter().all(|byte| *byte == option::PAD);
        complete.then_some(region)
    }

    fn note(&mut self, field: &Field<'_>) -> Option<()> {
        let cut = match field.code {
            option::CLIENT_ID => &mut self.client_id,
            option::RELAY_AGENT => &mut self.relay_agent,
            _ => return Some(()),
        };
        cut.at = u16::try_from(self.len).ok()?;
        cut.len = u8::try_from(field.size()).ok()?;
        Some(())
    }

    fn copy(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcp_common::wire::{BOOTP_LEN, MAGIC_COOKIE, bootp};

    fn message(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; BOOTP_LEN];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[bootp::CHADDR] = 2;
        bytes[bootp::COOKIE..].copy_from_slice(&MAGIC_COOKIE);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn the_prediction_is_the_request_without_50_and_54() {
        let bytes = message(&[
            53, 1, 3, 54, 4, 1, 1, 1, 1, 0, 61, 2, 1, 9, 50, 4, 10, 0, 0, 5, 82, 1, 7, 255, 0, 0,
        ]);
        let region = Region::predicted(&Request::parse(&bytes).unwrap()).unwrap();
        assert_eq!(region.bytes(), [53, 1, 3, 0, 61, 2, 1, 9, 82, 1, 7, 255]);
        assert_eq!(region.client_id, Cut { at: 4, len: 4 });
        assert_eq!(region.relay_agent, Cut { at: 8, len: 3 });
        let renewal = message(region.bytes());
        let own = Region::of_renewal(&Request::parse(&renewal).unwrap()).unwrap();
        let key: Key = std::array::from_fn(|i| dhcp_common::word::Word::new(i as u64 * 77 + 1));
        assert_eq!(own.memo(&key), region.memo(&key));
    }

    #[test]
    fn what_the_kernel_must_never_answer() {
        let region = |options: &[u8]| {
            let bytes = message(options);
            Region::of_renewal(&Request::parse(&bytes).unwrap()).is_some()
        };
        assert!(region(&[53, 1, 3, 255, 0, 0]));
        assert!(!region(&[53, 1, 3]), "no END");
        assert!(!region(&[53, 1, 3, 255, 0, 1]), "something behind END");
        assert!(!region(&[53, 1, 3, 52, 1, 1, 255]), "overload");
        assert!(!region(&[53, 1, 3, 61, 1, 1, 61, 1, 1, 255]), "61 twice");
        assert!(!region(&[53, 1, 3, 82, 1, 1, 82, 1, 1, 255]), "82 twice");
        let id = |len: u8| {
            let mut options = vec![53, 1, 3, 61, len];
            options.resize(5 + usize::from(len), 1);
            options.push(255);
            options
        };
        assert!(region(&id(253)));
        assert!(!region(&id(254)), "longer than a splice tells");
        let mut long = vec![53, 1, 3];
        for code in [100, 101] {
            long.extend([code, 253]);
            long.resize(long.len() + 253, 1);
        }
        assert_eq!(long.len(), 513);
        long.truncate(3 + 255);
        long.extend([101, 251]);
        long.resize(511, 1);
        long.push(255);
        assert!(region(&long), "512 bytes");
        long.splice(0..0, [0]);
        assert!(!region(&long), "513 bytes");
    }
}
