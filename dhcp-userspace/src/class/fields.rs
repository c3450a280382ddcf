//! The words of the language that read a request, and what each refuses.

use std::ops::Range;

use super::error::SyntaxError;
use super::nature::{Kind, Lengths, Typed, is_text, of_option};
use super::parse::{Parser, Term};
use super::read::{VENDOR, VENDOR_CLASS};
use super::refused::{self, Refusal};
use super::token::Token;
use super::tree::{Field, Node, Value};
use crate::packet::registry;
use dhcp_common::wire::{HTYPE_ETHERNET, option};

const OPTION: &str = "option[CODE].hex, .text or .exists";
const SUB_OPTION: &str = "option[CODE].option[CODE].hex, .text or .exists";
const RELAY: &str = "relay4[CODE].hex, .text or .exists";
const PKT4: &str = "pkt4.mac, pkt4.giaddr, pkt4.htype or pkt4.hlen";
const VENDOR_USAGE: &str = "vendor[NUMBER].option[CODE].hex, vendor[NUMBER].exists or \
                            vendor.enterprise, with * for any number";
const VENDOR_CLASS_USAGE: &str = "vendor-class[NUMBER].data, .data[INDEX], .exists or \
                                  vendor-class.enterprise, with * for any number";
const ETHERNET_LEN: u32 = 6;
const LONGEST_SUB_OPTION: usize = 255;

impl<'p> Parser<'p> {
    /// `option[60].hex`, `option[82].option[1].exists`.
    pub fn option(&mut self, start: usize) -> Result<Term, SyntaxError> {
        let code = self.option_code()?;
        let mut path = Vec::new();
        self.expect(".", OPTION)?;
        while self.peek() == Token::Word("option") {
            if matches!(code, VENDOR | VENDOR_CLASS) {
                return Err(self.vendors_option(code, start));
            }
            self.take();
            path.push(self.bracketed(SUB_OPTION)?);
            self.expect(".", SUB_OPTION)?;
        }
        if !path.is_empty() {
            let field = Field::Sub(code, path.into());
            return self.read(start, field, (Kind::Bytes, Lengths::OPTION), SUB_OPTION);
        }
        if self.peek() == Token::Word("text") && !is_text(code) {
            let problem = format!("option {} is no text", registry::name(code));
            let hint = format!("compare its bytes: option[{code}].hex == 0x...");
            return Err(SyntaxError::new(self.here(), problem, hint));
        }
        self.read(start, Field::Option(code), of_option(code), OPTION)
    }

    /// `relay4[1].hex`.
    pub fn relay4(&mut self, start: usize) -> Result<Term, SyntaxError> {
        let mut path = vec![self.bracketed(RELAY)?];
        self.expect(".", RELAY)?;
        while self.takes(Token::Word("option")) {
            path.push(self.bracketed(RELAY)?);
            self.expect(".", RELAY)?;
        }
        let field = Field::Sub(option::RELAY_AGENT, path.into());
        self.read(
            start,
            field,
            (Kind::Bytes, Lengths::up_to(LONGEST_SUB_OPTION)),
            RELAY,
        )
    }

    /// `pkt4.mac` and its kind. This server serves Ethernet only, so two of them are known.
    pub fn pkt4(&mut self, start: usize) -> Result<Term, SyntaxError> {
        self.expect(".", PKT4)?;
        let name = self.name(PKT4)?;
        let at = self.since(start);
        let number = |number| (Value::number(number), Kind::Number, 4);
        let (value, kind, len) = match name {
            "mac" => (Value::Mac, Kind::Bytes, 6),
            "giaddr" => (Value::Giaddr, Kind::Address, 4),
            "htype" => number(HTYPE_ETHERNET.into()),
            "hlen" => number(ETHERNET_LEN),
            _ => return Err(no_field(refused::field(name), at, name, PKT4)),
        };
        Ok(Term::Value(Typed::new(
            at,
            value,
            kind,
            Lengths::exactly(len),
        )))
    }

    /// `pkt.iface` and its kind: all refused.
    pub fn pkt(&mut self, start: usize) -> SyntaxError {
        match self.expect(".", PKT4).and_then(|()| self.name(PKT4)) {
            Ok(name) => no_field(refused::metadata(name), self.since(start), name, PKT4),
            Err(error) => error,
        }
    }

    /// `vendor[4491].option[1].hex`, `vendor[*].exists`, `vendor.enterprise`.
    pub fn vendor(&mut self, start: usize) -> Result<Term, SyntaxError> {
        if let Some(term) = self.enterprise(start, VENDOR, VENDOR_USAGE)? {
            return Ok(term);
        }
        let enterprise = self.enterprise_number(VENDOR_USAGE)?;
        self.expect(".", VENDOR_USAGE)?;
        if self.takes(Token::Word("exists")) {
            let node = Node::Exists(Field::Vendor(enterprise, Box::default()));
            return Ok(Term::Test(node, self.since(start)));
        }
        let mut path = Vec::new();
        while path.is_empty() || self.peek() == Token::Word("option") {
            if !self.takes(Token::Word("option")) {
                return Err(self.unexpected("expected `option` or `exists`", VENDOR_USAGE));
            }
            path.push(self.bracketed(VENDOR_USAGE)?);
            self.expect(".", VENDOR_USAGE)?;
        }
        let field = Field::Vendor(enterprise, path.into());
        self.read(
            start,
            field,
            (Kind::Bytes, Lengths::up_to(LONGEST_SUB_OPTION)),
            VENDOR_USAGE,
        )
    }

