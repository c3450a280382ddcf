//! Host groups, which inherit from each other.

use std::collections::HashMap;

use super::super::decode::Placed;
use super::super::error::{At, Place, Problem, Report};
use super::super::model::{BootOverrides, Level, Metadata, SharedLevel};
use super::super::scalar::{Name, Scalar};
use super::super::written;
use super::classes::Classes;
use super::{Source, boot, names, options, times};
use crate::class::ClassId;

/// What hosts of a group inherit.
#[derive(Clone, Default)]
pub(super) struct Group {
    pub level: SharedLevel,
    pub classes: Vec<ClassId>,
    pub metadata: Metadata,
}

impl Group {
    /// A group or host on top of what it inherits.
    pub(super) fn with(&self, own: Self) -> Self {
        let mut classes = self.classes.clone();
        classes.extend(own.classes.iter().filter(|id| !self.classes.contains(id)));
        Self {
            level: self.with_level(own.level),
            classes,
            metadata: self.metadata.overridden(&own.metadata),
        }
    }

    fn with_level(&self, own: SharedLevel) -> SharedLevel {
        if own.is_empty() {
            return self.level.clone();
        }
        if self.level.is_empty() {
            return own;
        }
        let mut options = self.level.options.clone();
        options.extend(own.options.clone());
        let level = Level {
            times: own.times.or(self.level.times),
            options,
            boot: over(&self.level.boot, &own.boot),
        };
        level.into()
    }
}

/// What two levels say together.
fn over(outer: &BootOverrides, inner: &BootOverrides) -> BootOverrides {
    let or = |own: &Option<String>, other: &Option<String>| own.clone().or_else(|| other.clone());
    BootOverrides {
        next_server: inner.next_server.or(outer.next_server),
        server_name: or(&inner.server_name, &outer.server_name),
        file: or(&inner.file, &outer.file),
        menu: inner.menu.clone().or_else(|| outer.menu.clone()),
    }
}

#[derive(Default)]
pub(super) struct Groups(HashMap<String, Group>);

/// A group before it has inherited.
struct Draft<'a> {
    own: Group,
    place: Place,
    /// The name of its parent, and where in the document the group is.
    parent: Option<&'a Scalar<Name>>,
    path: String,
}

pub(super) fn resolve(sources: &[Source<'_>], classes: &Classes, report: &Report) -> Groups {
    let root = At::Root.key("host_groups");
    let mut drafts: HashMap<String, Draft<'_>> = HashMap::new();
    for source in sources {
        for (index, group) in source.groups.iter().enumerate() {
            let at = root.item(index);
            let hint = "write what reservations call it";
            let named = group.value.name.as_ref();
            let name = names::required(named, (group.place, hint), &at, report);
            let draft = draft(group, classes, &at, report);
            let Some(name) = name else {
                continue;
            };
            if let Some(first) = drafts.get(&name) {
                let problem = names::twice("host group", &name, first.place, report);
                report.add(group.place, &at, problem);
            }
            drafts.entry(name).or_insert(draft);
        }
    }
    let inherited = |name: &String| (name.clone(), inherit(name, &drafts, report));
    Groups(drafts.keys().map(inherited).collect())
}

fn draft<'a>(
    Placed { place, value }: &'a Placed<written::HostGroup>,
    classes: &Classes,
    at: &At<'_>,
    report: &Report,
) -> Draft<'a> {
    let level = Level {
        times: times::own(value.into(), at, report),
        options: options::overrides(&value.options, at, report),
        boot: boot::overrides(&value.boot, at, report),
    };
    Draft {
        own: Group {
            level: level.into(),
            classes: classes.of_host(&value.classes, at, report),
            metadata: (&value.metadata).into(),
        },
        place: *place,
        parent: value.group.as_ref(),
        path: at.to_string(),
    }
}

/// A group with all that it inherits.
fn inherit(name: &str, drafts: &HashMap<String, Draft<'_>>, report: &Report) -> Group {
    let mut chain: Vec<&Draft<'_>> = Vec::new();
    let mut next = drafts.get(name);
    while let Some(draft) = next {
        chain.push(draft);
        let at = At::Root.key(&draft.path);
        let at = at.key("group");
        let Some((parent, place)) = draft.parent.and_then(|scalar| {
            let Name(name) = scalar.get(&at, report)?;
            Some((name, scalar.place))
        }) else {
            break;
        };
        next = drafts.get(&parent);
        let problem = match next {
            None => unknown(&parent, drafts.keys()),
            Some(known) if chain.iter().any(|seen| seen.place == known.place) => {
                let what = format!("{parent} inherits from this group");
                Problem::new(what, "let one of them stand for itself")
            }
            Some(_) => continue,
        };
        report.add(place, &at, problem);
        break;
    }
    let chain = chain.into_iter().rev();
    chain.fold(Group::default(), |group, draft| {
        group.with(draft.own.clone())
    })
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String> + Clone) -> Problem {
    let known = known.map(String::as_str);
    names::unknown("host group", name, known, "define it under `host_groups`")
}

impl Groups {
    /// The group that a host names.
    pub(super) fn find(
        &self,
        written: &Scalar<Name>,
        at: &At<'_>,
        report: &Report,
    ) -> Option<&Group> {
        let Name(name) = written.get(at, report)?;
        let found = self.0.get(&name);
        if found.is_none() {
            report.add(written.place, at, unknown(&name, self.0.keys()));
        }
        found
    }

    /// The group that is written so.
    pub(super) fn of(&self, written: &written::HostGroup) -> Option<&Group> {
        self.0.get(written.name.as_ref()?.text.as_deref()?)
    }
}
