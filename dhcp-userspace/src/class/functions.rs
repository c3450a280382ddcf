//! The words of the language, and its functions.

use std::ops::Range;

use super::error::SyntaxError;
use super::fields::nearest;
use super::nature::{Case, Kind, Lengths, Typed};
use super::parse::{Parser, Term, joined};
use super::pattern::Pattern;
use super::ready;
use super::regex::Regex;
use super::token::Token;
use super::tree::{Cut, Field, Node, Shown, Value};
use crate::packet::registry;

const SUBSTRING: &str = "substring(value, start, length), with a number or `all` for the length";
const SPLIT: &str = "split(value, delimiters, field), where fields count from 1";
const CONCAT: &str = "concat(value, value)";
const IFELSE: &str = "ifelse(test, value, value)";
const HEXSTRING: &str = "hexstring(value, separator)";
const MEMBER: &str = "member('CLASS')";
const MATCH: &str = "match('regular expression', value)";

/// All words that a part of a test can begin with.
const WORDS: [&str; 24] = [
    "option",
    "relay4",
    "pkt4",
    "vendor",
    "vendor-class",
    "member",
    "match",
    "known",
    "unknown",
    "substring",
    "split",
    "concat",
    "lcase",
    "ucase",
    "ifelse",
    "hexstring",
    "addrtotext",
    "int8totext",
    "int16totext",
    "int32totext",
    "uint8totext",
    "uint16totext",
    "uint32totext",
    "not",
];

/// Kea makes a class of every vendor class.
const OF_VENDOR_CLASS: &str = "VENDOR_CLASS_";
const VENDOR_CLASS_IDENTIFIER: u8 = 60;

