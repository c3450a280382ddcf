//! What operators note about hosts.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use serde_json::Value;

/// Anything about a host, for hooks and inventories. Kept as text: a million maps of one entry
/// would take 600 MB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata(Option<Arc<str>>);

impl From<&BTreeMap<String, Value>> for Metadata {
    fn from(map: &BTreeMap<String, Value>) -> Self {
        let text = (!map.is_empty()).then(|| serde_json::to_string(map));
        Self(text.and_then(Result::ok).map(Arc::from))
    }
}

impl Metadata {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[must_use]
    pub fn get(&self) -> BTreeMap<String, Value> {
        let text = self.0.as_deref();
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// This with what a more specific level says on top, key by key.
    #[must_use]
    pub fn overridden(&self, by: &Self) -> Self {
        match (self.is_empty(), by.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => by.clone(),
            (false, false) => {
                let mut all = self.get();
                all.extend(by.get());
                Self::from(&all)
            }
        }
    }
}

/// As JSON; nothing if there is none.
impl Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(value: Value) -> Metadata {
        let map: BTreeMap<String, Value> = serde_json::from_value(value).unwrap();
        Metadata::from(&map)
    }

    #[test]
    fn what_is_written_is_kept() {
        let value = json!({"owner": {"mail": "lab@x", "name": "\"lab\""}, "rack": [7, 1.5, true]});
        let kept = metadata(value.clone());
        assert_eq!(json!(kept.get()), value);
        assert_eq!(kept, metadata(value.clone()));
        assert_eq!(kept.to_string(), value.to_string());
        let none = metadata(json!({}));
        assert_eq!((none.is_empty(), none.get().len()), (true, 0));
        assert_eq!(none.to_string(), "");
    }

    #[test]
    fn hosts_of_a_group_share_its_text() {
        let group = metadata(json!({"rack": 7, "role": "gpu"}));
        let host = group.overridden(&Metadata::default());
        let (Some(one), Some(other)) = (&group.0, &host.0) else {
            panic!("{group:?} {host:?}");
        };
        assert!(Arc::ptr_eq(one, other));
        let own = group.overridden(&metadata(json!({"rack": 8})));
        assert_eq!(json!(own.get()), json!({"rack": 8, "role": "gpu"}));
    }
}
