//! YAML text to a tree that knows where everything stood and how it was written.
//!
//! Not read straight into the structs by serde: that would stop at the first mistake, and would
//! guess at scalars (`0x0102` would be 258, `1.10` would be 1.1). Here a scalar is its text; what
//! it means is known to who asks for it.
//!
//! An inventory has millions of nodes, so all of a file lie in one vector, and their texts in one
//! string.

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{Place, Problem};

/// Values that aliases may repeat in one file. The other values are bounded by its size.
const MAX_COPIES: usize = 1_000_000;
/// The deepest place in the reference stands at 9.
const MAX_DEPTH: usize = 32;
/// Keys in one mapping; each is compared with those before.
const MAX_KEYS: usize = 4096;

/// A file's nodes. Those of a list or mapping lie one after the other.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    texts: String,
    pub root: Node,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Node {
    pub place: Place,
    content: Content,
}

#[derive(Debug, Clone, Copy, Default)]
enum Content {
    #[default]
    Null,
    Scalar(Style, Part),
    List(Part),
    /// Keys and values by turns.
    Map(Part),
}

/// Part of the nodes or texts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub start: u32,
    pub len: u32,
}

impl Part {
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
    /// With escapes, or on more lines than one: the text is not what stands in the file.
    Folded,
}

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Nothing, `~` or `null`: as if the key were not there.
    Null,
    Scalar(Style, &'a str),
    List(&'a [Node]),
    Map(Entries<'a>),
}

/// Keys and their values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'a> {
    tree: &'a Tree,
    nodes: &'a [Node],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub place: Place,
    pub name: &'a str,
}

impl Tree {
    pub(super) fn shape(&self, node: Node) -> Shape<'_> {
        match node.content {
            Content::Null => Shape::Null,
            Content::Scalar(style, part) => Shape::Scalar(style, &self.texts[part.range()]),
            Content::List(part) => Shape::List(&self.nodes[part.range()]),
            Content::Map(part) => Shape::Map(Entries {
                tree: self,
                nodes: &self.nodes[part.range()],
            }),
        }
    }

    /// Where the items of a list lie.
    pub(super) fn list(node: Node) -> Option<Part> {
        match node.content {
            Content::List(part) => Some(part),
            _ => None,
        }
    }

    pub(super) fn items(&self, list: Part) -> &[Node] {
        &self.nodes[list.range()]
    }

    /// Every key anywhere, and its value.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Key<'_>, Node)> {
        let all = self.nodes.iter().chain([&self.root]);
        all.flat_map(|node| match self.shape(*node) {
            Shape::Map(entries) => entries,
            _ => self.no_entries(),
        })
    }

    pub(super) fn no_entries(&self) -> Entries<'_> {
        Entries {
            tree: self,
            nodes: &[],
        }
    }

    fn text(&self, node: Node) -> &str {
        match self.shape(node) {
            Shape::Scalar(_, text) => text,
            _ => "",
        }
    }

    /// How many nodes a node stands for.
    fn size(&self, node: Node) -> usize {
        let (Content::List(part) | Content::Map(part)) = node.content else {
            return 1;
        };
        let children = self.nodes[part.range()].iter();
        1 + children.map(|node| self.size(*node)).sum::<usize>()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Key<'a>, Node);

    fn next(&mut self) -> Option<Self::Item> {
        let ([key, value], rest) = self.nodes.split_first_chunk()?;
        self.nodes = rest;
        let name = self.tree.text(*key);
        let place = key.place;
        Some((Key { place, name }, *value))
    }
}

pub(super) type Failure = (Place, Problem);

/// Reads the one document of a text.
pub(super) fn read(text: &str, file: u16) -> Result<Tree, Failure> {
    let start = Place {
        file,
        line: 1,
        column: 1,
    };
    if u32::try_from(text.len()).is_err() {
        let problem = Problem::new("more than 4 GiB", "share it out to several files");
        return Err((start, problem));
    }
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        tree: Tree::default(),
        open: Vec::new(),
        anchors: HashMap::new(),
        copies: 0,
    };
    reader.tree.root.place = start;
    reader.document()?;
    Ok(reader.tree)
}

struct Reader<'a> {
    parser: Parser<'a, serde_yaml::granit_parser::StrInput<'a>>,
    file: u16,
    tree: Tree,
    /// What lists and mappings that have not ended hold so far.
    open: Vec<Node>,
    anchors: HashMap<usize, Anchor>,
    copies: usize,
}

