//! docs/classes.md is true.

use crate::class::testing::parse;
use crate::class::{Test, ready};

fn page() -> String {
    let file = format!("{}/../docs/classes.md", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// The lines of the blocks in a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap_or_default().lines())
        .collect()
}

#[test]
fn its_expressions_compile() {
    let page = page();
    let expressions = blocks(&page, "kea");
    assert!(expressions.len() > 3);
    for text in expressions {
        parse(text).unwrap_or_else(|error| panic!("{}", error.show(text)));
    }
}

#[test]
fn its_error_is_what_is_shown() {
    let text = "  option[93].hex == 7";
    assert!(page().contains(&parse(text).unwrap_err().show(text)));
}

#[test]
fn its_table_has_every_ready_made_class() {
    let page = page();
    let (_, table) = page.split_once("## Ready-made classes").unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let ready = ready::all().iter();
    let expected: Vec<_> = ready
        .map(|r| format!("| `{}` | {} |", r.name, r.about))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn what_it_calls_refused_is() {
    let page = page();
    let (_, table) = page.split_once("| refused | why |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut fields: Vec<_> = table.split('`').skip(1).step_by(2).collect();
    assert_eq!(fields.len(), 12, "{fields:?}");
    fields.sort_unstable();
    for field in fields {
        let text = if field.starts_with('o') {
            format!("{field}.exists")
        } else {
            format!("{field} == 1")
        };
        let error = parse(&text).unwrap_err();
        assert!(!error.problem.contains("there is no"), "{text}: {error}");
    }
    assert!(Test::option(53, None).is_err());
}
