//! Finds options, sub-options and vendors' blocks in a request.

use std::borrow::Cow;
use std::ops::Range;

use dhcp_common::wire::option;

use super::Subject;
use super::bytes::part;
use super::tree::Field;
use crate::packet::{Options, Request};

/// Options with vendors' enterprise numbers (RFC 3925).
pub const VENDOR_CLASS: u8 = 124;
pub const VENDOR: u8 = 125;
const ENTERPRISE_LEN: usize = 4;

/// The value of a field; an empty one is there, too.
pub fn read<'r>(subject: &Subject<'r>, field: &Field) -> Option<Cow<'r, [u8]>> {
    match field {
        Field::Option(code) => option(subject, *code),
        Field::Sub(code, path) => {
            let value = option(subject, *code)?;
            let range = descend(&value, path, *code == option::RELAY_AGENT)?;
            Some(part(value, range))
        }
        Field::Vendor(enterprise, path) => {
            let value = option(subject, VENDOR)?;
            let mut blocks = Blocks::new(&value).filter(|block| block.is_of(*enterprise));
            let range = blocks.find_map(|block| within(&value, block.data, path))?;
            Some(part(value, range))
        }
        Field::VendorClass(enterprise, index) => {
            let value = option(subject, VENDOR_CLASS)?;
            let mut blocks = Blocks::new(&value).filter(|block| block.is_of(*enterprise));
            let range = blocks.nth(usize::from(*index))?.data;
            Some(part(value, range))
        }
    }
}

/// The enterprise number that option 124 or 125 begins with.
pub fn enterprise<'r>(request: &'r Request<'r>, code: u8) -> Option<Cow<'r, [u8]>> {
    let value = request.option(code)?;
    Blocks::new(&value).next()?;
    Some(part(value, 0..ENTERPRISE_LEN))
}

fn option<'r>(subject: &Subject<'r>, code: u8) -> Option<Cow<'r, [u8]>> {
    let request = subject.request;
    match code {
        option::RELAY_AGENT => request
            .relay_agent()
            .or_else(|| subject.relay_agent.map(Cow::Borrowed)),
        option::CLIENT_ID => request.client_id(),
        _ => request.option(code),
    }
}

fn within(value: &[u8], data: Range<usize>, path: &[u8]) -> Option<Range<usize>> {
    let found = descend(&value[data.clone()], path, false)?;
    Some(data.start + found.start..data.start + found.end)
}

/// From sub-option to sub-option. Option 82 has neither padding nor an end (RFC 3046 section
/// 2.0); others are written as options are (RFC 2132 section 8.4).
fn descend(value: &[u8], path: &[u8], relay: bool) -> Option<Range<usize>> {
    path.iter().try_fold(0..value.len(), |range, code| {
        let inner = &value[range.clone()];
        let found = if relay {
            plain(inner, *code)
        } else {
            framed(inner, *code)
        }?;
        Some(range.start + found.start..range.start + found.end)
    })
}

fn plain(bytes: &[u8], wanted: u8) -> Option<Range<usize>> {
    let mut at = 0;
    while let [code, len, rest @ ..] = &bytes[at..] {
        let value = rest.get(..usize::from(*len))?;
        let range = at + 2..at + 2 + value.len();
        if *code == wanted {
            return Some(range);
        }
        at = range.end;
    }
    None
}

fn framed(bytes: &[u8], wanted: u8) -> Option<Range<usize>> {
    let mut options = Options::new(bytes).map_while(Result::ok);
    let field = options.find(|field| field.code == wanted)?;
    Some(field.at + 2..field.at + field.size())
}

/// One vendor's data in option 124 or 125.
struct Block {
    enterprise: u32,
    data: Range<usize>,
}

impl Block {
    fn is_of(&self, enterprise: Option<u32>) -> bool {
        enterprise.is_none_or(|wanted| wanted == self.enterprise)
    }
}

struct Blocks<'v> {
    value: &'v [u8],
    at: usize,
}

