//! Reads the frames of a file, and finds the next good one where one is not.

use super::JournalError;
use super::codec::Content;
use super::frame::{self, Frame, HEADER};
use super::name::{FileKind, Name};
use super::storage::File;
use super::window::Window;

/// A sequence number that no log comes to: a frame that has a higher one is damage, and so there are
/// numbers left for what is written next.
const HIGHEST: u64 = u64::MAX / 2;
/// How far a sequence number may be ahead where the search for the next frame finds it: more
/// records than any segment holds.
const REACH: u64 = u32::MAX as u64;

pub(super) struct Scanner<'f> {
    window: Window<'f>,
    /// No later frame has a smaller sequence number.
    least: u64,
}

pub(super) enum Found<'a> {
    Frame(Entry<'a>),
    /// Bytes that are no frame, with a frame behind them.
    Gap {
        offset: u64,
        len: u64,
    },
    /// No frame behind `offset`; `garbage` bytes up to the last one that is not zero.
    End {
        offset: u64,
        garbage: u64,
    },
}

pub(super) struct Entry<'a> {
    pub(super) offset: u64,
    pub(super) first: bool,
    pub(super) sequence: u64,
    pub(super) content: Content<'a>,
}

impl<'f> Scanner<'f> {
    pub(super) fn new(name: Name, file: &'f dyn File, least: u64) -> Self {
        Self {
            window: Window::new(name, file),
            least,
        }
    }

    pub(super) fn next(&mut self) -> Result<Found<'_>, JournalError> {
        match self.frame_here(u64::MAX)? {
            Some(size) => Ok(Found::Frame(self.take(size))),
            None => self.search(),
        }
    }

    /// The size of the good frame that stands here, if any.
    fn frame_here(&mut self, reach: u64) -> Result<Option<usize>, JournalError> {
        if !self.window.has(HEADER)? {
            return Ok(None);
        }
        let header = self.window.rest().first_chunk().expect("16 bytes");
        let sequences = self.least..=self.least.saturating_add(reach).min(HIGHEST);
        let Some(size) = frame::peek(header, &sequences) else {
            self.refuse_newer()?;
            return Ok(None);
        };
        if !self.window.has(size)? {
            return Ok(None);
        }
        let frame = Frame::open(self.window.name().key, &self.window.rest()[..size]);
        let content = frame.and_then(|frame| Content::decode(frame.kind, frame.payload));
        Ok(content.map(|_| size))
    }

    fn take(&mut self, size: usize) -> Entry<'_> {
        let offset = self.window.offset();
        let is_segment = self.window.name().kind == FileKind::Segment;
        let bytes = self.window.take(size);
        let frame = Frame::unchecked(bytes).expect("checked by frame_here");
        if is_segment {
            self.least = frame.sequence + 1;
        }
        Entry {
            offset,
            first: frame.first,
            sequence: frame.sequence,
            content: Content::decode(frame.kind, frame.payload).expect("checked by frame_here"),
        }
    }

    /// Goes on byte by byte to the next good frame.
    fn search(&mut self) -> Result<Found<'_>, JournalError> {
        let offset = self.window.offset();
        let mut used = offset;
        while self.window.has(1)? {
            let zeros = zeros(self.window.rest());
            if zeros > HEADER {
                // A frame has its version within the first few bytes.
                self.window.take(zeros - frame::VERSION_AT);
                continue;
            }
            if zeros == 0 {
                used = self.window.offset() + 1;
            }
            self.window.take(1);
            if self.frame_here(REACH)?.is_some() {
                let len = self.window.offset() - offset;
                return Ok(Found::Gap { offset, len });
            }
        }
        let garbage = used - offset;
        Ok(Found::End { offset, garbage })
    }

    /// A frame of a later version is not damage.
    fn refuse_newer(&mut self) -> Result<(), JournalError> {
        let header = self.window.rest().first_chunk().expect("16 bytes");
        let Some(size) = frame::peek_newer(header) else {
            return Ok(());
        };
        let name = self.window.name();
        let is_newer =
            self.window.has(size)? && frame::is_intact(name.key, &self.window.rest()[..size]);
        if !is_newer {
            return Ok(());
        }
        Err(JournalError::Newer {
            file: name.to_string(),
            offset: self.window.offset(),
        })
    }
}

