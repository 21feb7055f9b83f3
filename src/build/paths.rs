//! Paths within roots and contexts: texts with slashes, never looked up.

use crate::compose::clean_target;

/// An absolute path without `.`, `..` and double slashes; `..` ends at the root.
pub(super) fn absolute(path: &str) -> String {
    clean_target(&format!("/{path}"))
}

/// The same without the slash at its start.
pub(super) fn relative(path: &str) -> String {
    absolute(path).split_off(1)
}

/// A path below a folder, unless it is absolute itself.
pub(super) fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        absolute(path)
    } else {
        absolute(&format!("{folder}/{path}"))
    }
}

/// Where something is copied to: a slash at its end says that it is a folder.
pub(super) fn destination(folder: &str, path: &str) -> String {
    let is_folder = path.is_empty() || path == "." || path.ends_with('/') || path.ends_with("/.");
    let mut full = joined(folder, path);
    if is_folder && !full.ends_with('/') {
        full.push('/');
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_their_root() {
        for (path, expected) in [
            ("a/./b//c", "/a/b/c"),
            ("../../a", "/a"),
            ("", "/"),
            ("/a/..", "/"),
        ] {
            assert_eq!(absolute(path), expected);
        }
        assert_eq!(relative("/../a/"), "a");
        assert_eq!(joined("/w", "../a"), "/a");
        for (path, expected) in [
            ("x", "/w/x"),
            ("x/", "/w/x/"),
            ("x/.", "/w/x/"),
            (".", "/w/"),
            ("", "/w/"),
            ("/", "/"),
            ("/y/", "/y/"),
        ] {
            assert_eq!(destination("/w", path), expected);
        }
    }
}
