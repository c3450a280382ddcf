//! YAML text to a tree that knows where everything stood and how it was written.
//!
//! Not read straight into the structs by serde: that would stop at the first mistake, and would
//! guess at scalars (`0x0102` would be 258, `1.10` would be 1.1). Here a scalar is its text; what
//! it means is known to who asks for it.
//!
//! An inventory has millions of nodes, so all of a file lie in one vector, and their texts in one
//! string.

mod reader;

use std::ops::Range;

use super::error::Place;
pub(super) use reader::read;

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
        assert!(refused(&text).contains("aliases repeat more than 16000000 values"));
    }
}
