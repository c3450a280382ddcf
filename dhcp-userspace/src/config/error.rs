//! What is wrong with a configuration, and where.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::packet::registry::Definitions;

/// One mistake: `dhcp.yaml:12:7: subnets[0].pools[1]: what is wrong; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct ConfigError {
    pub file: PathBuf,
    /// From 1; 0 if the file as a whole is meant.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Where in the document: `subnets[0].pools[1]`; empty for the document as a whole.
    pub path: String,
    pub problem: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line != 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.problem)?;
        if self.hint.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.hint)
    }
}

/// All mistakes that were found, in the order of the files and their lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigErrors(pub Vec<ConfigError>);

fn lines(errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    lines.join("\n")
}

/// What is wrong with a value, apart from where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub what: String,
    pub hint: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }
}

/// A place in one of the files that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Index into [`Report::files`].
    pub file: u16,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl Place {
    /// As one number, for its way through serde: 16 bits of file, 24 of line, 24 of column.
    pub(super) const fn pack(self) -> u64 {
        let (line, column) = (self.line as u64 & 0xff_ffff, self.column as u64 & 0xff_ffff);
        (self.file as u64) << 48 | line << 24 | column
    }

    pub(super) const fn unpack(packed: u64) -> Self {
        Self {
            file: (packed >> 48) as u16,
            line: (packed >> 24) as u32 & 0xff_ffff,
            column: packed as u32 & 0xff_ffff,
        }
    }
}

/// A path in a document, linked from its end to the root.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What all parts of reading a configuration share: the mistakes, collected so that all of them
/// are told at once, and the options that are defined.
#[derive(Debug, Default)]
pub(super) struct Report {
    definitions: OnceCell<Definitions>,
    files: RefCell<Vec<PathBuf>>,
    errors: RefCell<Vec<(Place, ConfigError)>>,
    /// Where something of the wrong shape stood, which was read as if it were empty.
    misshapen: RefCell<HashSet<Place>>,
}

impl Report {
    /// Registers a file; its number is what a [`Place`] names.
    pub(super) fn file(&self, path: &Path) -> u16 {
        let mut files = self.files.borrow_mut();
        files.push(path.to_owned());
        u16::try_from(files.len() - 1).unwrap_or(u16::MAX)
    }

    pub(super) fn file_of(&self, place: Place) -> PathBuf {
        self.files.borrow()[usize::from(place.file)].clone()
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    /// Sets the options that are defined; before any is looked up.
    pub(super) fn define(&self, definitions: Definitions) {
        let _ = self.definitions.set(definitions);
    }

    pub(super) fn definitions(&self) -> &Definitions {
        self.definitions.get_or_init(Definitions::default)
    }

    pub(super) fn add(&self, place: Place, at: &At<'_>, problem: Problem) {
        let error = ConfigError {
            file: self.file_of(place),
            line: place.line,
            column: place.column,
            path: at.to_string(),
            problem: problem.what,
            hint: problem.hint,
        };
        self.errors.borrow_mut().push((place, error));
    }

    pub(super) fn add_misshapen(&self, place: Place, at: &At<'_>, problem: Problem) {
        self.misshapen.borrow_mut().insert(place);
        self.add(place, at, problem);
    }

    /// Reports that a key is missing, unless its mapping is no mapping at all.
    pub(super) fn add_missing(&self, place: Place, at: &At<'_>, problem: Problem) {
        if !self.misshapen.borrow().contains(&place) {
            self.add(place, at, problem);
        }
    }

    /// Where a place is, for messages about another one.
    pub(super) fn show(&self, place: Place) -> String {
        let file = self.file_of(place);
        format!("{}:{}:{}", file.display(), place.line, place.column)
    }

    /// `Err` with all mistakes, if there are any.
    pub(super) fn finish(&self) -> Result<(), ConfigErrors> {
        if self.errors.borrow().is_empty() {
            return Ok(());
        }
        Err(self.errors())
    }

    /// All mistakes so far.
    pub(super) fn errors(&self) -> ConfigErrors {
        let mut errors = self.errors.take();
        errors.sort();
        errors.dedup();
        ConfigErrors(errors.into_iter().map(|(_, error)| error).collect())
    }
}

/// "did you mean ...?" if one of the names is near.
pub(super) fn did_you_mean<'a>(
    written: &str,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let written = written.to_lowercase();
    let near = names
        .map(|name| (strsim::normalized_damerau_levenshtein(&written, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (near.0 >= 0.6).then(|| format!("did you mean {}?", near.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_file_line_column_path_problem_hint() {
        let report = Report::default();
        let file = report.file(Path::new("dhcp.yaml"));
        let place = |line, column| Place { file, line, column };
        let subnet = At::Root.key("subnets");
        let problem = Problem::new("ends before it starts", "write the lower address first");
        report.add(
            place(12, 7),
            &subnet.item(0).key("pools").item(1),
            problem.clone(),
        );
        report.add(place(0, 0), &At::Root, Problem::new("is empty", ""));
        assert_eq!(
            report.finish().unwrap_err().to_string(),
            "dhcp.yaml: is empty\n\
             dhcp.yaml:12:7: subnets[0].pools[1]: ends before it starts; \
             write the lower address first"
        );
        assert_eq!(report.finish(), Ok(()));
    }

    #[test]
    fn a_place_survives_its_way_through_serde() {
        let place = Place {
            file: 65535,
            line: 1_000_000,
            column: 70_000,
        };
        assert_eq!(Place::unpack(place.pack()), place);
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = || ["lease_time", "next-server", "options"].into_iter();
        let hint = did_you_mean("next_server", names());
        assert_eq!(hint.as_deref(), Some("did you mean next-server?"));
        let hint = did_you_mean("lese-time", names());
        assert_eq!(hint.as_deref(), Some("did you mean lease_time?"));
        assert_eq!(did_you_mean("colour", names()), None);
    }
}
