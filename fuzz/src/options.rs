//! Values of options: bytes to text and back, and text to bytes and back, of every kind there is.

use dhcp_userspace::packet::registry::{
    self, Definitions, Field, Kind, Repeat, TOP, TYPES, encode, identifier, items, show,
    show_identifier, spaces, suboptions,
};
use dhcp_userspace::packet::{Options, put, suboption};

use crate::input::halves;

pub fn run(data: &[u8]) {
    let [code, how, value @ ..] = data else {
        return;
    };
    let definitions = Definitions::default();
    let _ = definitions.show(*code, value);
    for kind in kinds(*code, *how) {
        from_bytes(&kind, value);
        from_text(&kind, value);
    }
    identifiers(value);
    pieces(*code, value);
}

/// The option's own, a sub-option's, and one made of any two types.
fn kinds(code: u8, how: u8) -> Vec<Kind> {
    let definitions = Definitions::default();
    let spaces = spaces().iter().map(|space| space.name).chain([TOP]);
    let known = spaces.filter_map(|space| definitions.by_code(space, code));
    let mut kinds: Vec<Kind> = known.map(|known| known.kind.clone()).collect();
    let field = |number: u8| TYPES[usize::from(number) % TYPES.len()];
    kinds.extend(made(vec![field(code)], how));
    kinds.extend(made(vec![field(code), field(how)], how));
    kinds
}

/// As a configuration may define it.
fn made(fields: Vec<Field>, how: u8) -> Option<Kind> {
    let repeat = match how % 3 {
        0 => Repeat::Never,
        1 => Repeat::Last,
        _ => Repeat::All,
    };
    let kind = Kind {
        fields: fields.into(),
        repeat,
    };
    kind.is_sound().then_some(kind)
}

/// What is shown is written as these bytes again.
fn from_bytes(kind: &Kind, data: &[u8]) {
    let _ = show(kind, data);
    if let Some(shown) = items(kind, data) {
        let texts: Vec<&str> = shown.iter().map(String::as_str).collect();
        let again = encode(kind, &texts);
        assert_eq!(again.as_deref(), Ok(data), "{kind:?}: {texts:?}");
    }
}

/// What is written is shown as a text that means the same, or in hexadecimal if it could do harm to
/// a terminal.
fn from_text(kind: &Kind, text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let written: Vec<&str> = text.split('\n').collect();
    let Ok(bytes) = encode(kind, &written) else {
        return;
    };
    let Some(shown) = items(kind, &bytes) else {
        let odd = text.contains(|c: char| c.is_control() && c != '\n');
        assert!(odd, "{kind:?}: {written:?} is {bytes:?}");
        return;
    };
    let texts: Vec<&str> = shown.iter().map(String::as_str).collect();
    assert_eq!(encode(kind, &texts), Ok(bytes), "{kind:?}: {written:?}");
}

fn identifiers(data: &[u8]) {
    let shown = show_identifier(data);
    if !data.is_empty() {
        assert_eq!(identifier(&shown).as_deref(), Some(data), "{shown:?}");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = registry::by_name(text);
        let _ = identifier(text);
    }
}

/// Options and sub-options as they stand on the wire.
fn pieces(code: u8, data: &[u8]) {
    let walked: usize = Options::new(data).flatten().map(|field| field.size()).sum();
    assert!(walked <= data.len());
    let (first, second) = halves(data);
    for ends in [false, true] {
        if let Some(all) = suboptions(data, ends) {
            let found = all.iter().find(|(other, _)| *other == code);
            assert!(ends || suboption(data, code) == found.map(|(_, value)| *value));
        }
    }
    if !matches!(code, 0 | 255) {
        let mut wire = Vec::new();
        put(&mut wire, code, first);
        put(&mut wire, code, second);
        let fields = Options::new(&wire).map(|field| field.expect("it was written whole"));
        let joined: Vec<u8> = fields.flat_map(|field| field.value).copied().collect();
        assert_eq!(joined, [first, second].concat());
    }
}
