//! Where to boot from.

use std::sync::Arc;
use std::time::Duration;

use super::super::decode::Placed;
use super::super::error::{At, Problem, Report};
use super::super::model::{BootOverrides, Menu, MenuItem};
use super::super::scalar::get;
use super::super::written;
use super::server::between;

/// 255 would be "wait" to the firmware.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(254);
/// What an option holds that firmware reads in one piece.
const ROOM: usize = 255;

/// What a level says by itself.
pub(super) fn overrides(written: &written::Boot, at: &At<'_>, report: &Report) -> BootOverrides {
    let boot = at.key("boot");
    let at = |key| boot.key(key);
    let next = get(written.next_server.as_ref(), &at("next-server"), report);
    let name = get(written.server_name.as_ref(), &at("server-name"), report);
    let file = get(written.file.as_ref(), &at("file"), report);
    let written = written.menu.as_ref();
    BootOverrides {
        next_server: next.map(|next| next.0),
        server_name: name.map(|name| name.0),
        file: file.map(|file| file.0),
        menu: written.and_then(|written| menu(written, &at("menu"), report)),
    }
}

/// `Some(None)`: an inherited menu is taken away.
fn menu(
    Placed { place, value }: &Placed<written::Menu>,
    at: &At<'_>,
    report: &Report,
) -> Option<Option<Arc<Menu>>> {
    let prompt = get(value.prompt.as_ref(), &at.key("prompt"), report);
    let range = (&at.key("timeout"), [Duration::ZERO, LONGEST_TIMEOUT]);
    let timeout = between(value.timeout.as_ref(), range, report);
    let Some(written) = &value.items else {
        let hint = "add `items`; an empty list takes an inherited menu away";
        report.add_missing(*place, at, Problem::new("a menu without items", hint));
        return None;
    };
    if written.is_empty() {
        return Some(None);
    }
    let list = at.key("items");
    let items = written.iter().enumerate();
    let items = items.filter_map(|(index, item)| self::item(item, &list.item(index), report));
    let menu = Menu {
        prompt: prompt.map_or_else(String::new, |prompt| prompt.0),
        timeout,
        items: items.collect(),
    };
    let size = size(&menu);
    if size > ROOM {
        let what = format!("the menu takes {size} bytes, but option 43 has room for {ROOM}");
        report.add(
            *place,
            at,
            Problem::new(what, "use shorter texts or fewer items"),
        );
    }
    Some(Some(Arc::new(menu)))
}

fn item(
    Placed { place, value }: &Placed<written::MenuItem>,
    at: &At<'_>,
    report: &Report,
) -> Option<MenuItem> {
    let text = get(value.text.as_ref(), &at.key("text"), report);
    let file = get(value.file.as_ref(), &at.key("file"), report);
    let server = get(value.server.as_ref(), &at.key("server"), report);
    if text.as_ref().is_none_or(|text| text.0.is_empty()) {
        let hint = "add `text`: the line that people choose";
        report.add_missing(*place, at, Problem::new("an item without a text", hint));
    }
    Some(MenuItem {
        text: text?.0,
        file: file.map_or_else(String::new, |file| file.0),
        server,
    })
}

/// Bytes of option 43 (PXE 2.1, section 2.4.1): discovery control, boot servers, menu, prompt, end.
fn size(menu: &Menu) -> usize {
    let texts: usize = menu.items.iter().map(|item| 3 + item.text.len()).sum();
    let remote = menu.items.iter().filter(|item| !item.file.is_empty());
    let control = 3;
    let servers = 2 + 7 * remote.count();
    control + servers + 2 + texts + 3 + menu.prompt.len() + 1
}
