//! The regular expressions of `match`: compiled to an automaton at load, so that a match takes
//! one step for each byte, whatever the expression.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

/// Memory for an automaton, and for building it.
const MAX_SIZE: usize = 1 << 20;

/// Matches a whole value, as Kea's does.
#[derive(Clone)]
pub struct Regex {
    text: Box<str>,
    automaton: Arc<dense::DFA<Vec<u32>>>,
}

impl Regex {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config = dense::Config::new()
            // The longest match, so that one that ends early is not mistaken for all there is.
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(MAX_SIZE))
            .determinize_size_limit(Some(MAX_SIZE));
        let automaton = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(Some(MAX_SIZE)),
            )
            .build(text)
            .map_err(|error| reason(&error))?;
        Ok(Self {
            text: text.into(),
            automaton: Arc::new(automaton),
        })
    }

    pub fn matches(&self, value: &[u8]) -> bool {
        let input = Input::new(value).anchored(Anchored::Yes);
        let longest = self.automaton.try_search_fwd(&input);
        longest.is_ok_and(|found| found.is_some_and(|end| end.offset() == value.len()))
    }
}

/// The innermost error; a parser shows the expression first and says what it is about last.
fn reason(error: &dyn Error) -> String {
    if let Some(inner) = error.source() {
        return reason(inner);
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.text)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(regex: &str, value: &[u8]) -> bool {
        Regex::parse(regex).unwrap().matches(value)
    }

    #[test]
    fn it_matches_the_whole_value() {
        assert!(is("foo.*", b"foobar"));
        assert!(!is("foo", b"foobar"));
        assert!(!is("oobar", b"foobar"));
        assert!(is(".*foo.*", b"is it foo or bar"));
        assert!(is("^.*foo.*$", b"is it foo or bar"));
        assert!(is("a|ab", b"ab"), "not the first alternative that fits");
        assert!(is("a|ab", b"a"));
        assert!(is("a*?", b"aaa"));
        assert!(is("", b""));
        assert!(!is("", b"a"));
    }

    #[test]
    fn values_are_bytes() {
        assert!(is(r"\x52\xff.", b"\x52\xff\x80"));
        assert!(is(".", b"\xff"));
        assert!(is("\u{e4}", "\u{e4}".as_bytes()));
        assert!(is(r"\bnode\d+\b.*", b"node17 \xff"));
    }

    #[test]
    fn what_is_wrong_with_one() {
        let error = |regex: &str| Regex::parse(regex).unwrap_err();
        assert_eq!(error("a(b"), "unclosed group");
        assert_eq!(error("a)(b"), "unopened group");
        assert!(error(r"(a)\1").contains("backreferences are not supported"));
        assert!(error("[ab]{1000}.*[cd].{1000}").contains("limit"));
    }

    #[test]
    fn equal_if_the_expression_is() {
        assert_eq!(Regex::parse("a").unwrap(), Regex::parse("a").unwrap());
        assert_ne!(Regex::parse("a").unwrap(), Regex::parse("b").unwrap());
    }
}
