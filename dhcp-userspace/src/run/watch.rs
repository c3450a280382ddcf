//! Notices when included files change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Watches the directories of included files; ends when dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Sends to `changed` whenever an included file may have changed, appeared or gone. The main
/// file (the first) is left out: it takes effect when somebody says so.
///
/// # Errors
/// If the system has no watches left.
pub fn start(files: &[PathBuf], changed: mpsc::Sender<()>) -> notify::Result<Watch> {
    let Some((main, included)) = files.split_first() else {
        return Ok(Watch {
            _watcher: notify::recommended_watcher(|_| ())?,
        });
    };
    let main = main.clone();
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&event, &main)) {
            // Full: one is told already.
            let _ = changed.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    // Directories, not files: editors replace files, and new ones may match a pattern.
    let directories: BTreeSet<_> = included.iter().filter_map(|file| file.parent()).collect();
    for directory in directories {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(Watch { _watcher: watcher })
}

fn concerns(event: &notify::Event, main: &Path) -> bool {
    let writes = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
    );
    let yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    };
    writes && event.paths.iter().any(|path| yaml(path) && path != main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_only() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("dhcp.yaml");
        let included = directory.path().join("hosts.yaml");
        std::fs::write(&main, "a").unwrap();
        std::fs::write(&included, "b").unwrap();
        let (changed, mut told) = mpsc::channel(1);
        let _watch = start(&[main.clone(), included.clone()], changed).unwrap();
        std::fs::write(&included, "c").unwrap();
        assert!(told.blocking_recv().is_some());
    }

    #[test]
    fn neither_the_main_file_nor_an_editors_leavings_nor_reading() {
        let main = Path::new("/etc/x/dhcp.yaml");
        let event = |kind, path: &str| notify::Event::new(kind).add_path(path.into());
        let modify = EventKind::Modify(notify::event::ModifyKind::Any);
        let read = EventKind::Access(notify::event::AccessKind::Read);
        assert!(concerns(&event(modify, "/etc/x/hosts.yaml"), main));
        assert!(concerns(&event(modify, "/etc/x/new.yml"), main));
        assert!(!concerns(&event(modify, "/etc/x/dhcp.yaml"), main));
        assert!(!concerns(&event(modify, "/etc/x/.hosts.yaml.swp"), main));
        assert!(!concerns(&event(read, "/etc/x/hosts.yaml"), main));
    }
}
