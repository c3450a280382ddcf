//! Where the maps and links of a server are pinned, so that a restart loses no renewal.
//!
//! `<pin_dir>/<instance>/v<version>-<layout>/` holds `maps/` with the shared maps and `link_<index>`
//! for each interface. *Instance* comes from the state directory, so servers on one machine keep
//! apart. *Layout* is a hash of what the maps hold, not of how large they are: a program that
//! reads them otherwise gets a directory of its own. A bpffs allows no dots in names.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use aya::programs::links::PinnedLink;
use dhcp_common::Reason;
use dhcp_common::boot::Bucket;
use dhcp_common::guard::Line;
use dhcp_common::layout::{Meta, VERSION, map};
use dhcp_common::slot::Slot;
use dhcp_common::template::{Tail, Template};
use dhcp_common::word::Word;

use crate::config::Config;

/// The maps that outlive the daemon, with the size of a value.
pub const SHARED: [(&str, usize); 9] = [
    (map::ROOT, size_of::<Word>()),
    (map::BLOCKS, size_of::<Word>()),
    (map::SLOTS, size_of::<Slot>()),
    (map::TAILS, size_of::<Tail>()),
    (map::BOOTS, size_of::<Bucket>()),
    (map::TEMPLATES, size_of::<Template>()),
    (map::META, size_of::<Meta>()),
    (map::GUARD, size_of::<Line>()),
    (map::COUNTERS, size_of::<u64>()),
];

const LINK: &str = "link_";

/// The directories of one server.
#[derive(Clone, Debug)]
pub struct Pins {
    /// All layouts.
    root: PathBuf,
}

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    #[error(
        "{} is on no bpffs; mount one with `mount -t bpf bpf {}` or change fast_path.pin_dir",
        .0.display(), .0.display()
    )]
    NoBpffs(PathBuf),
    #[error("no bpffs could be mounted on {}: {error}", path.display())]
    Mount { path: PathBuf, error: io::Error },
    #[error("the pin directory {} could not be made: {error}", path.display())]
    Make { path: PathBuf, error: io::Error },
    #[error("{} could not be pinned: {error}", path.display())]
    Pin { path: PathBuf, error: String },
}

impl Pins {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let instance = instance(&config.server.state_dir);
        Self {
            root: config.fast_path.pin_dir.join(instance),
        }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of this program's layout.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.root.join(format!("v{VERSION}-{:08x}", layout_hash()))
    }

    #[must_use]
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.current().join(format!("{LINK}{ifindex}"))
    }

    /// The maps in use; all of them, or the directory is not there.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.current().join("maps")
    }

    /// An empty directory for maps that are not in use yet.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn next_maps(&self) -> io::Result<PathBuf> {
        let next = self.current().join("next");
        remove(&next)?;
        fs::create_dir(&next)?;
        Ok(next)
    }

    /// Puts the next maps in the place of those in use.
    ///
    /// # Errors
    /// If the bpffs refuses.
    pub fn use_next_maps(&self, next: &Path) -> io::Result<()> {
        remove(&self.maps())?;
        fs::rename(next, self.maps())
    }

    /// Makes the current directory, and mounts a bpffs at its usual place if there is none.
    ///
    /// # Errors
    /// If there is no bpffs and none can be mounted.
    pub fn make(&self) -> Result<(), PinError> {
        let current = self.current();
        if !on_bpffs(&current) {
            self.mount_bpffs()?;
        }
        let made = make_directory(&current);
        made.map_err(|error| PinError::Make {
            path: current,
            error,
        })
    }

    /// Mounts a bpffs at its usual place.
    ///
    /// # Errors
    /// If the pins are to be elsewhere, or the system refuses.
    pub fn mount_bpffs(&self) -> Result<(), PinError> {
        if !self.root.starts_with(BPFFS) {
            let missing = self.root.parent().unwrap_or(&self.root);
            return Err(PinError::NoBpffs(missing.to_owned()));
        }
        mount(Path::new(BPFFS))
    }

    /// The directories of the bpffs on the way to the pins, but for our own.
    #[must_use]
    pub fn bpffs_above(&self) -> Vec<PathBuf> {
        let above = self.root.ancestors().skip(2);
        above
            .take_while(|path| on_bpffs(path))
            .map(Path::to_owned)
            .collect()
    }

    /// All pinned links, of every layout, by interface index.
    ///
    /// # Errors
    /// If a directory is there but cannot be read.
    pub fn links(&self) -> io::Result<BTreeMap<u32, Vec<PathBuf>>> {
        let mut links: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
        for layout in entries(&self.root)? {
            for path in entries(&layout)? {
                if let Some(index) = link_index(&path) {
                    links.entry(index).or_default().push(path);
                }
            }
        }
        Ok(links)
    }

    /// Removes what other layouts have left, links first. What their programs have granted is in
    /// the journal.
    ///
    /// # Errors
    /// If something could not be removed.
    pub fn remove_other_layouts(&self) -> io::Result<()> {
        let current = self.current();
        let others = entries(&self.root)?
            .into_iter()
            .filter(|layout| *layout != current);
        for layout in others {
            remove_layout(&layout)?;
        }
        Ok(())
    }

    /// Removes the links of this layout, whose programs know another table than the one in use.
    ///
    /// # Errors
    /// If one could not be removed.
    pub fn remove_links(&self) -> io::Result<()> {
        let pins = entries(&self.current())?;
        let mut links = pins.iter().filter(|path| link_index(path).is_some());
        links.try_for_each(|link| remove_link(link))
    }

    /// Removes everything; tells how many links there were. What a daemon still holds open lives
    /// on until it ends.
    ///
    /// # Errors
    /// If something could not be removed.
    pub fn remove_all(&self) -> io::Result<usize> {
        let mut links = 0;
        for layout in entries(&self.root)? {
            links += remove_layout(&layout)?;
        }
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(links),
        }
    }
}

