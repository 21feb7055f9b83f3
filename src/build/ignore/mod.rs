//! `.dockerignore`: which files of a context are left out.
//!
//! ".dockerignore files" of Docker's manual. Patterns are those of Go's
//! `filepath.Match`, `**` for any number of folders, and `!` for exceptions; the last
//! one that matches a path, or a folder above it, decides.

mod pattern;

use pattern::Pattern;
use thiserror::Error;

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: `{pattern}` is no pattern: {reason}")]
pub struct IgnoreError {
    /// From 1.
    pub line: usize,
    /// As it is written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The patterns of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// Which patterns match a folder or one above it: what a walk hands on from a folder
/// to what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched(Vec<bool>);

impl Matched {
    /// Whether any pattern matches, exceptions included.
    pub fn any(&self) -> bool {
        self.0.contains(&true)
    }
}

/// What becomes of an entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// It is left out.
    pub is_excluded: bool,
    /// Of a folder: everything in it is left out, too, so nobody has to look.
    pub is_pruned: bool,
    /// For the entries of this folder.
    pub matched: Matched,
}

/// Where the patterns of a Dockerfile are, the first that is there: beside it, then
/// in the context.
pub fn file_names(dockerfile: &str) -> [String; 2] {
    [
        format!("{dockerfile}.dockerignore"),
        ".dockerignore".to_owned(),
    ]
}

