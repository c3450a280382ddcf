//! Tests of classes: any text is a test or an error with its place, and any request bears any test.

use dhcp_userspace::class::{ClassId, ClassSet, Subject, Test, ready};
use dhcp_userspace::packet::{Request, registry};

use crate::input::halves;

/// Longer ones nobody writes.
const LONGEST: usize = 4096;

/// A text, and the options of a request.
pub fn run(data: &[u8]) {
    let (text, options) = halves(data);
    let bytes = message(options);
    let request = Request::parse(&bytes).ok();
    if let Some(request) = &request {
        for ready in ready::all() {
            let test = ready::test(ready.name).expect("it is ready-made");
            let _ = matches(&test, request);
        }
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let _ = (
        Test::mac(text),
        Test::circuit_id(text),
        Test::option(60, Some(text)),
    );
    if text.len() <= LONGEST {
        compile(text, request.as_ref());
    }
}

fn compile(text: &str, request: Option<&Request<'_>>) {
    let class = |name: &str| (name == "first").then_some(ClassId(0));
    let option = |name: &str| registry::by_name(name).map(|option| option.code);
    match Test::parse(text, &class, &option) {
        Ok(test) => {
            let is_member = request.is_some_and(|request| matches(&test, request));
            assert!(request.is_none_or(|request| matches(&test, request) == is_member));
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{text:?}: {error:?}");
            assert!(!error.problem.is_empty() && !error.hint.is_empty());
            let _ = (error.column(text), error.show(text));
        }
    }
}

fn matches(test: &Test, request: &Request<'_>) -> bool {
    test.matches(&Subject {
        request,
        members: &ClassSet::new(),
        known: false,
        relay_agent: None,
    })
}

/// A DISCOVER with these options.
#[must_use]
pub fn message(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 1]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, 1]);
    bytes.extend(options);
    bytes.push(255);
    bytes
}