/// How many zeros the bytes start with, if many; else about how many.
fn zeros(bytes: &[u8]) -> usize {
    // Blocks without an early end, so that 64 MiB of preallocated zeros take milliseconds.
    let blocks = bytes
        .chunks_exact(256)
        .take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        .count();
    let rest = &bytes[blocks * 256..];
    blocks * 256 + rest.iter().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::super::faulty::Faulty;
    use super::super::frame::Type;
    use super::super::storage::Storage;
    use super::super::window::CHUNK;
    use super::*;

    const NAME: Name = Name {
        number: 1,
        kind: FileKind::Segment,
        key: 3,
    };

    fn clock(sequence: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = Frame {
            kind: Type::Clock,
            first: false,
            sequence,
            payload: &[0; 24],
        };
        frame.seal(NAME.key, &mut bytes);
        bytes
    }

    /// `s7`: frame with sequence 7; `g0+9`: gap; `e9+0`: end.
    fn scan(bytes: &[u8], least: u64) -> Vec<String> {
        let file = Faulty::default().create("file").unwrap();
        file.write_at(bytes, 0).unwrap();
        let mut scanner = Scanner::new(NAME, &*file, least);
        let mut found = Vec::new();
        loop {
            found.push(match scanner.next().unwrap() {
                Found::Frame(entry) => format!("s{}", entry.sequence),
                Found::Gap { offset, len } => format!("g{offset}+{len}"),
                Found::End { offset, garbage } => format!("e{offset}+{garbage}"),
            });
            if found.last().unwrap().starts_with('e') {
                return found;
            }
        }
    }

    #[test]
    fn finds_frames_behind_anything() {
        let between = [&b"??"[..], &[0; 3000], &[frame::VERSION; 9]].concat();
        let bytes = [
            &clock(5)[..],
            &between,
            &clock(6),
            &[0; CHUNK as usize],
            &clock(7),
            b"tail\0\0",
        ]
        .concat();
        let gap = format!("g40+{}", between.len());
        let zeros = format!("g{}+{CHUNK}", 80 + between.len());
        let end = format!("e{}+4", 120 + between.len() + (1 << 20));
        assert_eq!(scan(&bytes, 1), ["s5", &gap, "s6", &zeros, "s7", &end]);
    }

    #[test]
    fn there_are_numbers_left_behind_every_frame() {
        let highest = scan(&clock(HIGHEST), 1);
        assert_eq!(highest[0], format!("s{HIGHEST}"));
        for sequence in [HIGHEST + 1, u64::MAX - 1, u64::MAX] {
            // All but the zeros at its end are garbage.
            assert_eq!(scan(&clock(sequence), 1), [format!("e0+{HEADER}")]);
        }
    }

    #[test]
    fn old_and_far_sequence_numbers_are_no_frames() {
        let bytes = [clock(5), clock(5), clock(4), clock(6)].concat();
        assert_eq!(scan(&bytes, 5), ["s5", "g40+80", "s6", "e160+0"]);
        let far = [b"x", &clock(u64::MAX - 1)[..], &clock(9)].concat();
        assert_eq!(scan(&far, 5), ["g0+41", "s9", "e81+0"]);
    }

    #[test]
    fn zeros_are_an_end_without_garbage() {
        for len in [0, 1, 15, 16, 17, 300, 1 << 20, (1 << 20) + 9] {
            assert_eq!(scan(&vec![0; len], 1), ["e0+0"]);
        }
    }

    #[test]
    fn a_later_version_is_refused() {
        let mut bytes = clock(1);
        bytes[frame::VERSION_AT] += 1;
        let mut hasher = crc32fast::Hasher::new_with_initial(NAME.key);
        hasher.update(&bytes[4..]);
        bytes[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
        let file = Faulty::default().create("file").unwrap();
        file.write_at(&bytes, 0).unwrap();
        let error = Scanner::new(NAME, &*file, 1).next().err().unwrap();
        assert!(
            matches!(error, JournalError::Newer { offset: 0, .. }),
            "{error}"
        );
    }
}