#[derive(Clone, Copy)]
struct Anchor {
    node: Node,
    size: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), Failure> {
        let mut is_first = true;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) if !is_first => {
                    let hint = "put the second one into a file of its own and name it in `include`";
                    let problem = Problem::new("a second document starts here", hint);
                    return Err((self.place(span), problem));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    self.tree.root = self.node(event, span, 0)?;
                    is_first = false;
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(self.syntax(&error)),
                None => return Ok((Event::StreamEnd, Span::default())),
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

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Failure> {
        let place = self.place(span);
        if depth > MAX_DEPTH {
            let what = format!("more than {MAX_DEPTH} levels of nesting");
            return Err((place, Problem::new(what, "see the reference for the shape")));
        }
        let (content, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, span), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(depth)?, anchor, tag),
            _ => return Err((place, Problem::new("a value is missing", ""))),
        };
        check_tag(tag.as_deref(), place)?;
        let node = Node { place, content };
        if anchor != 0 {
            let size = self.tree.size(node);
            self.anchors.insert(anchor, Anchor { node, size });
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Content {
        if style == ScalarStyle::Plain && is_null(text) {
            return Content::Null;
        }
        let length = span.end.col().checked_sub(span.start.col());
        let is_one_line = span.start.line() == span.end.line();
        let style = match style {
            _ if !is_one_line => Style::Folded,
            ScalarStyle::Plain => Style::Plain,
            _ if length == Some(text.chars().count() + 2) => Style::Quoted,
            _ => Style::Folded,
        };
        let start = self.tree.texts.len() as u32;
        self.tree.texts.push_str(text);
        let part = Part {
            start,
            len: text.len() as u32,
        };
        Content::Scalar(style, part)
    }

    /// Repeats a node; what is below it is shared.
    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Failure> {
        let Some(Anchor { node, size }) = self.anchors.get(&anchor).copied() else {
            return Err((place, Problem::new("this alias is part of itself", "")));
        };
        self.copies += size;
        if self.copies > MAX_COPIES {
            let what = format!("aliases copy more than {MAX_COPIES} values");
            return Err((place, Problem::new(what, "write the values out")));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Content, Failure> {
        let start = self.open.len();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(self.close(start))),
                (event, span) => {
                    let node = self.node(event, span, depth + 1)?;
                    self.open.push(node);
                }
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Failure> {
        let start = self.open.len();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            self.check_key(key, start)?;
            let value = self.node(event, span, depth + 1)?;
            if self.tree.text(key) == "<<" {
                self.merge(value, &mut merged)?;
            } else {
                self.open.extend([key, value]);
            }
        }
        for pair in merged {
            if self.find(self.tree.text(pair[0]), start).is_none() {
                self.open.extend(pair);
            }
        }
        Ok(Content::Map(self.close(start)))
    }

    /// A list or mapping ends: its nodes find their place.
    fn close(&mut self, start: usize) -> Part {
        let part = Part {
            start: self.tree.nodes.len() as u32,
            len: (self.open.len() - start) as u32,
        };
        self.tree.nodes.extend(self.open.drain(start..));
        part
    }

    /// The key with this name in the mapping that began at `start`.
    fn find(&self, name: &str, start: usize) -> Option<Node> {
        let mut keys = self.open[start..].iter().step_by(2);
        keys.find(|key| self.tree.text(**key) == name).copied()
    }

    fn check_key(&self, key: Node, start: usize) -> Result<(), Failure> {
        if !matches!(key.content, Content::Scalar(..)) {
            let problem = Problem::new("a key must be a single word or number", "");
            return Err((key.place, problem));
        }
        let name = self.tree.text(key);
        if let Some(first) = self.find(name, start) {
            let what = format!("{name} is given twice, first in line {}", first.place.line);
            return Err((key.place, Problem::new(what, "keep one of them")));
        }
        if self.open.len() - start >= 2 * MAX_KEYS {
            let what = format!("more than {MAX_KEYS} keys in a mapping");
            let hint = "write a list, each item on a line that starts with -";
            return Err((key.place, Problem::new(what, hint)));
        }
        Ok(())
    }

    /// The entries that `<<: *name` or `<<: [*one, *two]` brings in.
    fn merge(&self, value: Node, merged: &mut Vec<[Node; 2]>) -> Result<(), Failure> {
        match value.content {
            Content::Map(part) => {
                let (pairs, _) = self.tree.nodes[part.range()].as_chunks();
                merged.extend(pairs);
                Ok(())
            }
            Content::List(part) => {
                let mut items = self.tree.nodes[part.range()].iter();
                items.try_for_each(|item| self.merge(*item, merged))
            }
            _ => Err((
                value.place,
                Problem::new("<< takes a mapping", "write <<: *name of an anchor &name"),
            )),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line, with the place of every scalar.
    fn show(tree: &Tree, node: Node) -> String {
        let each = |parts: Vec<String>| parts.join(", ");
        match tree.shape(node) {
            Shape::Null => "null".to_owned(),
            Shape::Scalar(_, text) => format!("{text}@{}:{}", node.place.line, node.place.column),
            Shape::List(items) => {
                let items = items.iter().map(|item| show(tree, *item));
                format!("[{}]", each(items.collect()))
            }
            Shape::Map(entries) => {
                let entry =
                    |(key, node): (Key<'_>, Node)| format!("{}: {}", key.name, show(tree, node));
                format!("{{{}}}", each(entries.map(entry).collect()))
            }
        }
    }

    fn parsed(text: &str) -> String {
        let tree = read(text, 0).unwrap();
        show(&tree, tree.root)
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
    fn it_is_known_whether_a_text_stands_in_the_file_as_it_is() {
        let tree = read("[a b, 'c', \"\\x41\", \"d\", 'it''s', \"e\n  f\"]\n", 0).unwrap();
        let Shape::List(items) = tree.shape(tree.root) else {
            panic!("a list")
        };
        let styles = items.iter().map(|item| match tree.shape(*item) {
            Shape::Scalar(style, text) => (text, style),
            _ => ("", Style::Folded),
        });
        assert_eq!(
            styles.collect::<Vec<_>>(),
            [
                ("a b", Style::Plain),
                ("c", Style::Quoted),
                ("A", Style::Folded),
                ("d", Style::Quoted),
                ("it's", Style::Folded),
                ("e f", Style::Folded),
            ]
        );
    }

    #[test]
    fn a_mapping_of_very_many_keys_is_refused() {
        let text: String = (0..5000).map(|key| format!("{key}: 1\n")).collect();
        assert!(refused(&text).contains("more than 4096 keys"));
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
