//! A directory in memory, which the journal is given in place of one on disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use dhcp_userspace::journal::{File, Storage};

type Content = Arc<Mutex<Vec<u8>>>;

/// Clones are the same directory.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Content>>>);

impl Memory {
    /// Makes a file, or replaces it.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let content = Arc::new(Mutex::new(bytes));
        self.files().insert(name.to_owned(), content);
    }

    /// Changes the bytes of the file of this number, by name, if there is one.
    pub fn edit(&self, number: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.files().values().nth(number).cloned();
        if let Some(file) = file {
            change(&mut lock(&file));
        }
    }

    pub fn remove_nth(&self, number: usize) {
        let name = self.files().keys().nth(number).cloned();
        if let Some(name) = name {
            self.files().remove(&name);
        }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Content>> {
        self.0.lock().expect("no panics while held")
    }

    fn get(&self, name: &str) -> io::Result<Content> {
        let file = self.files().get(name).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn lock(content: &Content) -> MutexGuard<'_, Vec<u8>> {
    content.lock().expect("no panics while held")
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.put(name, Vec::new());
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Opened(self.get(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let content = self.get(from)?;
        let mut files = self.files();
        files.remove(from);
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files().remove(name);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Opened(Content);

impl File for Opened {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = lock(&self.0);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let len = content.len().max(end);
        content.resize(len, 0);
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
