//! `--exclude` of COPY and ADD: patterns as in `.dockerignore`, relative to the
//! source.

use std::path::Path;

use globset::GlobBuilder;

/// Whether a pattern takes a path out: it matches the path, or a folder above it.
pub(super) fn matches(pattern: &str, path: &Path) -> bool {
    let pattern = pattern.trim_matches('/');
    let plain = pattern.replace('{', "[{]").replace('}', "[}]");
    let Ok(glob) = GlobBuilder::new(&plain)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
    else {
        return false;
    };
    let matcher = glob.compile_matcher();
    path.ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .any(|path| matcher.is_match(path))
}