impl Ignore {
    /// Reads a file.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines());
        Self::read(lines.filter(|(_, line)| !line.starts_with('#')))
    }

    /// Takes patterns as they are given elsewhere (`--exclude`); none is a remark.
    ///
    /// # Errors
    /// The first that is no pattern, by its number.
    pub fn of(patterns: &[String]) -> Result<Self, IgnoreError> {
        Self::read((1..).zip(patterns.iter().map(String::as_str)))
    }

    fn read<'p>(lines: impl Iterator<Item = (usize, &'p str)>) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        for (line, text) in lines {
            let written = text.trim();
            if written.is_empty() {
                continue;
            }
            let fail = |reason| IgnoreError {
                line,
                pattern: written.to_owned(),
                reason,
            };
            let (is_exception, pattern) = match written.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, written),
            };
            if pattern.is_empty() {
                return Err(fail("nothing is behind the exclamation mark"));
            }
            patterns.push(Pattern::read(pattern, is_exception).map_err(fail)?);
        }
        Ok(Self { patterns })
    }

    /// Whether there is no pattern at all.
    pub const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether there are exceptions (`!`).
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }

    /// Whether a pattern leaves out whatever there is.
    pub fn takes_everything(&self) -> bool {
        self.patterns
            .iter()
            .any(|pattern| !pattern.is_exception && pattern.is_everything())
    }

    /// Whether a path is left out, itself or by a folder above it. Relative to the
    /// context, clean, with slashes.
    pub fn excludes(&self, path: &str) -> bool {
        self.decide(path).is_excluded
    }

    /// What becomes of a path, by itself and by the folders above it. Relative to the
    /// context, clean, with slashes.
    pub fn decide(&self, path: &str) -> Verdict {
        let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        ends.push(path.len());
        let start = Verdict {
            is_excluded: false,
            is_pruned: false,
            matched: self.root(),
        };
        ends.into_iter().fold(start, |above, end| {
            self.entry(&above.matched, path.get(..end).unwrap_or_default())
        })
    }

    /// The begin of a walk: nothing matches the context itself.
    pub fn root(&self) -> Matched {
        Matched(vec![false; self.patterns.len()])
    }

    /// Decides about an entry, by its whole path and what is known of its folder.
    pub fn entry(&self, folder: &Matched, path: &str) -> Verdict {
        let mut is_excluded = false;
        let mut matched = Vec::with_capacity(self.patterns.len());
        for (pattern, parent) in self.patterns.iter().zip(&folder.0) {
            let matches = *parent || pattern.matches(path);
            if matches {
                is_excluded = !pattern.is_exception;
            }
            matched.push(matches);
        }
        let begin = format!("{path}/");
        // Further down an exception may have the last word.
        let may_return =
            |pattern: &Pattern| pattern.is_exception && pattern.may_match_below(&begin);
        Verdict {
            is_excluded,
            is_pruned: is_excluded && !self.patterns.iter().any(may_return),
            matched: Matched(matched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(patterns: &[&str]) -> Ignore {
        Ignore::parse(&patterns.join("\n")).unwrap()
    }

    #[test]
    fn single_patterns() {
        for (pattern, path, expected) in [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("/a", "a", true),
            ("a/", "a", true),
            ("./a//b/../c", "a/c", true),
            ("  a  ", "a", true),
            ("*.txt", "x.txt", true),
            ("*.txt", "d/x.txt", false),
            ("*/*.txt", "d/x.txt", true),
            ("*", "a/b", true),
            ("?.c", "a.c", true),
            ("?", "/", false),
            ("**", "a/b", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/yx", false),
            ("**x", "a/yx", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/*.go", "a/b.go", true),
            ("**/*.go", "b.go", true),
            ("**/[a-c]x", "d/bx", true),
            ("[^a-c]x", "dx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a.b+c(d)|{e}$", "a.b+c(d)|{e}$", true),
            ("a.b", "axb", false),
            ("..", "a", false),
            ("../a", "a", false),
            ("é*", "état", true),
        ] {
            assert_eq!(
                ignore(&[pattern]).excludes(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn the_last_match_decides() {
        for (patterns, path, expected) in [
            (&["*", "!a"][..], "a", false),
            (&["*", "!a"], "a/b", false),
            (&["*", "!a"], "b", true),
            (&["*", "!a", "a/b"], "a/b/c", true),
            (&["a", "!a/b"], "a/b", false),
            (&["a", "!a/b"], "a/c", true),
            (&["!a", "a"], "a", true),
            (
                &["*.md", "!README*.md", "README-secret.md"],
                "README-secret.md",
                true,
            ),
            (
                &["*.md", "!README*.md", "README-secret.md"],
                "README-x.md",
                false,
            ),
            (&["#x", "", "\u{20}", "x"], "x", true),
            (&["! a"], "a", false),
        ] {
            assert_eq!(
                ignore(patterns).excludes(path),
                expected,
                "{patterns:?} {path}"
            );
        }
    }

    #[test]
    fn folders_are_skipped_where_no_exception_is_inside() {
        for (patterns, folder, is_excluded, is_pruned) in [
            (&["node_modules"][..], "node_modules", true, true),
            (&["node_modules", "!other/x"], "node_modules", true, true),
            (
                &["node_modules", "!node_modules/keep/x"],
                "node_modules",
                true,
                false,
            ),
            (&["a", "!a/b/c"], "a/x", true, true),
            (&["a", "!**/keep"], "a/x", true, false),
            (&["a", "!*/keep"], "a", true, false),
            (&["a", "!*/keep"], "a/b", true, true),
            (&["a"], "b", false, false),
        ] {
            let ignore = ignore(patterns);
            let mut matched = ignore.root();
            if let Some((parent, _)) = folder.split_once('/') {
                matched = ignore.entry(&matched, parent).matched;
            }
            let verdict = ignore.entry(&matched, folder);
            assert_eq!(
                (verdict.is_excluded, verdict.is_pruned),
                (is_excluded, is_pruned),
                "{patterns:?} {folder}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, line) in [
            ("a\n!", 2),
            ("[", 1),
            ("[]a]", 1),
            ("[a", 1),
            ("a\\", 1),
            ("[-a]", 1),
        ] {
            assert_eq!(Ignore::parse(text).unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_their_number() {
        let pattern = format!("{}b", "*a".repeat(100));
        let deep = format!("{}b", "**/a/".repeat(50));
        let path = "a".repeat(500);
        assert!(!ignore(&[&pattern]).excludes(&path));
        assert!(!ignore(&[&deep]).excludes(&"a/".repeat(50)));
    }

    #[test]
    fn the_file_beside_the_dockerfile_is_first() {
        assert_eq!(
            file_names("x/Dockerfile"),
            ["x/Dockerfile.dockerignore", ".dockerignore"]
        );
    }
}