/// Links go first, so that no program runs whose maps have no name any more.
fn remove_layout(layout: &Path) -> io::Result<usize> {
    let mut pins = entries(layout)?;
    pins.retain(|path| link_index(path).is_some());
    pins.iter().try_for_each(|link| remove_link(link))?;
    remove(layout)?;
    Ok(pins.len())
}

/// Removes a directory with all that is in it, or what somebody has pinned in its place.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Also where somebody has pinned something in its place.
fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            fs::create_dir_all(path)
        }
        made => made,
    }
}

/// Whether it is certain that nothing is there.
#[must_use]
pub fn is_gone(path: &Path) -> bool {
    path.try_exists().is_ok_and(|exists| !exists)
}

fn link_index(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(LINK)?.parse().ok()
}

/// What is in a directory; nothing if it is not there, or is something else that somebody has put
/// in its place. One that cannot be read may hold links.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Removes the pin of a link if it is there. If nobody else holds the link, its program is off the
/// interface when this returns: closing does that at once, removing the last pin some time later.
///
/// # Errors
/// If it is there and stays.
pub fn remove_link(path: &Path) -> io::Result<()> {
    let held = PinnedLink::from_pin(path);
    let removed = remove(path);
    drop(held);
    removed
}

/// A path as a file name, `/var/lib/xdhcpd` as `var-lib-xdhcpd`. Different for different paths.
fn instance(state_dir: &Path) -> String {
    let path = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    let bytes = path.as_os_str().as_bytes();
    let mut name = String::new();
    for byte in bytes.strip_prefix(b"/").unwrap_or(bytes) {
        match byte {
            b'/' => name.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => name.push(char::from(*byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    name
}

/// FNV-1a over the names and value sizes of the maps, and how many counters there are.
fn layout_hash() -> u32 {
    let maps = SHARED.iter().map(|(name, size)| format!("{name}:{size};"));
    let text: String = maps.chain([format!("reasons:{}", Reason::COUNT)]).collect();
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

const BPFFS: &str = "/sys/fs/bpf";
/// What statfs(2) says of a bpffs.
pub const BPF_FS_MAGIC: libc::c_long = 0xcafe_4a11;

/// Whether a path, or the nearest directory above it that exists, is on a bpffs.
fn on_bpffs(path: &Path) -> bool {
    let Some(there) = path.ancestors().find(|path| path.exists()) else {
        return false;
    };
    let Ok(there) = CString::new(there.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: all zeros is a valid statfs.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path and a place for the answer.
    let result = unsafe { libc::statfs(there.as_ptr(), &raw mut about) };
    result == 0 && about.f_type == BPF_FS_MAGIC
}

fn mount(path: &Path) -> Result<(), PinError> {
    let failed = |error| PinError::Mount {
        path: path.to_owned(),
        error,
    };
    let target = CString::new(path.as_os_str().as_bytes()).map_err(|e| failed(e.into()))?;
    // As systemd mounts it.
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let data = c"mode=0700".as_ptr().cast();
    let bpf = c"bpf".as_ptr();
    // SAFETY: NUL-terminated strings that live through the call.
    let result = unsafe { libc::mount(bpf, target.as_ptr(), bpf, flags, data) };
    if result != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    tracing::info!("mounted a bpffs on {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_differ_as_their_directories_do() {
        let of = |path: &str| instance(Path::new(path));
        assert_eq!(of("/var/lib/xdhcpd"), "var-lib-xdhcpd");
        assert_eq!(of("/srv/dhcp.d/a"), "srv-dhcp_2ed-a");
        assert_ne!(of("/var/lib-x"), of("/var/lib/x"));
        assert_ne!(of("/a_2d"), of("/a-"));
    }

    #[test]
    fn names_are_fit_for_a_bpffs() {
        let pins = Pins::of(&super::super::testing::config(""));
        let below = pins.link(12);
        let below = below.strip_prefix("/nonexistent").unwrap();
        assert!(
            !below.to_str().unwrap().contains('.'),
            "{}",
            below.display()
        );
        assert_eq!(link_index(below), Some(12));
        assert_eq!(link_index(Path::new("SLOTS")), None);
    }

    #[test]
    fn a_plain_directory_is_no_bpffs() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = super::super::testing::config("");
        config.fast_path.pin_dir = directory.path().join("not/there");
        let error = Pins::of(&config).make().unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf"), "{error}");
    }

    #[test]
    fn removing_all_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = super::super::testing::config("");
        config.fast_path.pin_dir = directory.path().join("pins");
        let pins = Pins::of(&config);
        assert_eq!(pins.remove_all().unwrap(), 0);
        let old = pins.root().join("v0-old");
        for layout in [&pins.current(), &old] {
            fs::create_dir_all(layout.join("maps")).unwrap();
            fs::write(layout.join("link_3"), "").unwrap();
            fs::write(layout.join("maps/SLOTS"), "").unwrap();
        }
        assert_eq!(pins.links().unwrap()[&3].len(), 2);
        pins.remove_other_layouts().unwrap();
        assert!(!old.exists() && pins.link(3).exists());
        let next = pins.next_maps().unwrap();
        fs::write(next.join("ROOT"), "").unwrap();
        pins.use_next_maps(&next).unwrap();
        assert_eq!(entries(&pins.maps()).unwrap(), [pins.maps().join("ROOT")]);
        assert_eq!(pins.remove_all().unwrap(), 1);
        assert!(!pins.root().exists());
    }
}
