//! How an input is cut into what the server gets one after the other.

/// Stands between two parts: a mutation that makes one longer or shorter leaves the others whole.
pub const SEPARATOR: &[u8] = b"|--|";

/// The parts, without the separators.
pub fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let all = rest?;
        let found = all
            .windows(SEPARATOR.len())
            .position(|window| window == SEPARATOR);
        let (part, next) = match found {
            Some(at) => (&all[..at], Some(&all[at + SEPARATOR.len()..])),
            None => (all, None),
        };
        rest = next;
        Some(part)
    })
}

/// The first part, and all behind its separator.
#[must_use]
pub fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let first = parts(data).next().unwrap_or_default();
    let rest = data.get(first.len() + SEPARATOR.len()..);
    (first, rest.unwrap_or_default())
}
