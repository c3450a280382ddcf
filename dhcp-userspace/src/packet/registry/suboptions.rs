//! Options within options: code, length, value again (RFC 2132 section 8.4, RFC 3046, RFC 3925).

const PAD: u8 = 0;
const END: u8 = 255;

/// A part that is longer than its length can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too long: there is room for 255")]
pub struct TooLong(pub usize);

/// Appends a sub-option.
///
/// # Errors
/// If the value is longer than 255 bytes: sub-options are not split.
pub fn put_suboption(to: &mut Vec<u8>, code: u8, value: &[u8]) -> Result<(), TooLong> {
    let len = u8::try_from(value.len()).map_err(|_| TooLong(value.len()))?;
    to.extend([code, len]);
    to.extend(value);
    Ok(())
}

/// Appends an enterprise's part of option 124 or 125 (RFC 3925 sections 3 and 4).
///
/// # Errors
/// If the part is longer than 255 bytes.
pub fn put_enterprise(to: &mut Vec<u8>, number: u32, part: &[u8]) -> Result<(), TooLong> {
    let len = u8::try_from(part.len()).map_err(|_| TooLong(part.len()))?;
    to.extend(number.to_be_bytes());
    to.push(len);
    to.extend(part);
    Ok(())
}

/// The sub-options of a value; `None`: it is not made of any. With `ends`, padding is skipped and
/// END ends.
#[must_use]
pub fn suboptions(mut data: &[u8], ends: bool) -> Option<Vec<(u8, &[u8])>> {
    let mut all = Vec::new();
    while let Some((code, rest)) = data.split_first() {
        match *code {
            END if ends => break,
            PAD if ends => data = rest,
            code => {
                let (len, rest) = rest.split_first()?;
                let (value, rest) = rest.split_at_checked(usize::from(*len))?;
                all.push((code, value));
                data = rest;
            }
        }
    }
    Some(all)
}

/// The parts of option 124 or 125 by enterprise; `None`: it is not made of any.
#[must_use]
pub(super) fn enterprises(mut data: &[u8]) -> Option<Vec<(u32, &[u8])>> {
    let mut all = Vec::new();
    while !data.is_empty() {
        let (number, rest) = data.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first()?;
        let (part, rest) = rest.split_at_checked(usize::from(*len))?;
        all.push((u32::from_be_bytes(*number), part));
        data = rest;
    }
    Some(all)
}
