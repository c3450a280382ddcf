//! Included files: found by pattern, each read once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::decode::decode;
use super::error::{At, Problem, Report};
use super::resolve::File;
use super::scalar::{Pattern, Scalar};
use super::written::Inventory;
use super::yaml;

const HINT: &str = "correct the name; only a pattern with * or ? may match nothing";
const HINT_DIRECTORY: &str =
    "let the user that xdhcpd runs as read it, say by `chmod 750` and `chgrp`, and try again";

/// Reads what a file includes, and what that includes.
pub(super) struct Includer<'a> {
    pub report: &'a Report,
    /// Canonical paths of all files so far, the main one first.
    pub seen: Vec<PathBuf>,
    pub found: Vec<File<Inventory>>,
    /// Directories where files are, or may appear, that patterns mean.
    pub directories: BTreeSet<PathBuf>,
}

impl Includer<'_> {
    /// Follows the patterns that `file` has.
    pub(super) fn follow(&mut self, patterns: &[Scalar<Pattern>], file: &Path) {
        let at = At::Root.key("include");
        let base = file.parent().unwrap_or(Path::new(""));
        for (index, scalar) in patterns.iter().enumerate() {
            let at = at.item(index);
            let Some(Pattern(pattern)) = scalar.get(&at, self.report) else {
                continue;
            };
            self.directories.extend(directories(base, &pattern));
            let add = |problem| self.report.add(scalar.place, &at, problem);
            let found = matching(base, &pattern).unwrap_or_else(|problem| {
                add(problem);
                Vec::new()
            });
            for path in found {
                self.read(&path).unwrap_or_else(add);
            }
        }
    }

    fn read(&mut self, path: &Path) -> Result<(), Problem> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Problem::new(format!("cannot read {shown}: {error}"), HINT))?;
        let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.seen.contains(&canonical) {
            let what = format!("{shown} is included a second time, or includes itself");
            return Err(Problem::new(what, "name every file once"));
        }
        self.seen.push(canonical);
        let file = self.report.file(path);
        match yaml::read(&text, file) {
            Ok(tree) => {
                let inventory: Inventory = decode(&tree, self.report);
                self.follow(&inventory.include, path);
                self.found.push(File {
                    tree,
                    content: inventory,
                });
            }
            Err((place, problem)) => self.report.add(place, &At::Root, problem),
        }
        Ok(())
    }
}

/// The files that a pattern means, by name. One without `*` and `?` means one file, whether it
/// is there or not. Where a directory cannot be listed nobody knows which files are meant: without
/// them the configuration would be another one.
fn matching(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, Problem> {
    let mut paths = vec![base.to_owned()];
    for part in Path::new(pattern).components() {
        let part = part.as_os_str().to_string_lossy();
        paths = if part.contains(['*', '?']) {
            let listed: Result<Vec<_>, _> = paths.iter().map(|dir| entries(dir, &part)).collect();
            listed?.concat()
        } else {
            paths.iter().map(|dir| dir.join(&*part)).collect()
        };
    }
    Ok(paths)
}

/// The directories where files may be that a pattern means, or directories that lead to them, as far
/// as they exist.
fn directories(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let file = Path::new(pattern);
    let has_pattern = |path: &Path| path.to_string_lossy().contains(['*', '?']);
    let is_listed = |path: &&Path| {
        *path == file
            || path
                .file_name()
                .is_some_and(|name| has_pattern(name.as_ref()))
    };
    let listed = file.ancestors().filter(is_listed);
    let parents = listed.map(|path| path.parent().unwrap_or(Path::new("")));
    // What cannot be listed is told where the files are looked for.
    let found =
        parents.flat_map(|parent| matching(base, &parent.to_string_lossy()).unwrap_or_default());
    let canonical = |path: PathBuf| match path.as_os_str().is_empty() {
        true => fs::canonicalize("."),
        false => fs::canonicalize(path),
    };
    let found = found.filter_map(|path| canonical(path).ok());
    found.filter(|path| path.is_dir()).collect()
}

/// The entries of a directory that match, hidden ones left out. What is no directory has none.
fn entries(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, Problem> {
    let dir_or_here = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let names = match names(dir_or_here) {
        Ok(names) => names,
        Err(error) if is_no_directory(&error) => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("cannot list {}: {error}", dir_or_here.display());
            return Err(Problem::new(what, HINT_DIRECTORY));
        }
    };
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let visible = names.filter(|name| !name.starts_with('.'));
    let mut found: Vec<PathBuf> = visible
        .filter(|name| matches(pattern.as_bytes(), name.as_bytes()))
        .map(|name| dir.join(name))
        .collect();
    found.sort();
    Ok(found)
}

fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(dir)?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn is_no_directory(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind())
}

/// Whether a name matches: `*` is any number of bytes, `?` is one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|at| matches(rest, &name[at..])),
        [b'?', rest @ ..] => !name.is_empty() && matches(rest, &name[1..]),
        [byte, rest @ ..] => name.first() == Some(byte) && matches(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_nothing_has_a_directory() {
        let base = tempfile::tempdir().unwrap();
        let hosts = base.path().join("hosts.d");
        fs::create_dir(&hosts).unwrap();
        let hosts = fs::canonicalize(hosts).unwrap();
        assert_eq!(directories(base.path(), "hosts.d/*.yaml").len(), 1);
        let above = fs::canonicalize(base.path()).unwrap();
        assert_eq!(directories(base.path(), "h*/*.yaml"), [hosts, above]);
        assert!(directories(base.path(), "none/*.yaml").is_empty());
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_no_empty_one() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let none = |pattern| matching(base.path(), pattern).ok() == Some(Vec::new());
        assert!(none("none/*.yaml") && none("file/*.yaml") && none("*/*.yaml"));
        // Nobody can list it, root neither.
        std::os::unix::fs::symlink("loop", base.path().join("loop")).unwrap();
        let problem = matching(base.path(), "loop/*.yaml").unwrap_err();
        assert!(problem.what.starts_with("cannot list "), "{}", problem.what);

        let main = base.path().join("dhcp.yaml");
        let error = crate::config::parse("include: [loop/*.yaml]", &main).unwrap_err();
        assert!(
            error.to_string().contains("include[0]: cannot list "),
            "{error}"
        );
    }

    #[test]
    fn stars_and_question_marks() {
        let is = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
        assert!(is("*.yaml", "a.yaml") && is("a*b*c", "aXbYc") && is("r?", "r1") && is("*", ""));
        assert!(!is("*.yaml", "a.yml") && !is("r?", "r") && !is("a", "ab"));
    }
}