    /// `vendor-class[4491].data[0]`, `vendor-class[*].exists`, `vendor-class.enterprise`.
    pub fn vendor_class(&mut self, start: usize) -> Result<Term, SyntaxError> {
        let usage = VENDOR_CLASS_USAGE;
        if let Some(term) = self.enterprise(start, VENDOR_CLASS, usage)? {
            return Ok(term);
        }
        let enterprise = self.enterprise_number(usage)?;
        self.expect(".", usage)?;
        if self.takes(Token::Word("exists")) {
            let node = Node::Exists(Field::VendorClass(enterprise, 0));
            return Ok(Term::Test(node, self.since(start)));
        }
        if !self.takes(Token::Word("data")) {
            return Err(self.unexpected("expected `data` or `exists`", usage));
        }
        let is_indexed = self.peek() == Token::Sign("[");
        let index = if is_indexed {
            self.bracketed(usage)?
        } else {
            0
        };
        let value = Value::Raw(Field::VendorClass(enterprise, index));
        let lengths = Lengths::up_to(LONGEST_SUB_OPTION);
        Ok(Term::Value(Typed::new(
            self.since(start),
            value,
            Kind::Bytes,
            lengths,
        )))
    }

    /// The end of a field: what to do with it.
    fn read(
        &mut self,
        start: usize,
        field: Field,
        (kind, lengths): (Kind, Lengths),
        usage: &str,
    ) -> Result<Term, SyntaxError> {
        let (value, kind) = match self.peek() {
            Token::Word("exists") => {
                self.take();
                return Ok(Term::Test(Node::Exists(field), self.since(start)));
            }
            Token::Word("hex") => (Value::Raw(field), kind),
            Token::Word("text") => (Value::Text(field), Kind::Text),
            _ => return Err(self.unexpected("expected `hex`, `text` or `exists`", usage)),
        };
        self.take();
        Ok(Term::Value(Typed::new(
            self.since(start),
            value,
            kind,
            lengths,
        )))
    }

    /// `[60]` or `[vendor-class-identifier]`.
    fn option_code(&mut self) -> Result<u8, SyntaxError> {
        let at = self.here().start;
        let code = match self.second() {
            Token::Word(name) => {
                self.expect("[", OPTION)?;
                let (_, at) = self.take();
                let code = (self.names.option)(name).ok_or_else(|| no_option(name, at))?;
                self.expect("]", OPTION)?;
                code
            }
            _ => self.bracketed(OPTION)?,
        };
        match refused::option(code) {
            Some((problem, hint)) => Err(SyntaxError::new(self.since(at), problem, hint)),
            None => Ok(code),
        }
    }

    /// A number below 256 in brackets.
    fn bracketed(&mut self, usage: &str) -> Result<u8, SyntaxError> {
        self.expect("[", usage)?;
        let Token::Integer(number) = self.peek() else {
            return Err(self.unexpected("expected a number", usage));
        };
        let (_, at) = self.take();
        let number = u8::try_from(number).map_err(|_| {
            let problem = format!("{number} is out of range");
            SyntaxError::new(at, problem, "codes are from 0 to 255")
        })?;
        self.expect("]", usage)?;
        Ok(number)
    }

    /// `[4491]` or `[*]`; zero is any, too, as in Kea.
    fn enterprise_number(&mut self, usage: &str) -> Result<Option<u32>, SyntaxError> {
        self.expect("[", usage)?;
        let number = match self.peek() {
            Token::Sign("*") => 0,
            Token::Integer(number) => number,
            _ => return Err(self.unexpected("expected an enterprise number", usage)),
        };
        let (_, at) = self.take();
        let number = u32::try_from(number).map_err(|_| {
            let hint = "IANA's enterprise numbers are from 1 to 4294967295";
            SyntaxError::new(at, format!("{number} is out of range"), hint)
        })?;
        self.expect("]", usage)?;
        Ok((number != 0).then_some(number))
    }

    fn enterprise(
        &mut self,
        start: usize,
        code: u8,
        usage: &str,
    ) -> Result<Option<Term>, SyntaxError> {
        if !self.takes(Token::Sign(".")) {
            return Ok(None);
        }
        if !self.takes(Token::Word("enterprise")) {
            return Err(self.unexpected("expected `enterprise`", usage));
        }
        let lengths = Lengths {
            min: 0,
            max: 4,
            step: 4,
        };
        let value = Value::Enterprise(code);
        Ok(Some(Term::Value(Typed::new(
            self.since(start),
            value,
            Kind::Number,
            lengths,
        ))))
    }

    fn vendors_option(&self, code: u8, start: usize) -> SyntaxError {
        let problem = format!("option {code} holds blocks of vendors, not sub-options");
        let hint = match code {
            VENDOR => format!("it is written {VENDOR_USAGE}"),
            _ => format!("it is written {VENDOR_CLASS_USAGE}"),
        };
        SyntaxError::new(start..self.here().end, problem, hint)
    }

    fn name(&mut self, usage: &str) -> Result<&'p str, SyntaxError> {
        let Token::Word(name) = self.peek() else {
            return Err(self.unexpected("expected a name", usage));
        };
        self.take();
        Ok(name)
    }
}

fn no_field(refusal: Option<Refusal>, at: Range<usize>, name: &str, usage: &str) -> SyntaxError {
    match refusal {
        Some((problem, hint)) => SyntaxError::new(at, problem, hint),
        None => {
            let problem = format!("there is no field '{name}'");
            SyntaxError::new(at, problem, format!("there are {usage}"))
        }
    }
}

fn no_option(name: &str, at: Range<usize>) -> SyntaxError {
    let names = registry::all().iter().map(|option| option.name);
    let hint = nearest(name, names).map_or_else(
        || "use its code, or define it under `option_definitions`".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    SyntaxError::new(at, format!("there is no option '{name}'"), hint)
}

/// The name that was perhaps meant.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score > 0.8)
        .map(|(_, known)| known)
}
