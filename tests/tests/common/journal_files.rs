//! The journal's files, and ways to damage them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xdhcpd_tests::Daemon;

/// A file of the journal, without the zeros at its end.
pub struct JournalFile {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// One bit, in the middle.
    Bit,
    /// A part in the middle is zeros.
    Zeros,
    /// Two parts in the middle are in each other's place.
    Swapped,
    /// The second half is gone, of a file that others follow.
    Truncated,
    /// A whole file is gone, which others follow.
    Deleted,
}

impl Damage {
    pub const ALL: [Self; 5] = [
        Self::Bit,
        Self::Zeros,
        Self::Swapped,
        Self::Truncated,
        Self::Deleted,
    ];
    /// Several records.
    const PART: usize = 512;

    /// Does it to a file. Tells where it begins.
    pub fn apply(self, file: &JournalFile) -> Result<usize> {
        let mut bytes = file.bytes.clone();
        let middle = bytes.len() / 2;
        ensure!(middle > 2 * Self::PART, "there is little to damage");
        match self {
            Self::Bit => bytes[middle] ^= 0x10,
            Self::Zeros => bytes[middle..middle + Self::PART].fill(0),
            Self::Swapped => {
                let (front, back) = bytes.split_at_mut(middle);
                front[middle - Self::PART..].swap_with_slice(&mut back[..Self::PART]);
            }
            Self::Truncated => bytes.truncate(middle),
            Self::Deleted => {
                fs::remove_file(&file.path)?;
                return Ok(0);
            }
        }
        fs::write(&file.path, bytes)?;
        Ok(middle
            - if matches!(self, Self::Swapped) {
                Self::PART
            } else {
                0
            })
    }
}

/// Those that have records, in the order of writing.
pub fn written(daemon: &Daemon) -> Result<Vec<JournalFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(daemon.directory().join("state/journal"))? {
        let path = entry?.path();
        if !is_journal(&path) {
            continue;
        }
        let mut bytes = fs::read(&path)?;
        let end = bytes.iter().rposition(|byte| *byte != 0);
        if let Some(end) = end {
            bytes.truncate(end + 1);
            files.push(JournalFile { path, bytes });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_journal(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == "segment" || extension == "snapshot"
}

/// How many records a log says are lost, and that it names one of these files each time.
pub fn lost_by(log: &str, files: &[JournalFile]) -> Result<usize> {
    let lines = log
        .lines()
        .filter(|line| line.contains("the journal is damaged"));
    let mut lost = 0;
    for line in lines {
        let named = files.iter().any(|file| {
            let name = file.path.file_name().unwrap_or_default();
            line.contains(&*name.to_string_lossy())
        });
        ensure!(named && line.contains("offset "), "no position: {line}");
        lost += count(line).with_context(|| format!("no number: {line}"))?;
    }
    Ok(lost)
}

/// "; 12 records are lost".
fn count(line: &str) -> Option<usize> {
    let (_, behind) = line.split_once("; ")?;
    match behind.split(' ').next()? {
        "one" => Some(1),
        "no" => Some(0),
        number => number.parse().ok(),
    }
}
