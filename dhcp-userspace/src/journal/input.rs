//! A file of a log that is read twice: once to find what is in it, and again for what counts.

use std::io;

use super::JournalError;
use super::codec::Lease;
use super::frame::{self, Frame, HEADER, Type};
use super::latest::Latest;
use super::name::{FileKind, Name};
use super::storage::{File, Storage};
use super::window::Window;

/// Whether the second reading checks the frames that count once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It does: what it hands over takes the file's place.
    Nothing,
    /// They were good a moment ago, and the file stays as it is.
    Memory,
}

pub(super) struct Input {
    pub(super) name: Name,
    pub(super) file: Box<dyn File>,
    pub(super) len: u64,
    /// Where the last good frame ends.
    pub(super) end: u64,
    /// Bytes behind it up to the last one that is not zero.
    pub(super) garbage: u64,
    /// Where the last batch starts: what comes before was synced.
    pub(super) batch: u64,
    /// Offset and length of what is no frame and has one behind it.
    pub(super) gaps: Vec<(u64, u64)>,
    /// The numbers of its leases: the first one, and the one behind the last.
    pub(super) numbers: [u64; 2],
}

impl Input {
    pub(super) fn open(storage: &dyn Storage, name: Name) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io("open", name.to_string(), error);
        let file = storage.open(&name.to_string()).map_err(failed)?;
        let len = file.size().map_err(failed)?;
        Ok(Self {
            name,
            file,
            len,
            end: 0,
            garbage: 0,
            batch: 0,
            gaps: Vec::new(),
            numbers: [0; 2],
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.kind == FileKind::Segment && self.end == 0 && self.garbage == 0
    }

    /// Hands over the leases that are the last ones of their address, with their sequence numbers.
    pub(super) fn live(
        &self,
        latest: &Latest,
        trust: Trust,
        mut each: impl FnMut(u64, &Lease<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut window = Window::new(self.name, &*self.file);
        let mut gaps = self.gaps.iter();
        let [mut number, behind] = self.numbers;
        while number < behind {
            if let Some((offset, len)) = gaps.as_slice().first()
                && *offset == window.offset()
            {
                window.skip(*len);
                gaps.next();
                continue;
            }
            let frame = self.frame(&mut window)?;
            if Frame::claims(frame) != Some(Type::Lease) {
                continue;
            }
            if latest.is_last(number) {
                let (sequence, lease) = self.open_again(frame, trust)?;
                each(sequence, &lease)?;
            }
            number += 1;
        }
        Ok(())
    }

    fn open_again<'w>(
        &self,
        frame: &'w [u8],
        trust: Trust,
    ) -> Result<(u64, Lease<'w>), JournalError> {
        let frame = match trust {
            Trust::Nothing => Frame::open(self.name.key, frame),
            Trust::Memory => Frame::unchecked(frame),
        };
        let opened = frame.and_then(|it| Some((it.sequence, Lease::decode(it.payload)?)));
        opened.ok_or_else(|| self.changed())
    }

    /// The next frame, which was there before.
    fn frame<'w>(&self, window: &'w mut Window<'_>) -> Result<&'w [u8], JournalError> {
        if window.has(HEADER)? {
            let size = frame::length(window.rest().first_chunk().expect("16 bytes"));
            if window.has(size)? {
                return Ok(window.take(size));
            }
        }
        Err(self.changed())
    }

    fn changed(&self) -> JournalError {
        let error = io::Error::other("it changed since it was read first");
        JournalError::io("read", self.name.to_string(), error)
    }
}
