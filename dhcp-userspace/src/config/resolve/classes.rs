//! Classes: those defined, and the ready-made ones that are used.

use std::collections::{HashMap, HashSet};

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{self, Level};
use super::super::scalar::{Name, Scalar, get};
use super::super::written;
use super::super::yaml::{Shape, Tree};
use super::{boot, matching, names, options, times};
use crate::class::{ClassId, MAX_CLASSES, Test, ready};

/// All classes, and how they are found.
#[derive(Default)]
pub(super) struct Classes {
    pub list: Vec<model::Class>,
    by_name: HashMap<String, ClassId>,
}

pub(super) fn resolve(
    written: &[Placed<written::Class>],
    trees: &[&Tree],
    report: &Report,
) -> Classes {
    let mut classes = Classes::default();
    let defined: HashSet<&str> = written
        .iter()
        .filter_map(|class| name(&class.value))
        .collect();
    let used = used(trees);
    for class in ready::all() {
        if used.contains(class.name) && !defined.contains(class.name) {
            classes.push(class.name, ready::test(class.name), Level::default(), false);
        }
    }
    let mut places: HashMap<String, Place> = HashMap::new();
    let root = At::Root.key("classes");
    for (index, class) in written.iter().enumerate() {
        let at = root.item(index);
        let Some(name) = classes.add(class, &at, report) else {
            continue;
        };
        if !used.contains(name.as_str()) {
            check_members(&name, class, &at, report);
        }
        if let Some(first) = places.insert(name.clone(), class.place) {
            report.add(
                class.place,
                &at,
                names::twice("class", &name, first, report),
            );
        }
        if classes.list.len() == MAX_CLASSES + 1 {
            let what = format!("more than {MAX_CLASSES} classes, the ready-made ones included");
            let hint = "put hosts with the same settings into a host group";
            report.add(class.place, &at, Problem::new(what, hint));
        }
    }
    classes
}

/// A class of hosts that no host is in may be waiting for one, or be a slip of the pen.
fn check_members(name: &str, class: &Placed<written::Class>, at: &At<'_>, report: &Report) {
    let written = &class.value;
    let is_of_hosts = written.matches.is_none() && written.test.is_none();
    let mut ready = ready::all().iter().map(|class| class.name);
    if !is_of_hosts || ready.clone().any(|known| known == name) {
        return;
    }
    let is_slip = |known: &&str| {
        known.get(..1) == name.get(..1) && strsim::damerau_levenshtein(known, name) == 1
    };
    if let Some(near) = ready.find(is_slip) {
        let what = format!("nobody is in {name}: it has no test, and no host names it");
        let hint = format!("did you mean {near}?");
        report.add(class.place, at, Problem::new(what, hint));
    }
}

fn name(class: &written::Class) -> Option<&str> {
    class.name.as_ref()?.text.as_deref()
}

/// The names that stand in lists of classes anywhere. Tests need none: a ready-made class that
/// is asked for in one is compiled into it.
fn used<'a>(trees: &[&'a Tree]) -> HashSet<&'a str> {
    let mut used = HashSet::new();
    for tree in trees {
        for (_, list) in tree.keys().filter(|(key, _)| key.name == "classes") {
            let items = Tree::list(list).map_or(&[][..], |items| tree.items(items));
            used.extend(items.iter().filter_map(|item| match tree.shape(*item) {
                Shape::Scalar(_, name) => Some(name),
                _ => None,
            }));
        }
    }
    used
}

impl Classes {
    fn push(&mut self, name: &str, test: Option<Test>, level: Level, ignore: bool) {
        let id = ClassId(self.list.len() as u16);
        self.by_name.entry(name.to_owned()).or_insert(id);
        self.list.push(model::Class {
            name: name.to_owned(),
            test,
            level,
            ignore,
        });
    }

    fn add(
        &mut self,
        Placed { place, value }: &Placed<written::Class>,
        at: &At<'_>,
        report: &Report,
    ) -> Option<String> {
        let hint = "write what it is called elsewhere";
        let name = names::required(value.name.as_ref(), (*place, hint), at, report);
        let test = self.test(value, name.as_deref(), at, report);
        let level = Level {
            times: times::own(value.into(), at, report),
            options: options::overrides(&value.options, at, report),
            boot: boot::overrides(&value.boot, at, report),
        };
        let ignore = get(value.ignore.as_ref(), &at.key("ignore"), report).unwrap_or(false);
        if let (true, false, Some(scalar)) = (ignore, level.is_empty(), &value.ignore) {
            let what = "members of this class are not answered, so nothing else counts";
            let problem = Problem::new(what, "leave `ignore` or the rest away");
            report.add(scalar.place, &at.key("ignore"), problem);
        }
        let name = name?;
        self.push(&name, test, level, ignore);
        Some(name)
    }

    /// `None`: only hosts are members.
    fn test(
        &self,
        written: &written::Class,
        name: Option<&str>,
        at: &At<'_>,
        report: &Report,
    ) -> Option<Test> {
        match (&written.matches, &written.test) {
            (None, None) => ready::test(name?),
            (Some(matches), None) => matching::short(matches, &at.key("match"), report),
            (None, Some(test)) => self.expression(test, &at.key("test"), report),
            (Some(_), Some(test)) => {
                let hint = "keep one of them; a test can say all that `match` can";
                let problem = Problem::new("has both `match` and `test`", hint);
                report.add(test.place, at, problem);
                None
            }
        }
    }

    /// An expression that may ask for all classes so far.
    pub(super) fn expression(
        &self,
        test: &super::super::decode::Passage,
        at: &At<'_>,
        report: &Report,
    ) -> Option<Test> {
        let class = |name: &str| self.by_name.get(name).copied();
        matching::expression(test, &class, at, report)
    }

    /// The classes of a list. Each is reported if it does not exist or stands there twice.
    pub(super) fn ids(
        &self,
        written: &[Scalar<Name>],
        at: &At<'_>,
        report: &Report,
    ) -> Vec<ClassId> {
        let at = at.key("classes");
        let mut ids = Vec::new();
        for (index, scalar) in written.iter().enumerate() {
            let at = at.item(index);
            let Some(Name(name)) = scalar.get(&at, report) else {
                continue;
            };
            match self.by_name.get(&name) {
                Some(id) if ids.contains(id) => {
                    let problem =
                        Problem::new(format!("{name} is listed twice"), "keep one of them");
                    report.add(scalar.place, &at, problem);
                }
                Some(id) => ids.push(*id),
                None => report.add(scalar.place, &at, self.unknown(&name)),
            }
        }
        ids
    }

    /// Those of a host: whether it is known is not for itself to say.
    pub(super) fn of_host(
        &self,
        written: &[Scalar<Name>],
        at: &At<'_>,
        report: &Report,
    ) -> Vec<ClassId> {
        for (index, scalar) in written.iter().enumerate() {
            if let Some(name @ ("known" | "unknown")) = scalar.text.as_deref() {
                let what = format!("a host is not {name} by its own word");
                let hint = "leave it away: every host that is written down is known";
                let at = at.key("classes");
                report.add(scalar.place, &at.item(index), Problem::new(what, hint));
            }
        }
        self.ids(written, at, report)
    }

    fn unknown(&self, name: &str) -> Problem {
        let defined = self.by_name.keys().map(String::as_str);
        let ready = ready::all().iter().map(|class| class.name);
        let hint = "define it under `classes`";
        names::unknown("class", name, defined.chain(ready), hint)
    }
}
