//! `==`: finds comparisons that can never hold.

use std::net::Ipv4Addr;

use super::error::SyntaxError;
use super::nature::{Case, Kind, Lengths, Typed};
use super::tree::Node;

/// # Errors
/// Where the two can never be equal, unless both are written so.
pub fn equal(left: Typed, right: Typed) -> Result<Node, SyntaxError> {
    let (this, other) = if right.is_written {
        (&right, &left)
    } else {
        (&left, &right)
    };
    if !other.is_written {
        kinds(this, other)?;
        lengths(this, other)?;
        letters(this, other)?;
    }
    Ok(Node::Equal(left.value, right.value))
}

fn kinds(this: &Typed, other: &Typed) -> Result<(), SyntaxError> {
    let (text, number) = match (this.kind, other.kind) {
        (Kind::Text, number @ (Kind::Number | Kind::Address)) => (this, number),
        (number @ (Kind::Number | Kind::Address), Kind::Text) => (other, number),
        _ => return Ok(()),
    };
    let what = if number == Kind::Address {
        "an address"
    } else {
        "a number"
    };
    let problem = format!("a text can never equal {what}");
    Err(SyntaxError::new(
        this.at.clone(),
        problem,
        unmixed(this, text),
    ))
}

/// What to write in place of a text beside a number, or the other way round.
fn unmixed(this: &Typed, text: &Typed) -> String {
    let literal = text
        .bytes()
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    match literal {
        Some(text) if text.parse::<Ipv4Addr>().is_ok() || text.parse::<u32>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        None if this.is_written => "put it in single quotes to compare it as text".to_owned(),
        _ => "make it text with addrtotext(value) or uint32totext(value)".to_owned(),
    }
}

fn lengths(this: &Typed, other: &Typed) -> Result<(), SyntaxError> {
    // An integer is four bytes, and so are two numbers of two bytes: not what is meant.
    let is_integer = this.is_written && this.kind == Kind::Number;
    let is_narrow = is_integer && !matches!(other.lengths.step, 1 | 4);
    if !is_narrow && this.lengths.meets(other.lengths) {
        return Ok(());
    }
    let problem = format!("{} can never equal {}", size(this), size(other));
    Err(SyntaxError::new(
        this.at.clone(),
        problem,
        longer(this, other),
    ))
}

fn letters(this: &Typed, other: &Typed) -> Result<(), SyntaxError> {
    let letters = this.bytes().unwrap_or_default();
    let case = match other.case {
        Case::Lower if letters.iter().any(u8::is_ascii_uppercase) => "lower",
        Case::Upper if letters.iter().any(u8::is_ascii_lowercase) => "upper",
        _ => return Ok(()),
    };
    let problem = format!("the other side is in {case} case and can never equal this");
    let hint = format!("write this in {case} case");
    Err(SyntaxError::new(this.at.clone(), problem, hint))
}

fn size(this: &Typed) -> String {
    let Lengths { min, max, step } = this.lengths;
    match (this.lengths.exact(), this.kind) {
        (Some(_), Kind::Number) => "a number (4 bytes)".to_owned(),
        (Some(len), _) => bytes_in_words(len),
        _ if step > 1 && max == step => format!("an option of {step} bytes"),
        _ if step > 1 => format!("a list of items of {step} bytes"),
        _ if min == 0 => format!("at most {}", bytes_in_words(max)),
        _ => format!("{min} to {max} bytes"),
    }
}

fn bytes_in_words(len: usize) -> String {
    let plural = if len == 1 { "" } else { "s" };
    format!("{len} byte{plural}")
}

/// A number in decimal, or in too few bytes.
fn number(literal: &Typed) -> Option<u64> {
    let is_number = literal.kind == Kind::Number || literal.lengths.max == 1;
    let bytes = literal.bytes().filter(|_| is_number)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// What to write in place of a literal that is too long or too short.
fn longer(literal: &Typed, beside: &Typed) -> String {
    let Lengths { max, step, .. } = beside.lengths;
    let width = if max < 4 { max } else { step };
    let fits = |number: &u64| *number < 1 << (8 * width.min(4));
    let is_narrow = max < 4 || step == 2;
    if let (true, Some(number)) = (is_narrow, number(literal).filter(fits)) {
        return format!(
            "write all its bytes, as in 0x{number:0digits$x}",
            digits = width * 2
        );
    }
    if beside.kind == Kind::Number {
        return "write a decimal number, or all four bytes, as in 0x00000001".to_owned();
    }
    if beside.lengths == Lengths::exactly(6) && literal.kind == Kind::Text {
        return "write the address as 0x525400123456, or compare hexstring(pkt4.mac, ':')"
            .to_owned();
    }
    "compare as many bytes, for example with substring(value, start, length)".to_owned()
}
