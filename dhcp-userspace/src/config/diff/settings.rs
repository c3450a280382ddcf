//! What levels say of times, options and booting.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::duration::show;
use super::super::model::{Boot, Config, Level, Menu, OptionValue, Subnet, Times};
use super::{Lines, changed, keys, list, or};
use crate::packet::registry::{Definitions, TOP};

/// Values by the order in which they are told, and their names.
pub(super) type Settings = BTreeMap<(u16, String), String>;

/// An option that is not sent, a file that is not given.
const TAKEN_AWAY: &str = "taken away";

/// What is not said of times is called by what it follows from, so that it is no change beside that.
const OWN: &str = "lease_time";
const HALF: &str = "half of lease_time";
const SEVEN_EIGHTHS: &str = "7/8 of lease_time";

/// All that holds in a subnet.
pub(super) fn of_subnet(subnet: &Subnet, options: Names<'_>) -> Settings {
    let Boot {
        next_server,
        server_name,
        file,
        menu,
    } = &subnet.boot;
    let mut all = Collector::of(options);
    all.times(&subnet.times);
    let lease = subnet.times.lease;
    let (shortest, longest) = subnet.lease_bounds;
    let bound = |bound| unless(lease, OWN, bound);
    all.set(3, "min_lease_time", bound(shortest));
    all.set(4, "max_lease_time", bound(longest));
    for (code, value) in subnet.options.iter() {
        all.option(*code, Some(value));
    }
    all.set(300, "boot.next-server", or(next_server.as_ref(), ""));
    all.set(301, "boot.server-name", server_name.clone());
    all.set(302, "boot.file", file.clone());
    all.set(
        303,
        "boot.menu",
        menu.as_deref().map_or_else(String::new, shown),
    );
    all.settings
}

/// What a level says by itself.
pub(super) fn of_level(level: &Level, options: Names<'_>) -> Settings {
    let mut all = Collector::of(options);
    if let Some(times) = &level.times {
        all.times(times);
    }
    for (code, value) in &level.options {
        all.option(*code, value.as_ref());
    }
    let boot = &level.boot;
    let text = |text: &String| match text.is_empty() {
        true => TAKEN_AWAY.to_owned(),
        false => text.clone(),
    };
    let next = boot.next_server.map(|next| or(next.as_ref(), TAKEN_AWAY));
    let menu = boot.menu.as_ref();
    let menu = menu.map(|menu| menu.as_deref().map_or_else(|| TAKEN_AWAY.to_owned(), shown));
    for (rank, name, value) in [
        (300, "boot.next-server", next),
        (301, "boot.server-name", boot.server_name.as_ref().map(text)),
        (302, "boot.file", boot.file.as_ref().map(text)),
        (303, "boot.menu", menu),
    ] {
        if let Some(value) = value {
            all.set(rank, name, value);
        }
    }
    all.settings
}

/// What the options of two configurations are called, so that the same bytes read the same in both.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    old: &'a Definitions,
    new: &'a Definitions,
}

impl<'a> Names<'a> {
    pub(super) const fn of(old: &'a Config, new: &'a Config) -> Self {
        Self {
            old: &old.definitions,
            new: &new.definitions,
        }
    }

    /// The definitions that know an option, the new ones first.
    fn knowing(self, code: u8) -> &'a Definitions {
        match self.new.by_code(TOP, code) {
            Some(_) => self.new,
            None => self.old,
        }
    }
}

struct Collector<'a> {
    settings: Settings,
    options: Names<'a>,
}

impl<'a> Collector<'a> {
    const fn of(options: Names<'a>) -> Self {
        Self {
            settings: Settings::new(),
            options,
        }
    }

    fn set(&mut self, rank: u16, name: &str, value: String) {
        self.settings.insert((rank, name.to_owned()), value);
    }

    fn times(&mut self, times: &Times) {
        let usual = Times::of(times.lease);
        let renew = unless(usual.renew, HALF, times.renew);
        let rebind = unless(usual.rebind, SEVEN_EIGHTHS, times.rebind);
        self.set(0, "lease_time", show(times.lease));
        self.set(1, "renew_time", renew);
        self.set(2, "rebind_time", rebind);
    }

    fn option(&mut self, code: u8, value: Option<&OptionValue>) {
        let known = self.options.knowing(code);
        let name = format!("option {}", known.name(code));
        let shown = value.map_or_else(
            || TAKEN_AWAY.to_owned(),
            |value| shown_option(known, code, value),
        );
        self.set(5 + u16::from(code), &name, shown);
    }
}

fn unless(usual: Duration, name: &str, value: Duration) -> String {
    if value == usual {
        return name.to_owned();
    }
    show(value)
}

fn shown_option(known: &Definitions, code: u8, value: &OptionValue) -> String {
    let always = if value.always_send {
        " (always sent)"
    } else {
        ""
    };
    format!("{}{always}", known.show(code, &value.data))
}

fn shown(menu: &Menu) -> String {
    let items = menu.items.iter().map(|item| match item.file.as_str() {
        "" => item.text.clone(),
        file => format!("{} ({file})", item.text),
    });
    let timeout = menu.timeout.map_or_else(|| "no timeout".to_owned(), show);
    format!("{:?}, {timeout}: {}", menu.prompt, list(items))
}

/// The changes, each in a line. What is not there is `absent`.
pub(super) fn changes(old: &Settings, new: &Settings, absent: &str) -> Vec<String> {
    let value = |settings: &Settings, key| {
        let value = settings.get(key).cloned();
        value.unwrap_or_else(|| absent.to_owned())
    };
    let changes = keys(old, new).into_iter();
    changes
        .filter(|key| is_said(old.get(*key), new.get(*key)))
        .filter_map(|key| changed(&key.1, &value(old, key), &value(new, key)))
        .collect()
}

/// Not where a lease time came or went, and with it what follows from it.
fn is_said(old: Option<&String>, new: Option<&String>) -> bool {
    match (old, new) {
        (Some(only), None) | (None, Some(only)) => ![HALF, SEVEN_EIGHTHS].contains(&only.as_str()),
        _ => true,
    }
}

pub(super) fn told(old: &Settings, new: &Settings, absent: &str, lines: &mut Lines) {
    for line in changes(old, new, absent) {
        lines.push(&line);
    }
}
