//! A new configuration, or other interfaces.

use std::sync::Arc;

use sd_notify::NotifyState;

use super::shared::Shared;
use super::supervise::tell;
use crate::clock::Now;
use crate::config::{self, Config};
use crate::control::render;
use crate::fastpath::PortMode;
use crate::net::{Nic, interface, select};

/// Reads the configuration again and goes over to it if it is right; tells what has changed.
///
/// # Errors
/// What is wrong with it, for people; the old one goes on then.
pub fn reload(shared: &Shared) -> Result<Vec<String>, String> {
    let _alone = shared.reloading.lock().expect("no panics while held");
    tell_reloading();
    let result = exchange(shared);
    tell(&[NotifyState::Ready]);
    match &result {
        Ok(changes) => {
            tracing::info!(changes = changes.len(), "configuration reloaded");
            for change in changes {
                tracing::info!("changed: {change}");
            }
        }
        Err(errors) => {
            tracing::error!("{}", refusal(errors));
        }
    }
    result
}

/// One line whatever was wrong: for journald each line is a message, and only the first would be an error.
fn refusal(errors: &str) -> String {
    let all: Vec<&str> = errors.lines().map(str::trim).collect();
    let (count, all) = (render::count(all.len(), "mistake"), all.join(" | "));
    format!("the new configuration has {count}, the old one goes on: {all}")
}

fn tell_reloading() {
    // systemd wants both in one message.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

fn exchange(shared: &Shared) -> Result<Vec<String>, String> {
    let new = config::load(&shared.path).map_err(|errors| errors.to_string())?;
    let nics = interface::list().map_err(|error| error.to_string())?;
    select::served(&new, &nics).map_err(|error| error.to_string())?;
    let (old, new) = (shared.config.load_full(), Arc::new(new));
    let mut changes = config::diff(&old, &new);
    changes.extend(needs_restart(&shared.started_with, &new));
    let now = Now::read();
    let netboot = &shared.netboot;
    netboot
        .apply(new.boot.as_ref())
        .map_err(|error| error.to_string())?;
    shared
        .core
        .engine
        .reload(Arc::clone(&new), now)
        .map_err(|full| {
            if let Err(error) = netboot.apply(old.boot.as_ref()) {
                tracing::error!("{error}");
            }
            format!("{full}; restart xdhcpd to get a larger one, or set fast_path.capacity")
        })?;
    shared.core.guard.reload(&new.guard, &shared.core.engine);
    shared.config.store(Arc::clone(&new));
    shared
        .fastpath
        .lock()
        .expect("no panics while held")
        .set_vlans(&new);
    look(shared, true);
    shared.reloaded.notify_one();
    Ok(changes)
}

/// Settings that are read at start only.
fn needs_restart(old: &Config, new: &Config) -> Option<String> {
    let (old_server, new_server) = (&old.server, &new.server);
    let (old_path, new_path) = (&old.fast_path, &new.fast_path);
    let rows = [
        ("server.workers", old_server.workers != new_server.workers),
        ("server.user", old_server.user != new_server.user),
        (
            "server.state_dir",
            old_server.state_dir != new_server.state_dir,
        ),
        (
            "server.control_socket",
            old_server.control_socket != new_server.control_socket,
        ),
        ("server.metrics", old_server.metrics != new_server.metrics),
        (
            "leasequery.bulk",
            old.leasequery.bulk != new.leasequery.bulk,
        ),
        ("fast_path.mode", old_path.mode != new_path.mode),
        ("fast_path.pin_dir", old_path.pin_dir != new_path.pin_dir),
        ("fast_path.capacity", old_path.capacity != new_path.capacity),
        (
            "fast_path.boot_memos",
            old_path.boot_memos != new_path.boot_memos,
        ),
    ];
    let changed = rows.iter().filter(|(_, changed)| *changed);
    let names: Vec<_> = changed.map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| format!("after a restart only: {}", names.join(", ")))
}

/// Looks at the machine's interfaces, and tells everybody concerned what has changed.
pub fn refresh(shared: &Shared) {
    look(shared, false);
}

/// `anew`: the same interfaces may have to be served otherwise.
fn look(shared: &Shared, anew: bool) {
    let mut ports = shared.ports.lock().expect("no panics while held");
    match ports.refresh(&shared.config.load()) {
        Ok(changed) if !(changed || anew) => {}
        Ok(_) => {
            let of =
                |nics: &[Nic]| -> Vec<_> { nics.iter().map(|nic| nic.interface.clone()).collect() };
            let served = ports.served();
            let names = served
                .iter()
                .map(|nic| (nic.index(), nic.name().to_owned()));
            shared.core.names.store(Arc::new(names.collect()));
            shared
                .core
                .engine
                .set_interfaces(of(ports.all()), Now::read());
            shared.core.guard.learn(&shared.core.engine);
            let mut fastpath = shared.fastpath.lock().expect("no panics while held");
            fastpath.set_interfaces(&of(&served));
        }
        Err(error) => tracing::warn!("{error}"),
    }
    drop(ports);
    tell_workers(shared);
}

/// Tells the workers on which interfaces the kernel does not run the fast path.
pub fn tell_workers(shared: &Shared) {
    let report = shared
        .fastpath
        .lock()
        .expect("no panics while held")
        .report();
    let here = report
        .iter()
        .filter(|port| port.mode == PortMode::Userspace);
    let here: Vec<_> = here.map(|port| port.ifindex).collect();
    shared
        .ports
        .lock()
        .expect("no panics while held")
        .run_fast_path_on(here);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::FileService;
    use crate::net::tests::config;
    use ipnet::Ipv4Net;

    #[test]
    fn a_refusal_is_one_line() {
        let errors = "a.yaml:3:1: pool: unknown key; did you mean pools?\na.yaml:7:2: no address";
        let want = "the new configuration has 2 mistakes, the old one goes on: a.yaml:3:1: pool: unknown key; \
                    did you mean pools? | a.yaml:7:2: no address";
        assert_eq!(refusal(errors), want);
    }

    #[test]
    fn settings_that_wait_for_a_restart_are_named() {
        let old = config("10.0.0.0/24");
        let mut new = old.clone();
        new.subnets[0].policy.authoritative = false;
        new.server.max_offers = 7;
        new.server.serve_local = false;
        new.guard.enabled = false;
        new.leasequery.allowed = vec![Ipv4Net::default()];
        new.fast_path.reserve = 3.0;
        new.boot = Some(FileService {
            root: "/srv/boot".into(),
            tftp: None,
            http: None,
            max_transfers: 7,
        });
        assert_eq!(needs_restart(&old, &new), None);
        new.server.workers = Some(7);
        new.leasequery.bulk = true;
        new.fast_path.capacity = Some(1000);
        let want = "after a restart only: server.workers, leasequery.bulk, fast_path.capacity";
        assert_eq!(needs_restart(&old, &new).as_deref(), Some(want));
    }
}
