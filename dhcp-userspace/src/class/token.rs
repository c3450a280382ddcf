//! Cuts the text of a test into tokens.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::error::SyntaxError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'t> {
    /// Without its quotes.
    Text(&'t str),
    /// The digits after `0x`.
    Hex(&'t str),
    Integer(i64),
    Address(Ipv4Addr),
    Word(&'t str),
    Sign(&'static str),
    End,
}

/// The longer ones first.
const SIGNS: [&str; 10] = ["==", "!=", "(", ")", "[", "]", ".", ",", "*", "+"];

/// Signs of other languages, and what to write.
const FOREIGN: [(&str, &str); 10] = [
    ("&&", "write `and`"),
    ("&", "write `and`"),
    ("||", "write `or`"),
    ("|", "write `or`"),
    ("!", "write `not`, or `!=` between two values"),
    ("=~", "write `match('regular expression', value)`"),
    ("=", "write `==`"),
    ("<", "values can only be equal (`==`) or not (`!=`)"),
    (">", "values can only be equal (`==`) or not (`!=`)"),
    ("\"", "put text in single quotes: 'text'"),
];

/// # Errors
/// The first thing that is no token.
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, SyntaxError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len();
        let (token, len) = first(&text[at..], at)?;
        found.push((token, at..at + len));
        if token == Token::End {
            return Ok(found);
        }
        at += len;
    }
}

/// The token that the text begins with, and its length.
fn first(rest: &str, at: usize) -> Result<(Token<'_>, usize), SyntaxError> {
    let Some(letter) = rest.chars().next() else {
        return Ok((Token::End, 0));
    };
    if letter == '\'' {
        return quoted(rest, at);
    }
    if letter.is_ascii_digit()
        || (letter == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
    {
        return number(rest, at);
    }
    if letter.is_ascii_alphabetic() {
        let len = span(rest, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if rest[len..].starts_with(':') {
            return Err(not_number(rest, at));
        }
        return Ok((Token::Word(&rest[..len]), len));
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
    match sign {
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None => Err(foreign(rest, letter, at)),
    }
}

fn span(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn quoted(rest: &str, at: usize) -> Result<(Token<'_>, usize), SyntaxError> {
    let end = rest[1..].find(['\'', '\n']).map(|end| end + 1);
    let end = end
        .filter(|end| rest[*end..].starts_with('\''))
        .ok_or_else(|| {
            let line = rest.lines().next().unwrap_or_default();
            let hint = "end the text with a single quote, on the line where it begins; for a quote \
                    in a text write its bytes, as in 0x27";
            SyntaxError::new(at..at + line.len().max(1), "this text has no end", hint)
        })?;
    Ok((Token::Text(&rest[1..end]), end + 1))
}

/// An integer, an address or `0x` and digits.
fn number(rest: &str, at: usize) -> Result<(Token<'_>, usize), SyntaxError> {
    let sign = usize::from(rest.starts_with('-'));
    let len = sign
        + span(&rest[sign..], |c| {
            c.is_ascii_alphanumeric() || c == '.' || c == ':' || c == '_'
        });
    if rest[len..].starts_with('/') {
        return Err(not_number(rest, at));
    }
    let word = &rest[..len];
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if let Some(digits) = hex {
        let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return is_hex
            .then_some((Token::Hex(digits), len))
            .ok_or_else(|| not_number(rest, at));
    }
    if let Ok(number) = word.parse() {
        return Ok((Token::Integer(number), len));
    }
    let address = word.parse().map_err(|_| not_number(rest, at))?;
    Ok((Token::Address(address), len))
}

fn not_number(rest: &str, at: usize) -> SyntaxError {
    let len = span(rest, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '/')
    });
    let word = &rest[..len];
    let pairs = word.split([':', '-']);
    let is_mac = pairs.clone().count() == 6 && pairs.clone().all(|pair| pair.len() == 2);
    let (problem, hint) = if is_mac {
        let digits: String = pairs.collect();
        (
            "is not how a MAC address is written here",
            format!("write 0x{digits}"),
        )
    } else if word.contains('/') {
        let hint = "to test the relay's network use the short form `relay`".to_owned();
        ("is a network, which is no value here", hint)
    } else if word.contains(':') {
        (
            "is not an IPv4 address",
            "write it as 10.0.0.1; DHCPv4 knows no IPv6".to_owned(),
        )
    } else {
        let hint = "write a decimal number (7), bytes (0x0007), an address (10.0.0.1) or a text \
                    in single quotes ('7a')";
        ("is neither a number nor an address", hint.to_owned())
    };
    SyntaxError::new(at..at + len, format!("'{word}' {problem}"), hint)
}

fn foreign(rest: &str, letter: char, at: usize) -> SyntaxError {
    let known = FOREIGN.iter().find(|(sign, _)| rest.starts_with(sign));
    let (len, sign, hint) = match known {
        Some((sign, hint)) => (sign.len(), (*sign).to_owned(), *hint),
        None => {
            let hint = "text belongs in single quotes: 'text'";
            (letter.len_utf8(), letter.escape_debug().to_string(), hint)
        }
    };
    SyntaxError::new(at..at + len, format!("`{sign}` means nothing here"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Token<'_>> {
        tokens(text)
            .unwrap()
            .into_iter()
            .map(|(token, _)| token)
            .collect()
    }

    #[test]
    fn every_token() {
        use Token::{Address, End, Hex, Integer, Sign, Text, Word};
        assert_eq!(
            kinds("option[vendor-class].hex == 'a b' + 0x0A"),
            [
                Word("option"),
                Sign("["),
                Word("vendor-class"),
                Sign("]"),
                Sign("."),
                Word("hex"),
                Sign("=="),
                Text("a b"),
                Sign("+"),
                Hex("0A"),
                End
            ]
        );
        let address = Address(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(
            kinds("(-5,12)!=\n10.0.0.1*"),
            [
                Sign("("),
                Integer(-5),
                Sign(","),
                Integer(12),
                Sign(")"),
                Sign("!="),
                address,
                Sign("*"),
                End
            ]
        );
        assert_eq!(kinds(" \t\r\n"), [End]);
        assert_eq!(tokens("a  ''").unwrap()[1], (Text(""), 3..5));
    }

    #[test]
    fn what_is_no_token_says_what_to_write() {
        let error = |text: &str| tokens(text).unwrap_err();
        let cases = [
            ("a && b", 2..4, "write `and`"),
            ("a = b", 2..3, "write `==`"),
            ("a =~ 'b'", 2..4, "write `match("),
            ("!a", 0..1, "write `not`"),
            ("a \"x\"", 2..3, "single quotes"),
            ("a == 'x", 5..7, "end the text"),
            ("'a\nb'", 0..2, "on the line where it begins"),
            ("52:54:00:00:00:01", 0..17, "write 0x525400000001"),
            ("ee:54:00:00:00:01", 0..17, "write 0xee5400000001"),
            ("2001:db8::1", 0..11, "DHCPv4 knows no IPv6"),
            ("10.0.0.0/8", 0..10, "short form `relay`"),
            ("0xzz", 0..4, "bytes (0x0007)"),
            ("10.0.0", 0..6, "an address (10.0.0.1)"),
            ("99999999999999999999", 0..20, "decimal number"),
            ("a ä", 2..4, "single quotes"),
        ];
        for (text, at, hint) in cases {
            let error = error(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.hint.contains(hint), "{text}: {error}");
        }
    }
}
