//! What is wrong with a test, where, and what to write instead.

use std::ops::Range;

/// Why a test cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {hint}")]
pub struct SyntaxError {
    /// Bytes of the text, always on character boundaries.
    pub at: Range<usize>,
    pub problem: String,
    pub hint: String,
}

impl SyntaxError {
    pub(super) fn new(
        at: Range<usize>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            at,
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    /// Where it is, in characters from 1.
    #[must_use]
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.at.start)
            .map_or(1, |before| before.chars().count() + 1)
    }

    /// The text with the place marked below it, then the message.
    #[must_use]
    pub fn show(&self, text: &str) -> String {
        let line_at = text[..self.at.start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_at..].lines().next().unwrap_or_default();
        let indent = text[line_at..self.at.start].chars().count();
        let end = self.at.end.min(line_at + line.len()).max(self.at.start);
        let marks = text[self.at.start..end].chars().count().max(1);
        let (space, marks) = (" ".repeat(indent), "^".repeat(marks));
        format!("{line}\n{space}{marks}\n{self}")
    }
}
