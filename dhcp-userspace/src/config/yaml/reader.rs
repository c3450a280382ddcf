//! From the events of the parser to a tree.

use std::collections::HashMap;

use serde_yaml::granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

use super::super::error::{Place, Problem};
use super::{Content, Node, Part, Style, Tree};

/// Values that aliases may repeat in one file: sixteen for each of a million hosts. The other
/// values are bounded by its size.
const MAX_COPIES: usize = 16_000_000;
/// The deepest place in the reference stands at 9.
const MAX_DEPTH: usize = 32;
/// Keys in one mapping; each is compared with those before.
const MAX_KEYS: usize = 4096;

pub(in super::super) type Failure = (Place, Problem);

/// Reads the one document of a text.
pub(in super::super) fn read(text: &str, file: u16) -> Result<Tree, Failure> {
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
    parser: Parser<'a, StrInput<'a>>,
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
            let what = format!("aliases repeat more than {MAX_COPIES} values");
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
