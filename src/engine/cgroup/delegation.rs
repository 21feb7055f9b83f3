//! Whose a group is. systemd is the one writer of what it manages ("The
//! Single-Writer Rule" of systemd's Control Group Interface); a scope that was
//! delegated ends that: everything below it is ours, the scope itself is not.

use fs_err as fs;

/// The groups of the calling process: cgroups(7).
const OWN: &str = "/proc/self/cgroup";

/// The part of a path that was given to us, up to the scope and with it, and
/// the part below. Without a scope, the root was.
pub(super) fn split(path: &str) -> (&str, &str) {
    let mut end = 0;
    for component in path.split_inclusive('/') {
        end += component.len();
        let name = component.trim_end_matches('/');
        if name.strip_suffix(".scope").is_some() {
            let (given, own) = path.split_at(end);
            return (given.trim_end_matches('/'), own);
        }
    }
    ("", path)
}

/// The path of the systemd scope that this group is, or is below of.
pub fn scope_of(path: &str) -> Option<&str> {
    Some(split(path).0).filter(|scope| !scope.is_empty())
}

/// The group of the calling process in the version 2 hierarchy, below its root;
/// `None` where there is no such hierarchy.
pub fn own_group() -> Option<String> {
    let text = fs::read_to_string(OWN).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.trim_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_scope_is_ours() {
        for (path, given, own) in [
            ("skiff/0badcafe/shop/c1", "", "skiff/0badcafe/shop/c1"),
            ("", "", ""),
            (
                "skiff.slice/skiff-a-b.scope/c1",
                "skiff.slice/skiff-a-b.scope",
                "c1",
            ),
            (
                "skiff.slice/skiff-a-b.scope",
                "skiff.slice/skiff-a-b.scope",
                "",
            ),
            ("a.scope/b.scope/c", "a.scope", "b.scope/c"),
        ] {
            assert_eq!(split(path), (given, own), "{path}");
            assert_eq!(
                scope_of(path),
                (!given.is_empty()).then_some(given),
                "{path}"
            );
        }
    }
}