impl Parser<'_> {
    /// A word has been taken: what begins with it.
    pub fn word(&mut self, word: &str, at: &Range<usize>) -> Result<Term, SyntaxError> {
        let start = at.start;
        let value = match word {
            "option" => return self.option(start),
            "relay4" => return self.relay4(start),
            "pkt4" => return self.pkt4(start),
            "vendor" => return self.vendor(start),
            "vendor-class" => return self.vendor_class(start),
            "known" => return Ok(Term::Test(Node::Known, at.clone())),
            "unknown" => return Ok(Term::Test(Node::Not(Box::new(Node::Known)), at.clone())),
            "member" => return self.member(start),
            "match" => return self.matches(start),
            "substring" => self.substring(start)?,
            "split" => self.split(start)?,
            "concat" => self.concat()?,
            "lcase" => self.case(start, Case::Lower)?,
            "ucase" => self.case(start, Case::Upper)?,
            "ifelse" | "sifelse" => self.ifelse(start)?,
            "hexstring" => self.hexstring(start)?,
            _ => match shown(word) {
                Some(kind) => self.shown(start, word, kind)?,
                None => return Err(self.no_word(word, at)),
            },
        };
        Ok(Term::Value(Typed {
            at: self.since(start),
            ..value
        }))
    }

    fn member(&mut self, start: usize) -> Result<Term, SyntaxError> {
        self.expect("(", MEMBER)?;
        let Token::Text(name) = self.peek() else {
            return Err(self.unexpected("expected the name of a class in quotes", MEMBER));
        };
        let (_, at) = self.take();
        let node = built_in(name)
            .or_else(|| (self.names.class)(name).map(Node::Member))
            .or_else(|| ready::test(name).map(|test| test.0))
            .ok_or_else(|| no_class(name, at))?;
        self.expect(")", MEMBER)?;
        Ok(Term::Test(node, self.since(start)))
    }

    fn matches(&mut self, start: usize) -> Result<Term, SyntaxError> {
        self.expect("(", MATCH)?;
        let Token::Text(text) = self.peek() else {
            return Err(self.unexpected("expected a regular expression in quotes", MATCH));
        };
        let (_, at) = self.take();
        let regex = Regex::parse(text).map_err(|why| {
            let problem = format!("the regular expression is wrong: {why}");
            let hint = "it has to match the whole value; letters, ., *, +, ?, {}, [], (), | and \
                        classes such as \\d work, back references do not";
            SyntaxError::new(at, problem, hint)
        })?;
        self.expect(",", MATCH)?;
        let value = self.value()?.value;
        self.expect(")", MATCH)?;
        Ok(Term::Test(Node::Matches(regex, value), self.since(start)))
    }

    fn substring(&mut self, start: usize) -> Result<Typed, SyntaxError> {
        self.expect("(", SUBSTRING)?;
        let of = self.value()?;
        self.expect(",", SUBSTRING)?;
        let from = self.integer(SUBSTRING)?;
        self.expect(",", SUBSTRING)?;
        let len = if self.takes(Token::Word("all")) {
            None
        } else {
            Some(self.integer(SUBSTRING)?)
        };
        self.expect(")", SUBSTRING)?;
        let cut = Cut { start: from, len };
        let kind = of.part_kind();
        let value = Value::Substring(Box::new(of.value), cut);
        let part = Typed::new(self.since(start), value, kind, of.lengths.cut(cut));
        Ok(Typed {
            case: of.case,
            ..part
        })
    }

    fn split(&mut self, start: usize) -> Result<Typed, SyntaxError> {
        self.expect("(", SPLIT)?;
        let of = self.value()?;
        self.expect(",", SPLIT)?;
        let delimiters = self.value()?;
        self.expect(",", SPLIT)?;
        let at = self.here();
        let number = self.integer(SPLIT)?;
        let field = usize::try_from(number)
            .ok()
            .filter(|field| *field > 0)
            .ok_or_else(|| {
                SyntaxError::new(
                    at,
                    format!("there is no field {number}"),
                    "fields count from 1",
                )
            })?;
        self.expect(")", SPLIT)?;
        let (kind, lengths) = (of.part_kind(), Lengths::up_to(of.lengths.max));
        let value = Value::Split(Box::new(of.value), Box::new(delimiters.value), field);
        let part = Typed::new(self.since(start), value, kind, lengths);
        Ok(Typed {
            case: of.case,
            ..part
        })
    }

    fn concat(&mut self) -> Result<Typed, SyntaxError> {
        self.expect("(", CONCAT)?;
        let mut parts = vec![self.value()?];
        self.expect(",", CONCAT)?;
        parts.push(self.value()?);
        self.expect(")", CONCAT)?;
        joined(parts)
    }

    fn case(&mut self, start: usize, case: Case) -> Result<Typed, SyntaxError> {
        let usage = "lcase(value) or ucase(value)";
        let of = self.only_value(usage)?;
        let inner = Box::new(of.value);
        let value = if case == Case::Lower {
            Value::Lower(inner)
        } else {
            Value::Upper(inner)
        };
        Ok(Typed {
            case,
            ..Typed::new(self.since(start), value, of.kind, of.lengths)
        })
    }

    fn ifelse(&mut self, start: usize) -> Result<Typed, SyntaxError> {
        self.expect("(", IFELSE)?;
        let test = self.test()?;
        self.expect(",", IFELSE)?;
        let yes = self.value()?;
        self.expect(",", IFELSE)?;
        let no = self.value()?;
        self.expect(")", IFELSE)?;
        let kind = if yes.kind == no.kind {
            yes.kind
        } else {
            Kind::Bytes
        };
        let case = if yes.case == no.case {
            yes.case
        } else {
            Case::Any
        };
        let lengths = yes.lengths.or(no.lengths);
        let value = Value::Choose(Box::new(test), Box::new(yes.value), Box::new(no.value));
        Ok(Typed {
            case,
            ..Typed::new(self.since(start), value, kind, lengths)
        })
    }

    fn hexstring(&mut self, start: usize) -> Result<Typed, SyntaxError> {
        self.expect("(", HEXSTRING)?;
        let of = self.value()?;
        self.expect(",", HEXSTRING)?;
        let separator = self.value()?;
        self.expect(")", HEXSTRING)?;
        let is_lower = separator
            .bytes()
            .is_some_and(|bytes| !bytes.iter().any(u8::is_ascii_uppercase));
        let case = if is_lower { Case::Lower } else { Case::Any };
        let lengths = of.lengths.hex(separator.lengths);
        let value = Value::HexString(Box::new(of.value), Box::new(separator.value));
        let text = Typed::new(self.since(start), value, Kind::Text, lengths).bounded()?;
        Ok(Typed { case, ..text })
    }

    fn shown(&mut self, start: usize, word: &str, shown: Shown) -> Result<Typed, SyntaxError> {
        let of = self.only_value(&format!("{word}(value)"))?;
        let (fits, wanted) = match shown {
            Shown::Address => (
                of.lengths.has(4) || of.lengths.has(16),
                "4 or 16 bytes".to_owned(),
            ),
            Shown::Signed(1) | Shown::Unsigned(1) => (of.lengths.has(1), "1 byte".to_owned()),
            Shown::Signed(n) | Shown::Unsigned(n) => (of.lengths.has(n), format!("{n} bytes")),
        };
        if !fits {
            let problem = format!("{word} reads {wanted}, and this is never so long");
            let hint =
                "use the function for its length, or a part: substring(value, start, length)";
            return Err(SyntaxError::new(of.at, problem, hint));
        }
        let value = Value::Shown(Box::new(of.value), shown);
        Ok(Typed::new(
            self.since(start),
            value,
            Kind::Text,
            Lengths::shown(shown),
        ))
    }

    fn only_value(&mut self, usage: &str) -> Result<Typed, SyntaxError> {
        self.expect("(", usage)?;
        let value = self.value()?;
        self.expect(")", usage)?;
        Ok(value)
    }

    fn integer(&mut self, usage: &str) -> Result<i64, SyntaxError> {
        let Token::Integer(number) = self.peek() else {
            return Err(self.unexpected("expected a number", usage));
        };
        self.take();
        Ok(number)
    }

    fn no_word(&mut self, word: &str, at: &Range<usize>) -> SyntaxError {
        if word == "pkt" {
            return self.pkt(at.start);
        }
        let (problem, hint) = match word {
            "pkt6" | "relay6" => (
                format!("{word} belongs to DHCPv6"),
                "this server is DHCPv4: use pkt4 and relay4".to_owned(),
            ),
            "true" | "false" => (
                format!("`{word}` is no test of its own"),
                "member('ALL') is always true".to_owned(),
            ),
            _ if registry::by_name(word).is_some() => (
                format!("`{word}` is an option"),
                format!("write option[{word}].hex"),
            ),
            _ => (format!("`{word}` means nothing here"), suggestion(word)),
        };
        SyntaxError::new(at.clone(), problem, hint)
    }
}

