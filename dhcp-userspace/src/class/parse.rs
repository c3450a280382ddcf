//! The grammar: from tokens to a checked tree.

use std::ops::Range;

use super::ClassId;
use super::compare::equal;
use super::error::SyntaxError;
use super::nature::{Kind, Lengths, Typed};
use super::token::{Token, tokens};
use super::tree::{Node, Value};

/// What names stand for.
#[derive(Clone, Copy)]
pub struct Names<'n> {
    pub class: &'n dyn Fn(&str) -> Option<ClassId>,
    pub option: &'n dyn Fn(&str) -> Option<u8>,
}

/// Parentheses, functions and `not` within each other: more than anybody can read, and little
/// enough for any thread's stack.
const MAX_DEPTH: usize = 32;

/// A part of a test: true or false, or bytes.
#[derive(Debug)]
pub enum Term {
    Test(Node, Range<usize>),
    Value(Typed),
}

impl Term {
    pub fn at(&self) -> Range<usize> {
        match self {
            Self::Test(_, at) => at.clone(),
            Self::Value(value) => value.at.clone(),
        }
    }
}

pub struct Parser<'p> {
    tokens: Vec<(Token<'p>, Range<usize>)>,
    next: usize,
    depth: usize,
    pub names: Names<'p>,
}

/// # Errors
/// The first mistake.
pub fn parse(text: &str, names: Names<'_>) -> Result<Node, SyntaxError> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        names,
    };
    if parser.peek() == Token::End {
        let hint = "write a test, for example option[93].hex == 0x0007";
        return Err(SyntaxError::new(0..0, "there is no test", hint));
    }
    let term = parser.expression()?;
    if parser.peek() != Token::End {
        return Err(parser.leftover());
    }
    test_of(term)
}

/// A value alone, to hold against what is known of it.
#[cfg(test)]
pub fn parse_value(text: &str, names: Names<'_>) -> Result<Typed, SyntaxError> {
    let (tokens, next, depth) = (tokens(text)?, 0, 0);
    Parser {
        tokens,
        next,
        depth,
        names,
    }
    .value()
}

impl<'p> Parser<'p> {
    pub fn peek(&self) -> Token<'p> {
        self.tokens
            .get(self.next)
            .map_or(Token::End, |(token, _)| *token)
    }

    /// The token behind the next.
    pub fn second(&self) -> Token<'p> {
        self.tokens
            .get(self.next + 1)
            .map_or(Token::End, |(token, _)| *token)
    }

    /// Where the next token is.
    pub fn here(&self) -> Range<usize> {
        let last = self.tokens.last().map_or(0..0, |(_, at)| at.clone());
        self.tokens
            .get(self.next)
            .map_or(last, |(_, at)| at.clone())
    }

    /// From a place to the last token that was taken.
    pub fn since(&self, start: usize) -> Range<usize> {
        let last = self
            .next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last));
        start..last.map_or(start, |(_, at)| at.end).max(start)
    }

    pub fn take(&mut self) -> (Token<'p>, Range<usize>) {
        let taken = (self.peek(), self.here());
        self.next += 1;
        taken
    }

    pub fn takes(&mut self, token: Token<'_>) -> bool {
        let is_next = self.peek() == token;
        self.next += usize::from(is_next);
        is_next
    }

    /// # Errors
    /// Where another token comes; `usage` is how it is written.
    pub fn expect(&mut self, sign: &'static str, usage: &str) -> Result<(), SyntaxError> {
        if self.takes(Token::Sign(sign)) {
            return Ok(());
        }
        Err(self.unexpected(&format!("expected `{sign}`"), usage))
    }

    pub fn unexpected(&self, expected: &str, usage: &str) -> SyntaxError {
        let at = self.here();
        let ends = if self.peek() == Token::End {
            ", but the test ends here"
        } else {
            ""
        };
        SyntaxError::new(
            at,
            format!("{expected}{ends}"),
            format!("it is written {usage}"),
        )
    }

    /// Anything; what binds least is read first.
    pub fn expression(&mut self) -> Result<Term, SyntaxError> {
        self.deeper(Self::alternatives)
    }

    pub fn test(&mut self) -> Result<Node, SyntaxError> {
        test_of(self.expression()?)
    }

    pub fn value(&mut self) -> Result<Typed, SyntaxError> {
        match self.expression()? {
            Term::Value(value) => Ok(value),
            Term::Test(_, at) => Err(no_value(at)),
        }
    }

    fn deeper(
        &mut self,
        read: fn(&mut Self) -> Result<Term, SyntaxError>,
    ) -> Result<Term, SyntaxError> {
        if self.depth == MAX_DEPTH {
            let hint = "use classes of their own for its parts, and member('NAME')";
            return Err(SyntaxError::new(
                self.here(),
                "this test is nested too deeply",
                hint,
            ));
        }
        self.depth += 1;
        let term = read(self);
        self.depth -= 1;
        term
    }

    fn alternatives(&mut self) -> Result<Term, SyntaxError> {
        self.chain(&["or", "sor"], Self::conditions, Node::Any)
    }

    fn conditions(&mut self) -> Result<Term, SyntaxError> {
        self.chain(&["and", "sand"], Self::negation, Node::All)
    }

    fn chain(
        &mut self,
        words: &[&str],
        part: fn(&mut Self) -> Result<Term, SyntaxError>,
        all: fn(Vec<Node>) -> Node,
    ) -> Result<Term, SyntaxError> {
        let first = part(self)?;
        let start = first.at().start;
        if !self.is_one_of(words) {
            return Ok(first);
        }
        let mut nodes = vec![test_of(first)?];
        while self.is_one_of(words) {
            self.next += 1;
            nodes.push(test_of(part(self)?)?);
        }
        Ok(Term::Test(all(nodes), self.since(start)))
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        matches!(self.peek(), Token::Word(word) if words.contains(&word))
    }

    fn negation(&mut self) -> Result<Term, SyntaxError> {
        let start = self.here().start;
        if !self.takes(Token::Word("not")) {
            return self.comparison();
        }
        let inner = test_of(self.deeper(Self::negation)?)?;
        Ok(Term::Test(Node::Not(Box::new(inner)), self.since(start)))
    }

    fn comparison(&mut self) -> Result<Term, SyntaxError> {
        let left = self.sum()?;
        let negated = self.peek() == Token::Sign("!=");
        if !negated && self.peek() != Token::Sign("==") {
            return Ok(left);
        }
        let start = left.at().start;
        self.next += 1;
        let (left, right) = (operand(left)?, operand(self.sum()?)?);
        if matches!(self.peek(), Token::Sign("==" | "!=")) {
            let hint = "write two comparisons with `and` between them";
            return Err(SyntaxError::new(
                self.here(),
                "one comparison follows another",
                hint,
            ));
        }
        let node = equal(left, right)?;
        let node = if negated {
            Node::Not(Box::new(node))
        } else {
            node
        };
        Ok(Term::Test(node, self.since(start)))
    }

    fn sum(&mut self) -> Result<Term, SyntaxError> {
        let first = self.primary()?;
        if self.peek() != Token::Sign("+") {
            return Ok(first);
        }
        let mut parts = vec![operand(first)?];
        while self.takes(Token::Sign("+")) {
            parts.push(operand(self.primary()?)?);
        }
        joined(parts).map(Term::Value)
    }

    fn primary(&mut self) -> Result<Term, SyntaxError> {
        let (token, at) = self.take();
        let value = match token {
            Token::Text(text) => Typed::written(at, text, Kind::Text),
            Token::Hex(digits) => Typed::written(at, from_hex(digits), Kind::Bytes),
            Token::Address(address) => Typed::written(at, address.octets(), Kind::Address),
            Token::Integer(number) => integer(number, at)?,
            Token::Word(word) => return self.word(word, &at),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")", "with a closing parenthesis for each opening one")?;
                return Ok(inner);
            }
            Token::Sign(_) | Token::End => return Err(no_operand(token, at)),
        };
        Ok(Term::Value(value))
    }

    fn leftover(&self) -> SyntaxError {
        let (problem, hint) = match self.peek() {
            Token::Sign(")") => ("this parenthesis closes nothing", "take it away"),
            Token::Word("is" | "eq" | "equals") => ("this means nothing here", "write =="),
            _ => (
                "this does not follow",
                "join tests with `and` or `or`, values with == or !=",
            ),
        };
        SyntaxError::new(self.here(), problem, hint)
    }
}

