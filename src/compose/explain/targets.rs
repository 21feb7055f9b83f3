//! Entries of lists that are asked for by what they are in the container: a mount by
//! its path, a port by its number.

use super::{Explainer, Explanation};
use crate::compose::tree::Node;

/// Lists whose entries have a target.
const LISTS: [&str; 3] = ["volumes", "devices", "ports"];

impl Explainer<'_> {
    /// What is said of the entries whose target a path names: `web.volumes./data`,
    /// `web.volumes[/data]`, `web.ports.80`, and attributes below them.
    pub(super) fn by_target(&self, path: &str) -> Vec<Explanation> {
        let starts = path.bytes().enumerate();
        let starts = starts.filter(|(_, byte)| matches!(byte, b'.' | b'['));
        let found = starts.map(|(at, _)| path.split_at(at)).map(|(list, rest)| {
            let name = list.rsplit('.').next().unwrap_or_default();
            let items = self.tree.lookup(list).and_then(Node::as_seq);
            let items = items.filter(|_| LISTS.contains(&name)).unwrap_or_default();
            let items = items.iter().enumerate();
            let found = items.filter_map(|(index, item)| {
                let behind = behind(rest, &item.get("target")?.scalar_text()?)?;
                Some(self.attribute(&format!("{list}[{index}]{behind}")))
            });
            found.flatten().collect()
        });
        let mut found = found.filter(|found: &Vec<_>| !found.is_empty());
        found.next().unwrap_or_default()
    }
}

/// What stands behind a target in `.TARGET…` or `[TARGET]…`; `None` where another one,
/// or something else, is named.
fn behind<'p>(rest: &'p str, target: &str) -> Option<&'p str> {
    let behind = match rest.strip_prefix('[') {
        // A number there is a place in the list.
        Some(inner) if target.starts_with('/') => inner.strip_prefix(target)?.strip_prefix(']')?,
        Some(_) => return None,
        None => rest.strip_prefix('.')?.strip_prefix(target)?,
    };
    (behind.is_empty() || behind.starts_with('.')).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn a_target_ends_where_a_key_may_follow() {
        for (rest, target, expected) in [
            ("./data", "/data", Some("")),
            ("[/data]", "/data", Some("")),
            ("./data.source", "/data", Some(".source")),
            ("[/data].source", "/data", Some(".source")),
            ("./data2", "/data", None),
            ("[/data", "/data", None),
            ("[0]", "/data", None),
            ("[80]", "80", None),
            (".80", "80", Some("")),
        ] {
            assert_eq!(behind(rest, target), expected, "{rest}");
        }
    }
}