fn suggestion(word: &str) -> String {
    nearest(word, WORDS.into_iter()).map_or_else(
        || "text belongs in single quotes: 'text'".to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

fn shown(word: &str) -> Option<Shown> {
    Some(match word {
        "addrtotext" => Shown::Address,
        "int8totext" => Shown::Signed(1),
        "int16totext" => Shown::Signed(2),
        "int32totext" => Shown::Signed(4),
        "uint8totext" => Shown::Unsigned(1),
        "uint16totext" => Shown::Unsigned(2),
        "uint32totext" => Shown::Unsigned(4),
        _ => return None,
    })
}

/// Classes that Kea has by itself.
fn built_in(name: &str) -> Option<Node> {
    match name {
        "ALL" => Some(Node::Always),
        "KNOWN" => Some(Node::Known),
        "UNKNOWN" => Some(Node::Not(Box::new(Node::Known))),
        _ => {
            let class = name.strip_prefix(OF_VENDOR_CLASS)?;
            let pattern = Pattern::exactly(class);
            Some(Node::Like(Field::Option(VENDOR_CLASS_IDENTIFIER), pattern))
        }
    }
}

fn no_class(name: &str, at: Range<usize>) -> SyntaxError {
    let hint = "a test can name only classes that stand before it, ready-made ones, ALL, KNOWN \
                and UNKNOWN";
    SyntaxError::new(at, format!("there is no class '{name}' yet"), hint)
}
