//! Where a line of a file uses a variable.

/// How a variable is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseKind {
    /// `$NAME`, `${NAME}`.
    Plain,
    /// `${NAME:?…}`, `${NAME?…}`.
    Required,
    /// `${NAME:-…}`, `${NAME-…}`.
    WithDefault,
}

impl UseKind {
    /// True where a use is of this kind; `rest` is what follows its name.
    fn is(self, has_brace: bool, rest: &str) -> bool {
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        match self {
            Self::Plain => !has_brace || rest.starts_with('}'),
            Self::Required => has_brace && operator.starts_with('?'),
            Self::WithDefault => has_brace && operator.starts_with('-'),
        }
    }
}

/// Where a line uses a variable in a way, or at all, and how long that is from the
/// dollar on, the braces around a name alone included; both in bytes.
pub(super) fn use_in(line: &str, name: &str, kind: Option<UseKind>) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(dollar) = line.get(at..)?.find('$') {
        at += dollar;
        let after = line.get(at + 1..)?;
        if after.starts_with('$') {
            at += 2; // an escaped one
            continue;
        }
        let bare = after.strip_prefix('{').unwrap_or(after);
        let has_brace = after.len() != bare.len();
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if let Some(rest) = bare.strip_prefix(name)
            && !rest.starts_with(is_name)
            && kind.is_none_or(|kind| kind.is(has_brace, rest))
        {
            let closed = usize::from(has_brace && rest.starts_with('}'));
            return Some((at, 1 + usize::from(has_brace) + name.len() + closed));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_apart() {
        let line = "$$A ${AB} ${A:-x} ${A-y}${A} $A ${A?z}";
        let found =
            |kind| use_in(line, "A", kind).and_then(|(at, length)| line.get(at..at + length));
        let start = |kind| use_in(line, "A", kind).map(|(at, _)| at);
        assert_eq!(found(None), Some("${A"));
        assert_eq!(start(None), Some(10));
        assert_eq!(found(Some(UseKind::Plain)), Some("${A}"));
        assert_eq!(start(Some(UseKind::WithDefault)), Some(10));
        assert_eq!(start(Some(UseKind::Required)), Some(32));
        assert_eq!(use_in("$$B $BC", "B", None), None);
    }
}
