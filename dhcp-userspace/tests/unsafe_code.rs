//! The table of `unsafe` in docs/unsafe.md is that of the source.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What ends up in the programs that are installed.
const PRODUCT: [&str; 3] = ["dhcp-common/src", "dhcp-ebpf/src", "dhcp-userspace/src"];
/// Its parts that are built for tests alone.
const TESTS: [&str; 3] = ["/tests/", "/tests.rs", "fastpath/lab.rs"];

const BEGIN: &str = "<!-- unsafe: begin -->\n";
const END: &str = "<!-- unsafe: end -->";
const HEAD: &str = "| file | how often | why it is sound |\n|---|---|---|\n";

/// Write the table anew with `UPDATE=1`.
#[test]
fn every_unsafe_is_listed_with_its_reason() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = table(repository);
    let path = repository.join("docs/unsafe.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("a place for the table");
    let (listed, after) = rest.split_once(END).expect("the table's end");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            listed == table,
            "run this test with UPDATE=1; it would write\n{table}"
        );
    }
}

fn table(repository: &Path) -> String {
    let mut files: Vec<_> = PRODUCT
        .iter()
        .flat_map(|part| sources(&repository.join(part)))
        .collect();
    files.sort();
    let (mut table, mut all) = (HEAD.to_owned(), 0);
    for file in files {
        let name = file.strip_prefix(repository).unwrap().display().to_string();
        let reasons = reasons(&fs::read_to_string(&file).unwrap(), &name);
        if reasons.is_empty() || TESTS.iter().any(|part| name.contains(part)) {
            continue;
        }
        all += reasons.len();
        let different: BTreeSet<_> = reasons.iter().cloned().collect();
        let different: Vec<_> = different.into_iter().collect();
        writeln!(
            table,
            "| `{name}` | {} | {} |",
            reasons.len(),
            different.join("; ")
        )
        .unwrap();
    }
    writeln!(table, "| all | {all} | |").unwrap();
    table
}

/// Why each `unsafe` of a file is sound.
///
/// # Panics
/// If one says nothing.
fn reasons(text: &str, name: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let unsafe_lines = (0..lines.len()).filter(|at| has_unsafe(lines[*at]));
    unsafe_lines
        .map(|at| {
            let reason = reason(&lines, at);
            reason.unwrap_or_else(|| panic!("{name}:{}: no SAFETY sentence", at + 1))
        })
        .collect()
}

/// A block, an implementation, a trait or an attribute; not what forbids it.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    [
        "unsafe {",
        "unsafe impl ",
        "unsafe trait ",
        "unsafe fn ",
        "unsafe extern ",
        "[unsafe(",
    ]
    .iter()
    .any(|form| code.contains(form))
}

/// The comment above, or the section of a documentation.
fn reason(lines: &[&str], at: usize) -> Option<String> {
    if lines[at].contains("[unsafe(") {
        return Some("names a section that the kernel reads".to_owned());
    }
    let above = lines[..at].iter().rposition(|line| {
        let line = line.trim_start();
        line.starts_with("// SAFETY: ") || line == "/// # Safety"
    })?;
    // Nothing but the start of the same statement stands between.
    let comment: Vec<_> = lines[above..at]
        .iter()
        .map(|line| line.trim_start())
        .take_while(|line| line.starts_with("//"))
        .collect();
    let code = lines[above + comment.len()..at].iter();
    if code
        .clone()
        .any(|line| line.contains(';') || line.trim().is_empty())
    {
        return None;
    }
    let words = comment
        .iter()
        .map(|line| line.trim_start_matches('/').trim());
    let text = words.collect::<Vec<_>>().join(" ");
    let text = text
        .trim_start_matches("SAFETY: ")
        .trim_start_matches("# Safety ");
    Some(text.trim_end_matches('.').replace('|', "\\|"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn an_unsafe_without_a_reason_is_found() {
    let text = "fn f() {\n    // SAFETY: a reason.\n    let a =\n        unsafe { g() };\n}\n";
    assert_eq!(reasons(text, "a.rs"), ["a reason"]);
    let text = "// SAFETY: a reason.\nlet a = unsafe { g() };\nlet b = unsafe { g() };\n";
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(reason(&lines, 2), None);
    assert!(!has_unsafe("#![forbid(unsafe_code)] // unsafe { }"));
}
