use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::storage::{File, Storage};

const LOCK: &str = "lock";

/// A directory of a real file system, locked for this process while the value lives.
pub struct Disk {
    path: PathBuf,
    /// The directory itself, to sync its names.
    dir: fs::File,
    _lock: fs::File,
}

impl Disk {
    /// Takes the directory, which is made if it does not exist.
    ///
    /// # Errors
    /// [`JournalError::Locked`] if another process has it, else what the file system says.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |action| {
            let file = path.display().to_string();
            move |source| JournalError::io_or_full(action, file, source)
        };
        let missing = path.ancestors().take_while(|dir| !dir.exists()).count();
        fs::create_dir_all(path).map_err(failed("create"))?;
        let lock = lock(path)?;
        let dir = fs::File::open(path).map_err(failed("open"))?;
        // The last one always: who made it may not have come as far as this.
        let made = path.ancestors().take(missing.max(1));
        for dir in made.filter(|dir| !dir.as_os_str().is_empty()) {
            sync_parent(dir).map_err(failed("sync the directory of"))?;
        }
        Ok(Self {
            path: path.into(),
            dir,
            _lock: lock,
        })
    }
}

/// The lock goes with the process, however it ends; the file stays, and names the last owner.
fn lock(dir: &Path) -> Result<fs::File, JournalError> {
    let path = dir.join(LOCK);
    let failed = |action| {
        let file = path.display().to_string();
        move |source| JournalError::io_or_full(action, file, source)
    };
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(JournalError::Locked {
                dir: dir.into(),
                pid: owner(&mut file),
            });
        }
        Err(fs::TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    // The number only helps people: a disk too full for it must not keep the server from starting.
    let _ = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

fn owner(file: &mut fs::File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// So that a directory just made is not gone after a power cut.
fn sync_parent(path: &Path) -> io::Result<()> {
    let path = path.canonicalize()?;
    path.parent()
        .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(self.path.join(name))?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

impl File for fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let wanted = buffer.len();
        while !buffer.is_empty() {
            match FileExt::read_at(self, buffer, offset) {
                Ok(0) => break,
                Ok(n) => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wanted - buffer.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/journal");
        let first = Disk::open(&path).unwrap();
        let Err(JournalError::Locked { dir, pid }) = Disk::open(&path) else {
            panic!("opened twice");
        };
        assert_eq!((dir, pid), (path.clone(), Some(std::process::id())));
        drop(first);
        assert!(Disk::open(&path).is_ok(), "free again");
    }

    #[test]
    fn files_do_what_the_trait_says() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let file = disk.create("a").unwrap();
        file.write_at(b"hello", 2).unwrap();
        file.sync().unwrap();
        let mut buffer = [9; 8];
        assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 6);
        assert_eq!(&buffer, b"\0hello\x09\x09");
        file.set_len(3).unwrap();
        assert_eq!(file.size().unwrap(), 3);
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        let mut names = disk.list().unwrap();
        names.sort();
        assert_eq!(names, ["b", "lock"]);
        disk.remove("b").unwrap();
        assert_eq!(
            disk.open("b").err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
    }
}
