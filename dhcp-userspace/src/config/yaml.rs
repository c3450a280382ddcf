//! YAML text to a tree that remembers where everything stood and how it was written.
//!
//! Not read straight into the structs by serde: that would stop at the first mistake, and would
//! guess at scalars (`0x0102` would be 258, `1.10` would be 1.1). Here a scalar is its text; what
//! it means is known to who asks for it.

use std::collections::HashMap;

use serde_yaml::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{Place, Problem};

/// Values that aliases may copy in one file. The other values are bounded by its size.
const MAX_COPIES: usize = 1_000_000;
/// The deepest place in the reference stands at 7.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Nothing, `~` or `null`: as if the key were not there.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub place: Place,
    pub name: String,
}

pub(super) type Failure = (Place, Problem);

/// Reads the one document of a text.
pub(super) fn read(text: &str, file: u16) -> Result<Node, Failure> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        anchors: HashMap::new(),
        copies: 0,
    };
    reader.document()
}

struct Reader<'a> {
    parser: Parser<'a, serde_yaml::granit_parser::StrInput<'a>>,
    file: u16,
    anchors: HashMap<usize, Node>,
    copies: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Failure> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let hint = "put the second one into a file of its own and name it in `include`";
                    return Err((place, Problem::new("a second document starts here", hint)));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, place, 0)?),
            }
        }
        let place = Place {
            file: self.file,
            line: 1,
            column: 1,
        };
        Ok(root.unwrap_or(Node {
            place,
            content: Content::Null,
        }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), Failure> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok((event, self.place(span))),
                Some(Err(error)) => return Err(self.syntax(&error)),
                None => return Ok((Event::StreamEnd, Place::default())),
            }
        }
    }

    fn place(&self, span: Span) -> Place {
        Place {
            file: self.file,
            line: span.start.line() as u32,
            column: span.start.col() as u32 + 1,
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Failure> {
        if depth > MAX_DEPTH {
            let what = format!("more than {MAX_DEPTH} levels of nesting");
            return Err((place, Problem::new(what, "see the reference for the shape")));
        }
        let (content, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                let null = style == ScalarStyle::Plain && is_null(&text);
                let scalar = Content::Scalar(text.into_owned());
                (if null { Content::Null } else { scalar }, anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(depth)?, anchor, tag),
            _ => return Err((place, Problem::new("a value is missing", ""))),
        };
        check_tag(tag.as_deref(), place)?;
        let node = Node { place, content };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Failure> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err((place, Problem::new("this alias is part of itself", "")));
        };
        self.copies += size(node);
        if self.copies > MAX_COPIES {
            let what = format!("aliases copy more than {MAX_COPIES} values");
            return Err((place, Problem::new(what, "write the values out")));
        }
        Ok(node.clone())
    }

    fn list(&mut self, depth: usize) -> Result<Content, Failure> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Failure> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = key_of(self.node(event, place, depth + 1)?)?;
            let (event, place) = self.next()?;
            let value = self.node(event, place, depth + 1)?;
            if key.name == "<<" {
                merged.extend(merge(value)?);
            } else {
                no_duplicate(&key, &entries)?;
                entries.push((key, value));
            }
        }
        for (key, value) in merged {
            if entries.iter().all(|(own, _)| own.name != key.name) {
                entries.push((key, value));
            }
        }
        Ok(Content::Map(entries))
    }

    fn syntax(&self, error: &ScanError) -> Failure {
        let mark = error.marker();
        let place = Place {
            file: self.file,
            line: mark.line() as u32,
            column: mark.col() as u32 + 1,
        };
        let hint = match error.kind() {
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => "indent with spaces",
            ErrorKind::UnknownAnchor => "define it before, with &name",
            ErrorKind::UnexpectedEofFlowSequence | ErrorKind::ExpectedFlowSequenceSeparator => {
                "close the list with ]"
            }
            ErrorKind::UnexpectedEofFlowMapping | ErrorKind::ExpectedFlowMappingSeparator => {
                "close the mapping with }"
            }
            _ => "look at the indentation and at quotes and brackets before this place",
        };
        let what = format!("not valid YAML: {}", error.info());
        (place, Problem::new(what, hint))
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn check_tag(tag: Option<&Tag>, place: Place) -> Result<(), Failure> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() && !tag.original().is_empty() => {
            let what = format!("the tag {} has no meaning here", tag.original());
            let hint = "leave it away; other files are named under `include`";
            Err((place, Problem::new(what, hint)))
        }
        _ => Ok(()),
    }
}

