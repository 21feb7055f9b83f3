//! Paths in archives, as text: cleaned, split, and told apart from whiteouts.

use super::UnpackError;

/// Marks a removed name of the layers below.
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// Marks a folder whose content below is hidden.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other marks of aufs, which mean nothing in a layer.
const AUFS: &[u8] = b".wh..wh.";

/// A cleaned path: relative, without `.`, `..` and doubled slashes. Empty is
/// the root.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, UnpackError> {
    if path.contains(&0) {
        return Err(UnpackError::Name(printable(path)));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    return Err(UnpackError::Escape(printable(path)));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// Folder and last component of a cleaned path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            let (folder, name) = path.split_at(slash);
            (folder, name.get(1..).unwrap_or_default())
        }
        None => (b"", path),
    }
}

/// What a last component says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// An entry of its own.
    Entry,
    /// The name is gone.
    Removed(&'a [u8]),
    /// What lies below in this folder is hidden.
    Opaque,
    /// Of no meaning to us.
    Ignored,
}

/// Reads the meaning of a last component.
pub(super) fn meaning(name: &[u8]) -> Meaning<'_> {
    if name == OPAQUE {
        Meaning::Opaque
    } else if name.starts_with(AUFS) {
        Meaning::Ignored
    } else if let Some(removed) = name.strip_prefix(WHITEOUT) {
        Meaning::Removed(removed)
    } else {
        Meaning::Entry
    }
}

/// For messages.
pub(super) fn printable(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b", "b"),
            (".", ""),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(
                clean(path.as_bytes()).unwrap(),
                expected.as_bytes(),
                "{path}"
            );
        }
        for bad in ["..", "../a", "/../a", "a/../../b", "a/./../../b"] {
            assert!(
                matches!(clean(bad.as_bytes()), Err(UnpackError::Escape(_))),
                "{bad}"
            );
        }
        assert!(matches!(clean(b"a\0b"), Err(UnpackError::Name(_))));
    }

    #[test]
    fn whiteouts_are_told_from_entries() {
        assert_eq!(meaning(b"a.wh.b"), Meaning::Entry);
        assert_eq!(meaning(b".wh.a"), Meaning::Removed(b"a"));
        assert_eq!(meaning(b".wh..wh..opq"), Meaning::Opaque);
        assert_eq!(meaning(b".wh..wh.plnk"), Meaning::Ignored);
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