/// Several values after each other.
pub fn joined(parts: Vec<Typed>) -> Result<Typed, SyntaxError> {
    let (first, last) = (parts.first(), parts.last());
    let at = first.map_or(0, |p| p.at.start)..last.map_or(0, |p| p.at.end);
    let lengths = parts
        .iter()
        .fold(Lengths::exactly(0), |sum, part| sum.plus(part.lengths));
    let is_text = parts.iter().all(|part| part.kind == Kind::Text);
    let kind = if is_text { Kind::Text } else { Kind::Bytes };
    let values = parts.into_iter().map(|part| part.value).collect();
    Typed::new(at, Value::Concat(values), kind, lengths).bounded()
}

fn test_of(term: Term) -> Result<Node, SyntaxError> {
    match term {
        Term::Test(node, _) => Ok(node),
        Term::Value(value) => {
            let hint = "compare it, as in option[60].hex == 'x', or ask whether an option is \
                        there: option[60].exists";
            Err(SyntaxError::new(
                value.at,
                "this is a value, not a test",
                hint,
            ))
        }
    }
}

fn operand(term: Term) -> Result<Typed, SyntaxError> {
    match term {
        Term::Value(value) => Ok(value),
        Term::Test(_, at) => Err(no_value(at)),
    }
}

fn no_value(at: Range<usize>) -> SyntaxError {
    let hint = "leave the comparison out, or put `not` before the test";
    SyntaxError::new(at, "this is already true or false and no value", hint)
}

fn no_operand(token: Token<'_>, at: Range<usize>) -> SyntaxError {
    let problem = match token {
        Token::Sign(sign) => format!("expected a value or a test before `{sign}`"),
        _ => "expected a value or a test, but it ends here".to_owned(),
    };
    let hint = "write a test such as option[93].hex == 0x0007 or option[175].exists";
    SyntaxError::new(at, problem, hint)
}

/// Four bytes, as in Kea.
fn integer(number: i64, at: Range<usize>) -> Result<Typed, SyntaxError> {
    let Ok(number) = u32::try_from(number) else {
        let hint = "numbers are from 0 to 4294967295; write more bytes as 0x0102030405";
        return Err(SyntaxError::new(at, "this number is out of range", hint));
    };
    Ok(Typed::written(at, number.to_be_bytes(), Kind::Number))
}

/// As in Kea, a zero stands before an odd number of digits.
fn from_hex(digits: &str) -> Vec<u8> {
    let digit = |letter: char| letter.to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digits = digits.chars().filter_map(digit);
    let mut digits: Vec<u8> = digits.collect();
    if !digits.len().is_multiple_of(2) {
        digits.insert(0, 0);
    }
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