fn key_of(node: Node) -> Result<Key, Failure> {
    match node.content {
        Content::Scalar(name) => Ok(Key {
            place: node.place,
            name,
        }),
        _ => Err((
            node.place,
            Problem::new("a key must be a single word or number", ""),
        )),
    }
}

fn no_duplicate(key: &Key, entries: &[(Key, Node)]) -> Result<(), Failure> {
    let Some((first, _)) = entries.iter().find(|(known, _)| known.name == key.name) else {
        return Ok(());
    };
    let what = format!(
        "{} is given twice, first in line {}",
        key.name, first.place.line
    );
    Err((key.place, Problem::new(what, "keep one of them")))
}

/// The entries that `<<: *name` or `<<: [*one, *two]` brings in.
fn merge(value: Node) -> Result<Vec<(Key, Node)>, Failure> {
    match value.content {
        Content::Map(entries) => Ok(entries),
        Content::List(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(merge(item)?);
            }
            Ok(all)
        }
        _ => Err((
            value.place,
            Problem::new("<< takes a mapping", "write <<: *name of an anchor &name"),
        )),
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Null | Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line, with the place of every scalar.
    fn show(node: &Node) -> String {
        let each = |parts: Vec<String>| parts.join(", ");
        match &node.content {
            Content::Null => "null".to_owned(),
            Content::Scalar(text) => format!("{text}@{}:{}", node.place.line, node.place.column),
            Content::List(items) => format!("[{}]", each(items.iter().map(show).collect())),
            Content::Map(entries) => {
                let entry = |(key, node): &(Key, Node)| format!("{}: {}", key.name, show(node));
                format!("{{{}}}", each(entries.iter().map(entry).collect()))
            }
        }
    }

    fn parsed(text: &str) -> String {
        show(&read(text, 0).unwrap())
    }

    fn refused(text: &str) -> String {
        let (place, problem) = read(text, 0).unwrap_err();
        format!("{}:{}: {}", place.line, place.column, problem.what)
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let text = "a: 0x0102\nb: [no, 1.10, '~', ~]\nc: 52:54:00:00:00:01 # comment\n";
        assert_eq!(
            parsed(text),
            "{a: 0x0102@1:4, b: [no@2:5, 1.10@2:9, ~@2:15, null], c: 52:54:00:00:00:01@3:4}"
        );
        assert_eq!(parsed(""), "null");
    }

    #[test]
    fn aliases_and_merge_keys_point_to_where_the_value_stands() {
        let text = "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\nc: [*x]\n";
        assert_eq!(
            parsed(text),
            "{a: {k: 1@1:11, l: 2@1:17}, b: {k: 3@2:16, l: 2@1:17}, c: [{k: 1@1:11, l: 2@1:17}]}"
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_place() {
        assert_eq!(
            refused("a: 1\nb: 2\na: 3\n"),
            "3:1: a is given twice, first in line 1"
        );
        assert_eq!(
            refused("a: 1\n---\nb: 2\n"),
            "2:1: a second document starts here"
        );
        assert_eq!(refused("a: !x 1\n"), "1:7: the tag !x has no meaning here");
        assert_eq!(refused("a: &x [*x]\n"), "1:8: this alias is part of itself");
        assert!(refused("a: [1, 2\nb: 3\n").starts_with("2:2: not valid YAML"));
        let deep = "[".repeat(50) + &"]".repeat(50);
        assert!(refused(&deep).starts_with("1:34: more than 32 levels of nesting"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{uses}]\n");
        }
        assert!(refused(&text).contains("aliases copy more than 1000000 values"));
    }
}
