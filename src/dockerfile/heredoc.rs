//! Here-documents: `<<EOF`, `<<-EOF`, `<<"EOF"`, with a number before.
//!
//! "Here-Documents" of the Dockerfile reference.

use super::expand::{Rules, expand};
use super::lines::{Line, Lines};
use super::span::{Problem, Span};

/// A file within the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// The lines, as they are written.
    pub content: String,
    /// Variables in it are replaced: its word has no quotes.
    pub expands: bool,
    /// Tabs before its lines go (`<<-`).
    pub strips_tabs: bool,
    /// Where the content is.
    pub at: Span,
}

impl Heredoc {
    /// The content as a file has it.
    pub fn file(&self) -> String {
        if !self.strips_tabs {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Whether a command is nothing but a here-document.
pub fn is_heredoc_marker(command: &str) -> bool {
    marker(command).is_some()
}

/// A word that begins a here-document.
pub(super) fn marker(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (strips_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let unset = |_: &str| None;
    let rules = Rules {
        keeps_unset: true,
        ..Rules::words('\\')
    };
    let plain = expand(rest, rules, &unset).ok()?;
    let [name] = plain.words.as_slice() else {
        return None;
    };
    let raw = Rules {
        keeps_quotes: true,
        ..rules
    };
    let quoted = expand(rest, raw, &unset).ok()?;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let is_quoted = quoted
        .words
        .first()
        .is_some_and(|word| quotes(word) != quotes(name));
    Some(Heredoc {
        name: name.clone(),
        expands: !is_quoted,
        strips_tabs,
        ..Heredoc::default()
    })
}

/// The here-documents that a line begins.
fn markers(text: &str) -> Vec<Heredoc> {
    let rules = Rules {
        keeps_quotes: true,
        keeps_escapes: true,
        keeps_unset: true,
        ..Rules::words('\\')
    };
    let words = expand(text, rules, &|_| None).map(|expanded| expanded.words);
    words
        .iter()
        .flatten()
        .filter_map(|word| marker(word))
        .collect()
}

/// Reads the content of the here-documents that a line begins.
///
/// # Errors
/// One that the file ends in.
pub(super) fn read(line: &Line, lines: &mut Lines<'_>) -> Result<Vec<Heredoc>, Problem> {
    let mut found = markers(&line.text);
    for heredoc in &mut found {
        let start = lines.end();
        let mut end = start;
        loop {
            let Some((at, raw)) = lines.raw() else {
                let message = format!("the here-document `{}` is not closed", heredoc.name);
                let at = line.text.find("<<").unwrap_or_default();
                let help = format!("end it with `{}` alone in a line", heredoc.name);
                return Err(Problem::new(line.span(at..line.text.len()), message).help(help));
            };
            let mut last = raw.trim_end_matches(['\r', '\n']);
            if heredoc.strips_tabs {
                last = last.trim_start_matches('\t');
            }
            if last == heredoc.name {
                break;
            }
            heredoc.content.push_str(raw);
            end = at + raw.len();
        }
        heredoc.at = Span::new(start..end);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_begin_one() {
        let read = |word: &str| marker(word).map(|one| (one.name, one.expands, one.strips_tabs));
        let some = |name: &str, expands, strips| Some((name.to_owned(), expands, strips));
        assert_eq!(read("<<EOF"), some("EOF", true, false));
        assert_eq!(read("3<<EOF"), some("EOF", true, false));
        assert_eq!(read("<<-EOF"), some("EOF", true, true));
        assert_eq!(read("<<- EOF"), some("EOF", true, true));
        assert_eq!(read("<<'EOF'"), some("EOF", false, false));
        assert_eq!(read("<<\"E F\""), some("E F", false, false));
        assert_eq!(read("<<E'O'F"), some("EOF", false, false));
        for word in ["<<", "<<<EOF", "<EOF", "a<<EOF", "EOF", "<<a b"] {
            assert_eq!(read(word), None, "{word}");
        }
    }

    #[test]
    fn tabs_go_where_it_says_so() {
        let heredoc = Heredoc {
            content: "\t\ta\n\tb\tc\n  d\n".to_owned(),
            strips_tabs: true,
            ..Heredoc::default()
        };
        assert_eq!(heredoc.file(), "a\nb\tc\n  d\n");
    }
}
