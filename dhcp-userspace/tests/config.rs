//! The configuration as its users meet it: what it means, the reference, the examples, mistakes.

#[path = "config/meaning.rs"]
mod meaning;
#[path = "config/reference.rs"]
mod reference;
#[path = "config/reload.rs"]
mod reload;

use std::fs;
use std::path::{Path, PathBuf};

use dhcp_userspace::config::{Config, load, parse};

fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("a workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn config(text: &str) -> Config {
    parse(text, Path::new("dhcp.yaml")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    parse(text, Path::new("dhcp.yaml")).unwrap_err().to_string()
}

/// `wrong.txt` holds cases: a line `# title`, a configuration, and its errors after `=> `.
#[test]
fn every_mistake_is_told_in_exactly_these_words() {
    let cases = read("dhcp-userspace/tests/config/wrong.txt");
    let mut actual = String::new();
    let mut count = 0;
    for case in cases.split("\n# ").filter(|case| !case.is_empty()) {
        let (title, rest) = case.split_once('\n').unwrap();
        let lines = rest.lines().take_while(|line| !line.starts_with("=> "));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let told = errors(&text).replace('\n', "\n=> ");
        actual += &format!("\n# {title}\n{text}=> {told}\n");
        count += 1;
    }
    assert!(count >= 50, "only {count} cases");
    let same = actual
        .lines()
        .zip(cases.lines())
        .take_while(|(a, b)| a == b);
    let line = same.count() + 1;
    assert!(
        actual == cases,
        "differs at line {line}; what is told now:\n{actual}"
    );
}

#[test]
fn a_configuration_cut_off_anywhere_is_told_to_be_wrong_or_is_right() {
    let text = read("config/dhcp.yaml");
    let places = text.char_indices().map(|(at, _)| at);
    for at in places.filter(|at| at % 11 == 0 || text.as_bytes()[*at] == b'\n') {
        if let Err(errors) = parse(&text[..at], Path::new("dhcp.yaml")) {
            assert!(!errors.0.is_empty());
        }
    }
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn included_files_are_read_in_order_and_from_where_they_are() {
    let hosts = |mac: u8, address: &str| {
        format!("reservations: [{{mac: 52:54:00:00:00:{mac:02x}, address: {address}}}]\n")
    };
    let nested = format!("include: [../more.yaml]\n{}", hosts(1, "10.0.0.1"));
    let directory = directory(&[
        (
            "dhcp.yaml",
            "include: [hosts.d/*.yaml, none/*.yaml]\nsubnets: [{subnet: 10.0.0.0/24}]\n",
        ),
        ("hosts.d/b.yaml", &hosts(2, "10.0.0.2")),
        ("hosts.d/a.yaml", &nested),
        ("hosts.d/.a.yaml.swp", "not: [yaml"),
        ("hosts.d/readme.txt", "not: [yaml"),
        (
            "more.yaml",
            "subnets: [{subnet: 10.0.1.0/24, pools: [10.0.1.1]}]\n",
        ),
    ]);
    let config = load(&directory.path().join("dhcp.yaml")).unwrap();
    let names: Vec<_> = config
        .files
        .iter()
        .map(|file| {
            file.strip_prefix(directory.path())
                .unwrap()
                .to_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        names,
        [
            "dhcp.yaml",
            "hosts.d/a.yaml",
            "hosts.d/../more.yaml",
            "hosts.d/b.yaml"
        ]
    );
    assert_eq!(config.subnets[0].hosts.len(), 2);
    assert_eq!(config.subnets[1].pools.len(), 1);
}

#[test]
fn mistakes_in_included_files_are_told_with_theirs() {
    let directory = directory(&[
        (
            "dhcp.yaml",
            "include: ['*.yaml']\nsubnets: [{subnet: 10.0.0.0/24}]\n",
        ),
        (
            "a.yaml",
            "reservations:\n  - {mac: 1, address: 10.0.0.1}\nserver: {}\n",
        ),
        ("b.yaml", "include: [a.yaml]\n"),
        ("c.yaml", "reservations: [\n"),
    ]);
    let errors = load(&directory.path().join("dhcp.yaml"))
        .unwrap_err()
        .to_string();
    let shown = errors.replace(&format!("{}/", directory.path().display()), "");
    assert_eq!(
        shown,
        "dhcp.yaml:1:11: include[0]: dhcp.yaml is included a second time, or includes itself; \
         name every file once\n\
         a.yaml:2:11: reservations[0].mac: \"1\" is not a hardware address; write six bytes in \
         hexadecimal, like 52:54:00:12:34:56\n\
         a.yaml:3:1: unknown key server; known here: subnets, reservations, include\n\
         b.yaml:1:11: include[0]: a.yaml is included a second time, or includes itself; \
         name every file once\n\
         c.yaml:1:15: not valid YAML: unclosed bracket '['; look at the indentation and at \
         quotes and brackets before this place"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_like_any_other() {
    let errors = load(Path::new("/no/such/dhcp.yaml")).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/no/such/dhcp.yaml: cannot be read: No such file or directory (os error 2)"
    );
}
