//! Durations as people write them: `90s`, `30m`, `1h30m`, `2d`, `500ms`.

use std::time::Duration;

use super::error::Problem;

/// Longest first, with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
const HINT: &str = "write numbers with units: 90s, 30m, 1h, 1h30m, 2d";

/// Reads a duration: whole numbers with units, the longest unit first.
pub(super) fn parse(text: &str) -> Result<Duration, Problem> {
    if matches!(text, "infinite" | "infinity" | "forever" | "never") {
        let what = format!("{text} is not possible: every promise to a client needs an end");
        return Err(Problem::new(what, "write a long time, like 30d"));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = format!("{text} has no unit");
        let hint = format!("write {text}s, or another unit: m (minutes), h (hours), d (days)");
        return Err(Problem::new(what, hint));
    }
    let milliseconds = milliseconds(text)
        .ok_or_else(|| Problem::new(format!("{text:?} is not a duration"), HINT.to_owned()))?;
    Ok(Duration::from_millis(milliseconds))
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut sum = 0u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit());
        let (unit, after) = tail.split_at(end.unwrap_or(tail.len()));
        // What `find` has passed over is not found again: so units only get shorter.
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*size)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// A duration as [`parse`] reads it; parts of milliseconds are left out.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_add_up() {
        for (text, seconds) in [("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(show(Duration::from_millis(60_050)), "1m50ms");
        assert_eq!(show(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "h",
            "1",
            "1.5h",
            "30m1h",
            "1h1h",
            "5ms1s",
            "1sm",
            "1w",
            "-1h",
            "1h ",
            "9999999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("infinite").unwrap_err().what.contains("needs an end"));
        assert!(parse("60").unwrap_err().hint.starts_with("write 60s"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(milliseconds: u32) {
            let duration = Duration::from_millis(milliseconds.into());
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
