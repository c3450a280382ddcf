//! Which version of a file a client has: `ETag`, `Last-Modified` and what asks for them
//! (RFC 9110, 8.8 and 13).

use std::time::{Duration, SystemTime};

use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

use super::super::root::Opened;

pub struct Version {
    /// Changes with the file, its size and its time to the nanosecond.
    pub etag: String,
    pub modified: SystemTime,
}

/// What the conditions of a request come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Send,
    NotModified,
    Failed,
}

impl Version {
    #[must_use]
    pub fn of(opened: &Opened) -> Self {
        let (seconds, nanos) = opened.modified;
        let etag = format!(
            "\"{:x}-{:x}-{seconds:x}.{nanos:x}\"",
            opened.inode, opened.size
        );
        // Headers have whole seconds, and none before 1970.
        let since = Duration::from_secs(seconds.try_into().unwrap_or_default());
        Self {
            etag,
            modified: SystemTime::UNIX_EPOCH + since,
        }
    }

    /// In the order of RFC 9110, 13.2.2: tags go before times.
    #[must_use]
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        let same = match text(headers, &IF_MATCH) {
            Some(tags) => self.is_in(tags),
            None => time(headers, &IF_UNMODIFIED_SINCE).is_none_or(|then| self.modified <= then),
        };
        if !same {
            return Verdict::Failed;
        }
        let had = match text(headers, &IF_NONE_MATCH) {
            Some(tags) => self.is_in(tags),
            None => time(headers, &IF_MODIFIED_SINCE).is_some_and(|then| self.modified <= then),
        };
        match had {
            true => Verdict::NotModified,
            false => Verdict::Send,
        }
    }

    /// Whether a part may be sent to who has another part already.
    #[must_use]
    pub fn continues(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = text(headers, &IF_RANGE) else {
            return true;
        };
        condition == self.etag
            || httpdate::parse_http_date(condition).is_ok_and(|then| then == self.modified)
    }

    fn is_in(&self, tags: &str) -> bool {
        let bare = |tag: &str| tag.trim().trim_start_matches("W/") == self.etag;
        tags.trim() == "*" || tags.split(',').any(bare)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn time(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
    const BEFORE: &str = "Fri, 15 Jan 2027 07:59:59 GMT";

    fn version() -> Version {
        Version {
            etag: "\"a\"".into(),
            modified: httpdate::parse_http_date(THEN).unwrap(),
        }
    }

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pair =
            |(name, value): &(HeaderName, &'static str)| (name.clone(), value.parse().unwrap());
        list.iter().map(pair).collect()
    }

    #[test]
    fn conditions() {
        use Verdict::{Failed, NotModified, Send};
        let rows = [
            (vec![], Send),
            (vec![(IF_NONE_MATCH, "\"a\"")], NotModified),
            (vec![(IF_NONE_MATCH, "\"b\", W/\"a\"")], NotModified),
            (vec![(IF_NONE_MATCH, "*")], NotModified),
            (vec![(IF_NONE_MATCH, "\"b\"")], Send),
            (
                vec![(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, THEN)],
                Send,
            ),
            (vec![(IF_MODIFIED_SINCE, THEN)], NotModified),
            (vec![(IF_MODIFIED_SINCE, BEFORE)], Send),
            (vec![(IF_MODIFIED_SINCE, "yesterday")], Send),
            (vec![(IF_MATCH, "\"a\"")], Send),
            (vec![(IF_MATCH, "\"b\"")], Failed),
            (vec![(IF_UNMODIFIED_SINCE, THEN)], Send),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
        ];
        for (list, want) in rows {
            assert_eq!(version().judge(&headers(&list)), want, "{list:?}");
        }
    }

    #[test]
    fn parts_go_together_only_if_they_are_of_one_version() {
        for (condition, want) in [
            ("\"a\"", true),
            ("\"b\"", false),
            (THEN, true),
            (BEFORE, false),
        ] {
            assert_eq!(
                version().continues(&headers(&[(IF_RANGE, condition)])),
                want,
                "{condition}"
            );
        }
        assert!(version().continues(&headers(&[])));
    }

    #[test]
    fn every_change_of_a_file_is_another_version() {
        let opened = |size, modified| Opened {
            file: std::fs::File::open("/dev/null").unwrap().into(),
            size,
            modified,
            inode: 7,
        };
        let etag = |size, modified| Version::of(&opened(size, modified)).etag;
        assert_eq!(etag(1, (5, 0)), etag(1, (5, 0)));
        assert_ne!(etag(1, (5, 0)), etag(2, (5, 0)));
        assert_ne!(etag(1, (5, 0)), etag(1, (5, 1)));
        assert_eq!(
            Version::of(&opened(1, (-5, 0))).modified,
            SystemTime::UNIX_EPOCH
        );
    }
}
