//! What the daemon answers on the control socket.

use serde::Serialize;
use serde_json::Value;

use super::shared::Shared;
use super::{explain, files, guarding, leases, reload, renew, report, transfer, why};
use crate::control::protocol::{Changes, Request, parse_mac};
use crate::netboot;

/// Answers a request; `item` passes an item on and tells whether anybody still listens.
///
/// # Errors
/// Why the request is refused, for people.
pub fn answer(
    shared: &Shared,
    request: Request,
    item: &mut dyn FnMut(Value) -> bool,
) -> Result<Value, String> {
    match request {
        Request::Status => json(&report::status(shared)),
        Request::Leases(filter) => leases::list(shared, &filter, item).map(|()| Value::Null),
        Request::Lease { key } => leases::one(shared, &key),
        Request::Export => {
            transfer::export(shared, item);
            Ok(Value::Null)
        }
        Request::Import { text, apply } => {
            let changes = transfer::import(shared, &text, apply)?;
            json(&Changes { changes })
        }
        Request::Renew { key, subnet } => {
            let changes = renew::renew(shared, key.as_deref(), subnet)?;
            json(&Changes { changes })
        }
        Request::Fastpath => json(&report::fastpath(shared)),
        Request::Boot => boot(shared),
        Request::Trace { mac } => trace(shared, mac.as_deref()),
        Request::Why { mac } => why::why(shared, &mac).map(Value::String),
        Request::Explain(question) => json(&explain::explain(shared, &question)?),
        Request::Detach => detach(shared),
        Request::GuardList => json(&guarding::list(shared)),
        Request::GuardClear { mac } => json(&guarding::clear(shared, mac.as_deref())?),
        Request::Reload => json(&Changes {
            changes: reload::reload(shared)?,
        }),
        // The socket's own matter: they have no end.
        Request::Events => Ok(Value::Null),
    }
}

fn json(value: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn boot(shared: &Shared) -> Result<Value, String> {
    let config = shared.config.load();
    let unset = "no boot files are served: to have them served, set boot.root in the configuration";
    let wanted = config.boot.as_ref().ok_or(unset)?;
    let mut report = shared.netboot.report().ok_or_else(|| refused(shared))?;
    // The root may have gone since: a file system that is not mounted any more.
    report.trouble = netboot::check(wanted).err().map(|why| why.to_string());
    json(&report)
}

/// Why boot files are not served although they should be.
fn refused(shared: &Shared) -> String {
    let why = shared.boot_refused.lock().expect("no panics while held");
    let why = why.as_deref().unwrap_or("the first try is not over");
    let pause = files::PAUSE.as_secs();
    format!("no boot files are served; this is tried again every {pause} s: {why}")
}

fn trace(shared: &Shared, mac: Option<&str>) -> Result<Value, String> {
    let parse = |text: &str| parse_mac(text).ok_or_else(|| format!("{text:?} is no MAC"));
    let mac = mac
        .map(|text| parse(text).map(|mac| (text, mac)))
        .transpose()?;
    shared
        .fastpath
        .lock()
        .expect("no panics while held")
        .trace(mac.map(|(_, mac)| mac));
    let done = match mac {
        None => "nothing is traced".to_owned(),
        Some((text, _)) => format!("the kernel's packets of {text} go to the daemon's log"),
    };
    json(&Changes {
        changes: vec![done],
    })
}

fn detach(shared: &Shared) -> Result<Value, String> {
    let mut fastpath = shared.fastpath.lock().expect("no panics while held");
    if !fastpath.is_kernel() {
        return json(&Changes::default());
    }
    fastpath.detach().map_err(|error| error.to_string())?;
    drop(fastpath);
    reload::tell_workers(shared);
    let done = "the kernel answers nothing any more; the daemon does, until it is started again";
    json(&Changes {
        changes: vec![done.to_owned()],
    })
}
