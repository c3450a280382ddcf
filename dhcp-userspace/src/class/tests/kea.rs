//! The same tests on the same request, in Kea and here.

use crate::class::testing::{bytes_of, holds};

#[test]
fn every_verdict_is_that_of_kea() {
    let mut lines = include_str!("kea.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let request = bytes_of(lines.next().unwrap());
    let verdicts: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    assert!(verdicts.len() > 70);
    for (verdict, text) in verdicts {
        assert_eq!(holds(text, &request).to_string(), verdict, "{text}");
    }
}
