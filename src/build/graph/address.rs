//! What a source of `ADD` is: a path, a file on the web, or a git repository.

use super::step::{Git, Source};

/// A source by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A path or pattern in the context.
    Path,
    /// A file on the web, and what it is called.
    Http { file: String },
    /// A repository.
    Git(Git),
}

/// Says what a source is.
///
/// # Errors
/// An option of a git address that is none, as a message.
pub(super) fn read(text: &str) -> Result<Address, String> {
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            // A repository is told by its name alone.
            if path.strip_suffix(".git").is_some() {
                return git(text).map(Address::Git);
            }
            let after = path.split_once("://").map_or("", |(_, rest)| rest);
            let path = after.split_once('/').map_or("", |(_, path)| path);
            // What is decoded may have slashes, too.
            let path = percent_decoded(path);
            if path.contains('\0') {
                return Err("an address cannot have `%00`".to_owned());
            }
            let file = match path.trim_end_matches('/').rsplit('/').next() {
                None | Some("" | "." | "..") => "__unnamed__",
                Some(file) => file,
            };
            Ok(Address::Http {
                file: file.to_owned(),
            })
        }
        Some("git" | "ssh") => git(text).map(Address::Git),
        None if is_scp(text) => git(text).map(Address::Git),
        _ => Ok(Address::Path),
    }
}

/// `user@host:path`, as scp(1) and git(1) have it.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let is_name = |text: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !text.is_empty() && text.chars().all(is_inner)
    };
    is_name(user) && is_name(host) && !path.is_empty()
}

/// A context that is an archive of a web server.
pub(in crate::build) fn archive(url: &str) -> Source {
    Source::Http {
        url: url.to_owned(),
        file: "context".to_owned(),
        checksum: None,
        is_tree: true,
    }
}

/// A repository: `remote[?option=value&…][#reference[:folder]]`.
///
/// # Errors
/// An option that is none or has no value.
pub(in crate::build) fn git(text: &str) -> Result<Git, String> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    let remote = match remote.strip_prefix("github.com/") {
        Some(path) => format!("https://github.com/{path}"),
        None => remote.to_owned(),
    };
    let mut git = Git {
        remote,
        reference: percent_decoded(reference),
        folder: crate::build::paths::relative(&percent_decoded(folder)),
        keeps_git_dir: false,
        checksum: None,
        has_submodules: true,
    };
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = percent_decoded(value);
        let truth = match value.as_str() {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        };
        let wrong = || format!("`{name}` of a git address cannot be `{value}`");
        match name {
            "keep-git-dir" => git.keeps_git_dir = truth.ok_or_else(wrong)?,
            "submodules" => git.has_submodules = truth.ok_or_else(wrong)?,
            "ref" | "tag" | "branch" | "subdir" | "commit" | "checksum" if value.is_empty() => {
                return Err(format!("`{name}` of a git address has no value"));
            }
            "ref" | "tag" | "branch" => {
                let value = match name {
                    "tag" => format!("refs/tags/{value}"),
                    "branch" => format!("refs/heads/{value}"),
                    _ => value,
                };
                if !git.reference.is_empty() && git.reference != value {
                    return Err("a git address names two references".to_owned());
                }
                git.reference = value;
            }
            "subdir" => git.folder = crate::build::paths::relative(&value),
            "commit" | "checksum" => git.checksum = Some(value),
            _ => return Err(format!("`{name}` is no option of a git address")),
        }
    }
    Ok(git)
}

/// A part of an address without its `%xx`; what is no such sequence stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        let code =
            code.filter(|code| *first == b'%' && code.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = others.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let http = |file: &str| Address::Http {
            file: file.to_owned(),
        };
        for (text, expected) in [
            ("a/b", Address::Path),
            ("./git@x:y/../z y", Address::Path),
            ("ftp://x/y", Address::Path),
            ("https://h/a/b.tgz?x=1#y", http("b.tgz")),
            ("https://h/a%20b", http("a b")),
            ("https://h/", http("__unnamed__")),
            ("https://h", http("__unnamed__")),
            ("https://h/a%2F..%2f%2e%2e", http("__unnamed__")),
            ("https://h/x/a%2Fb", http("b")),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in [
            "https://h/a.git",
            "git@h:a/b.git",
            "ssh://git@h/a",
            "git://h/a.git#v1",
        ] {
            assert!(matches!(read(text), Ok(Address::Git(_))), "{text}");
        }
    }

    #[test]
    fn git_addresses_have_reference_folder_and_options() {
        let found = git("https://h/a.git#v1:x/../y/").unwrap();
        assert_eq!(
            (found.reference.as_str(), found.folder.as_str()),
            ("v1", "y")
        );
        let found =
            git("https://h/a.git?tag=v1&subdir=z&keep-git-dir&submodules=0&commit=abc").unwrap();
        assert_eq!(found.reference, "refs/tags/v1");
        assert_eq!(found.checksum.as_deref(), Some("abc"));
        assert!(found.keeps_git_dir && !found.has_submodules);
        assert_eq!(found.remote, "https://h/a.git");
        for text in ["a?x=1", "a?ref=", "a?submodules=maybe", "a?ref=b#c"] {
            assert!(git(text).is_err(), "{text}");
        }
    }
}