impl<'v> Blocks<'v> {
    fn new(value: &'v [u8]) -> Self {
        Self { value, at: 0 }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (enterprise, rest) = self.value[self.at..].split_first_chunk()?;
        let (len, rest) = rest.split_first()?;
        rest.get(..usize::from(*len))?;
        let start = self.at + ENTERPRISE_LEN + 1;
        self.at = start + usize::from(*len);
        Some(Block {
            enterprise: u32::from_be_bytes(*enterprise),
            data: start..self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::ClassSet;
    use crate::class::testing::message;

    fn subject<'a>(request: &'a Request<'a>, relay_agent: Option<&'a [u8]>) -> Subject<'a> {
        Subject {
            request,
            members: const { &ClassSet::new() },
            known: false,
            relay_agent,
        }
    }

    fn found(options: &[u8], field: &Field) -> Option<Vec<u8>> {
        let bytes = message(options);
        let request = Request::parse(&bytes).unwrap();
        read(&subject(&request, None), field).map(Cow::into_owned)
    }

    #[test]
    fn an_earlier_option_82_counts_where_there_is_none() {
        let circuit = |options: &[u8]| {
            let bytes = message(options);
            let request = Request::parse(&bytes).unwrap();
            let subject = subject(&request, Some(&[1, 1, 7]));
            let read = |field| read(&subject, &field).map(Cow::into_owned);
            (
                read(Field::Sub(82, [1].into())),
                read(Field::Sub(43, [1].into())),
            )
        };
        assert_eq!(circuit(&[]), (Some(vec![7]), None));
        assert_eq!(circuit(&[82, 3, 1, 1, 9]), (Some(vec![9]), None));
        assert_eq!(circuit(&[82, 0]), (None, None), "there, and empty");
    }

    #[test]
    fn sub_options_of_option_82_have_no_padding() {
        let options = [82, 8, 0, 1, 7, 255, 1, 9, 1, 2];
        let sub = |path: &[u8]| found(&options, &Field::Sub(82, path.into()));
        assert_eq!(sub(&[0]), Some(vec![7]));
        assert_eq!(sub(&[255]), Some(vec![9]));
        assert_eq!(sub(&[1]), None, "runs past the end");
    }

    #[test]
    fn sub_options_of_others_have_padding_and_an_end() {
        let options = [43, 12, 0, 6, 1, 8, 9, 4, 71, 2, 5, 6, 255, 1];
        let sub = |path: &[u8]| found(&options, &Field::Sub(43, path.into()));
        assert_eq!(sub(&[6]), Some(vec![8]));
        assert_eq!(sub(&[9]), Some(vec![71, 2, 5, 6]));
        assert_eq!(sub(&[9, 71]), Some(vec![5, 6]));
        assert_eq!(sub(&[9, 72]), None);
        assert_eq!(found(&options, &Field::Sub(82, [1].into())), None);
    }

    #[test]
    fn sub_options_of_an_option_in_pieces() {
        let options = [82, 2, 1, 2, 82, 2, 7, 8];
        assert_eq!(
            found(&options, &Field::Sub(82, [1].into())),
            Some(vec![7, 8])
        );
    }

    #[test]
    fn every_vendor_s_block_is_looked_at() {
        let options = [
            125, 17, 0, 0, 0, 9, 3, 1, 1, 5, 0, 0, 0x11, 0x8b, 4, 1, 2, 6, 7,
        ];
        let vendor = |id, path: &[u8]| found(&options, &Field::Vendor(id, path.into()));
        assert_eq!(vendor(Some(4491), &[1]), Some(vec![6, 7]));
        assert_eq!(vendor(Some(4491), &[2]), None);
        assert_eq!(vendor(None, &[1]), Some(vec![5]));
        assert_eq!(vendor(Some(4491), &[]), Some(vec![1, 2, 6, 7]));
        assert_eq!(vendor(Some(1), &[]), None);
    }

    #[test]
    fn vendor_class_data_are_counted_per_vendor() {
        let options = [
            124, 18, 0, 0, 0, 9, 1, 1, 0, 0, 0, 7, 1, 2, 0, 0, 0, 9, 1, 3,
        ];
        let data = |id, index| found(&options, &Field::VendorClass(id, index));
        assert_eq!(data(Some(9), 0), Some(vec![1]));
        assert_eq!(data(Some(9), 1), Some(vec![3]));
        assert_eq!(data(None, 1), Some(vec![2]));
        assert_eq!(data(Some(9), 2), None);
        let bytes = message(&options);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(
            enterprise(&request, VENDOR_CLASS).as_deref(),
            Some(&[0, 0, 0, 9][..])
        );
        assert_eq!(enterprise(&request, VENDOR), None);
    }
}
