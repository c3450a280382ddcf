//! Classes, and the pools that they may be for.

use std::collections::BTreeMap;

use super::super::model::{Class, Config, Pool, Subnet};
use super::super::range::Range;
use super::settings::{Names, of_level, told};
use super::{Lines, keys, list};
use crate::class::ClassId;

/// The word for what a level does not say.
pub(super) const INHERITED: &str = "inherited";

pub(super) fn names(config: &Config, ids: &[ClassId]) -> String {
    let name = |id: &ClassId| {
        config
            .classes
            .get(usize::from(id.0))
            .map(|class| &class.name)
    };
    list(ids.iter().filter_map(name))
}

pub(super) fn classes(old: &Config, new: &Config, lines: &mut Lines) {
    let find = |config: &'_ Config, name: &str| {
        let mut all = config.classes.iter();
        all.position(|class| class.name == name)
    };
    for class in &old.classes {
        if find(new, &class.name).is_none() {
            lines.push(&format!("class {} removed", class.name));
        }
    }
    let options = Names::of(old, new);
    for class in &new.classes {
        match find(old, &class.name) {
            Some(index) => self::class((&old.classes[index], class), options, lines),
            None => lines.push(&format!("class {} added", class.name)),
        }
    }
    let order = |config: &Config, other: &Config| {
        let both = config.classes.iter().map(|class| class.name.clone());
        list(both.filter(|name| find(other, name).is_some()))
    };
    lines.change("order of classes", &order(old, new), &order(new, old));
}

fn class((old, new): (&Class, &Class), options: Names<'_>, lines: &mut Lines) {
    lines.scope = format!("class {}: ", new.name);
    match (&old.test, &new.test) {
        (old, new) if old == new => {}
        (_, None) => lines.push("test removed: only hosts are members"),
        (None, _) => lines.push("test added"),
        _ => lines.push("test changed"),
    }
    lines.change("ignore", &old.ignore.to_string(), &new.ignore.to_string());
    told(
        &of_level(&old.level, options),
        &of_level(&new.level, options),
        INHERITED,
        lines,
    );
    lines.scope = String::new();
}

pub(super) fn range(pool: &Pool) -> String {
    let Pool { first, last, .. } = *pool;
    Range { first, last }.to_string()
}

pub(super) fn pools(
    (old_config, old): (&Config, &Subnet),
    (new_config, new): (&Config, &Subnet),
    lines: &mut Lines,
) {
    let by_range = |subnet: &'_ Subnet| -> BTreeMap<Range, usize> {
        let all = subnet.pools.iter().zip(0..);
        let place = |pool: &Pool| Range {
            first: pool.first,
            last: pool.last,
        };
        all.map(|(pool, index)| (place(pool), index)).collect()
    };
    let (before, after) = (by_range(old), by_range(new));
    let options = Names::of(old_config, new_config);
    let scope = lines.scope.clone();
    for range in keys(&before, &after) {
        match (before.get(range), after.get(range)) {
            (Some(before), Some(after)) => {
                let (before, after) = (&old.pools[*before], &new.pools[*after]);
                lines.scope = format!("{scope}pool {range}: ");
                let (was, is) = (
                    names(old_config, &before.classes),
                    names(new_config, &after.classes),
                );
                lines.change("classes", &was, &is);
                told(
                    &of_level(&before.level, options),
                    &of_level(&after.level, options),
                    INHERITED,
                    lines,
                );
                lines.scope.clone_from(&scope);
            }
            (Some(_), None) => lines.push(&format!("pool {range} removed")),
            _ => lines.push(&format!("pool {range} added")),
        }
    }
}
