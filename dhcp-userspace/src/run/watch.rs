//! Notices when included files change.

use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::Config;

/// Watches the directories of included files; ends when dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Sends to `changed` whenever an included file may have changed, appeared or gone. The main
/// file (the first) is left out: it takes effect when somebody says so.
///
/// # Errors
/// If the system has no watches left.
pub fn start(config: &Config, changed: mpsc::Sender<()>) -> notify::Result<Watch> {
    let main = as_told(config.files.first().cloned().unwrap_or_default());
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&event, &main)) {
            // Full: one is told already.
            let _ = changed.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    // Directories, not files: editors replace files, and new ones may match a pattern.
    for directory in &config.include_directories {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(Watch { _watcher: watcher })
}

/// The file's path as events have it: its directory's real path, and the name, even of a link.
fn as_told(file: PathBuf) -> PathBuf {
    let here = |parent: &Path| match parent.as_os_str().is_empty() {
        true => Path::new(".").canonicalize(),
        false => parent.canonicalize(),
    };
    match (file.parent().map(here), file.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => file,
    }
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
    use crate::config;

    #[test]
    fn a_file_that_appears_is_noticed_and_one_that_changes() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("dhcp.yaml");
        let hosts = directory.path().join("hosts.d");
        std::fs::create_dir(&hosts).unwrap();
        std::fs::write(
            &main,
            "include: [hosts.d/*.yaml]\nsubnets: [{subnet: 10.0.0.0/24}]\n",
        )
        .unwrap();
        let config = config::load(&main).unwrap();
        let (changed, mut told) = mpsc::channel(1);
        let _watch = start(&config, changed).unwrap();
        for text in ["subnets: []\n", "reservations: []\n"] {
            std::fs::write(hosts.join("new.yaml"), text).unwrap();
            assert!(told.blocking_recv().is_some());
        }
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
