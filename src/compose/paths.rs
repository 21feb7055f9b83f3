//! Relative paths to absolute ones: which attributes are paths, and of which
//! kind.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::files::FileSystem;
use super::tree::{Node, Rules, Value};

/// The kinds of path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A path of this machine.
    Path,
    /// As `Path`, but a path that Windows calls absolute stays.
    MaybeWindows,
    /// A folder, or something that only looks like one: a URL, `service:…`.
    Context,
    /// As `Path`, symbolic links resolved.
    Resolved,
    /// A service's mount: the source of a bind.
    Mount,
    /// A volume that its driver's options make a bind.
    VolumeOptions,
}

static KINDS: LazyLock<Rules<Kind>> = LazyLock::new(|| {
    use Kind::{Context, MaybeWindows, Mount, Path, Resolved, VolumeOptions};
    Rules::new(&[
        ("services.*.build.context", Context),
        ("services.*.build.additional_contexts.*", Context),
        ("services.*.build.ssh.*", MaybeWindows),
        ("services.*.env_file.*.path", Path),
        ("services.*.label_file.*", Path),
        ("services.*.extends.file", Path),
        ("services.*.develop.watch.*.path", Resolved),
        ("services.*.volumes.*", Mount),
        ("configs.*.file", MaybeWindows),
        ("secrets.*.file", MaybeWindows),
        ("volumes.*", VolumeOptions),
    ])
});

/// Resolves paths against a base folder.
pub(crate) struct Resolver<'a> {
    pub(crate) base: &'a Path,
    /// `$HOME`, for `~`.
    pub(crate) home: Option<&'a str>,
    pub(crate) files: &'a dyn FileSystem,
    /// Bytes that base folders may still add; none are added beyond.
    pub(crate) room: Cell<usize>,
}

impl Resolver<'_> {
    /// Makes all paths of a canonical tree absolute.
    pub(crate) fn tree(&self, tree: &mut Node) {
        self.node(tree, &KINDS);
    }

    fn node(&self, node: &mut Node, kinds: &Rules<Kind>) {
        if let Some(kind) = kinds.rule() {
            self.apply(node, kind);
            return;
        }
        match &mut node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    if let Some(below) = kinds.key(key) {
                        self.node(child, below);
                    }
                }
            }
            Value::Seq(items) => {
                if let Some(below) = kinds.item() {
                    for item in items {
                        self.node(item, below);
                    }
                }
            }
            _ => {}
        }
    }

    fn apply(&self, node: &mut Node, kind: Kind) {
        match kind {
            Kind::Mount => {
                if node.get("type").and_then(Node::as_str) == Some("bind")
                    && let Some(source) = node.get_mut("source")
                {
                    self.apply(source, Kind::MaybeWindows);
                }
                return;
            }
            Kind::VolumeOptions => {
                let is_local = node.get("driver").and_then(Node::as_str) == Some("local");
                if let Some(options) = node.get_mut("driver_opts").filter(|_| is_local) {
                    let is_bind = options.get("o").and_then(Node::as_str) == Some("bind");
                    if let Some(device) = options.get_mut("device").filter(|_| is_bind) {
                        self.apply(device, Kind::MaybeWindows);
                    }
                }
                return;
            }
            Kind::Path | Kind::MaybeWindows | Kind::Context | Kind::Resolved => {}
        }
        let Value::Str(text) = &mut node.value else {
            return;
        };
        let path = match kind {
            Kind::Context if is_remote(text) => return,
            Kind::MaybeWindows if is_windows_absolute(text) => return,
            Kind::MaybeWindows => self.join(text),
            _ if text.is_empty() => return,
            _ => self.join(text),
        };
        *text = if kind == Kind::Resolved {
            self.resolve_link(&path)
        } else {
            path
        };
    }

    /// A path in absolute and clean form; an absolute one stays letter by
    /// letter.
    pub(crate) fn join(&self, text: &str) -> String {
        let expanded = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => clean(&format!("{home}/{rest}")),
            _ => text.to_owned(),
        };
        let base = self.base.as_os_str().len();
        if expanded.starts_with('/') || self.room.get() < base {
            return expanded;
        }
        self.room.set(self.room.get() - base);
        clean(&format!("{}/{expanded}", self.base.display()))
    }

    /// Replaces the part of a path up to its first symbolic link by what that
    /// link means.
    fn resolve_link(&self, path: &str) -> String {
        if !path.starts_with('/') {
            return path.to_owned();
        }
        let mut current = PathBuf::from("/");
        for part in Path::new(path).components().skip(1) {
            current.push(part);
            if let Some(target) = self.files.link_target(&current) {
                let link = current.to_string_lossy().into_owned();
                return path.replacen(&link, &target.to_string_lossy(), 1);
            }
        }
        path.to_owned()
    }
}

/// True for contexts that are no folder of this machine.
fn is_remote(text: &str) -> bool {
    text.contains("://")
        || ["service:", "github.com/", "git@"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

/// True for `C:\…` and `\\server\…`.
fn is_windows_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separator = |at: usize| matches!(bytes.get(at), Some(b'/' | b'\\'));
    (bytes.get(1) == Some(&b':') && separator(2))
        || (bytes.first() == Some(&b'\\') && separator(1) && bytes.len() > 2)
}

/// A path without `.`, `..` and doubled slashes, worked out from its text
/// alone.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// [`clean`] on a path type, joined to a base where it is relative.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    PathBuf::from(clean(&base.join(path).to_string_lossy()))
}

/// The way from one folder to another, both absolute and clean.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let parts = |path: &Path| -> Vec<_> {
        path.components()
            .map(|part| part.as_os_str().to_owned())
            .collect()
    };
    let (from, to) = (parts(from), parts(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| "..".into());
    let way: PathBuf = up.chain(to.into_iter().skip(common)).collect();
    if way.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_lead_to_each_other() {
        for (from, to, way) in [
            ("/a", "/a", "."),
            ("/a", "/a/b/c", "b/c"),
            ("/a/b", "/a/c", "../c"),
            ("/", "/a", "a"),
            ("/a/b", "/", "../.."),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way));
        }
    }

    #[test]
    fn paths_are_cleaned_as_text() {
        for (path, cleaned) in [
            ("", "."),
            ("/", "/"),
            ("/a/../../b/./c//d/", "/b/c/d"),
            ("a/..", "."),
            ("../a/../../b", "../../b"),
            ("./a", "a"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn windows_paths_are_known() {
        for (path, absolute) in [
            ("C:\\data", true),
            ("c:/data", true),
            ("\\\\server\\share", true),
            ("C:data", false),
            ("./a", false),
            ("/a", false),
        ] {
            assert_eq!(is_windows_absolute(path), absolute, "{path}");
        }
    }
}
