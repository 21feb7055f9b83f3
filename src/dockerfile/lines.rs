//! The lines that make up an instruction: directives, comments, continuations.
//!
//! "Parser directives" and "Format" of the Dockerfile reference.

use std::ops::Range;

use super::span::{Problem, Source, Span, Word};

/// A parser directive, `# name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// In small letters.
    pub(super) name: String,
    pub(super) value: Word,
}

/// An instruction in one line, as if there were no continuations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    pub(super) text: String,
    /// Which part of the text stands where in the file.
    pieces: Vec<Piece>,
    /// The comments right before it, without their `#`.
    pub(super) comments: Vec<String>,
    /// An empty line among its continuations.
    pub(super) empty_continuation: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Its first byte in the text.
    text: usize,
    /// The same in the file.
    file: usize,
}

impl Line {
    fn push(&mut self, part: &str, file: usize) {
        self.pieces.push(Piece {
            text: self.text.len(),
            file,
        });
        self.text.push_str(part);
    }

    /// Where a part of the text stands in the file.
    pub(super) fn span(&self, part: Range<usize>) -> Span {
        let place = |at: usize| {
            let behind = self.pieces.partition_point(|piece| piece.text <= at);
            let piece = behind.checked_sub(1).and_then(|at| self.pieces.get(at));
            piece.map_or(0, |piece| piece.file + (at - piece.text))
        };
        let start = place(part.start);
        let end = if part.end > part.start {
            place(part.end - 1) + 1
        } else {
            start
        };
        Span::new(start..end)
    }

    /// A part of the text as a word.
    pub(super) fn word(&self, part: Range<usize>) -> Word {
        Word {
            at: self.span(part.clone()),
            text: self.text.get(part).unwrap_or_default().to_owned(),
        }
    }
}

/// Goes through a file, instruction by instruction.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: &'a Source,
    /// The next byte.
    at: usize,
    pub(super) escape: char,
    pub(super) directives: Vec<Directive>,
    pub(super) problems: Vec<Problem>,
    /// Directives are over.
    has_begun: bool,
}

/// The directives that there are.
const DIRECTIVES: [&str; 3] = ["syntax", "escape", "check"];

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        let at = if source.text().starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Self {
            source,
            at,
            escape: '\\',
            directives: Vec::new(),
            problems: Vec::new(),
            has_begun: false,
        }
    }

    /// The next line of the file with its end, and where it begins.
    pub(super) fn raw(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.source.text().get(self.at..)?;
        let line = rest.split_inclusive('\n').next()?;
        let at = self.at;
        self.at += line.len();
        Some((at, line))
    }

    /// Up to where the file was read.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next instruction.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        let mut line = Line::default();
        loop {
            let (at, raw) = self.raw()?;
            let content = raw.trim_end_matches(['\r', '\n']);
            let trimmed = content.trim_start();
            let at = at + (content.len() - trimmed.len());
            if let Some(comment) = trimmed.strip_prefix('#') {
                if !self.directive(comment, at + 1) {
                    let comment = comment.trim();
                    if comment.is_empty() {
                        line.comments.clear();
                    } else {
                        line.comments.push(comment.to_owned());
                    }
                }
                continue;
            }
            self.has_begun = true;
            let (part, continues) = self.without_continuation(trimmed);
            if !continues && part.is_empty() {
                continue;
            }
            line.push(part, at);
            if continues {
                self.continuations(&mut line);
            }
            return Some(line);
        }
    }

    fn continuations(&mut self, line: &mut Line) {
        while let Some((at, raw)) = self.raw() {
            let content = raw.trim_end_matches(['\r', '\n']);
            let trimmed = content.trim_start();
            if trimmed.starts_with('#') {
                continue;
            }
            if trimmed.is_empty() {
                line.empty_continuation = Some(Span::new(at..at + raw.len()));
                continue;
            }
            let (part, continues) = self.without_continuation(content);
            line.push(part, at);
            if !continues {
                return;
            }
        }
    }

    /// A line without the escape letter at its end, which another one before it
    /// takes the meaning of.
    fn without_continuation<'b>(&self, line: &'b str) -> (&'b str, bool) {
        match line.trim_end_matches([' ', '\t']).strip_suffix(self.escape) {
            Some(part) if !part.ends_with(self.escape) => (part, true),
            _ => (line, false),
        }
    }

    /// Takes a comment as a directive, if it is one: only at the top, before any
    /// other comment.
    fn directive(&mut self, comment: &str, at: usize) -> bool {
        if self.has_begun {
            return false;
        }
        let begin = comment.trim_start();
        let at = at + (comment.len() - begin.len());
        let parts = begin
            .split_once('=')
            .map(|(name, value)| (name.trim_end(), value));
        let Some((name, value)) = parts.filter(|(name, value)| {
            let is_known = DIRECTIVES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name));
            is_known && !value.trim().is_empty()
        }) else {
            self.has_begun = true;
            return false;
        };
        let name = name.to_ascii_lowercase();
        let start = at + (begin.len() - value.trim_start().len());
        let value = value.trim();
        let directive = Directive {
            value: Word {
                text: value.to_owned(),
                at: Span::new(start..start + value.len()),
            },
            name,
        };
        let whole = Span::new(at - 1..start + value.len());
        if self
            .directives
            .iter()
            .any(|known| known.name == directive.name)
        {
            let message = format!("the directive `{}` is given twice", directive.name);
            self.problems.push(Problem::new(whole, message));
            return true;
        }
        if directive.name == "escape" {
            match directive.value.text.as_str() {
                "\\" => {}
                "`" => self.escape = '`',
                other => {
                    let message = format!("`{other}` cannot be the escape letter");
                    let problem = Problem::new(directive.value.at, message);
                    self.problems
                        .push(problem.expected("a backslash or a backtick"));
                }
            }
        }
        self.directives.push(directive);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let source = Source::new(text.to_owned());
        let mut lines = Lines::new(&source);
        std::iter::from_fn(|| lines.next_line())
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn continuations_comments_and_empty_lines_are_joined() {
        for (text, expected) in [
            ("RUN a\nRUN b\n", vec!["RUN a", "RUN b"]),
            ("RUN a \\\n  b\r\nRUN c", vec!["RUN a   b", "RUN c"]),
            ("RUN a \\  \n# no\n\n  b", vec!["RUN a   b"]),
            ("RUN a \\\\\nRUN b", vec!["RUN a \\\\", "RUN b"]),
            ("\u{feff}RUN a", vec!["RUN a"]),
            ("  RUN a\n\n \n# x\n\\\nRUN b", vec!["RUN a", "RUN b"]),
            (
                "# escape=`\nRUN a `\n b \\\nRUN c",
                vec!["RUN a  b \\", "RUN c"],
            ),
            ("#x\n# escape=`\nRUN a `\nRUN b", vec!["RUN a `", "RUN b"]),
            ("RUN a \\", vec!["RUN a "]),
            ("# only\n", vec![]),
        ] {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn parts_know_where_they_stand() {
        let text = "FROM x\nRUN a \\\n # c\n  bb \\\n cé";
        let source = Source::new(text.to_owned());
        let mut lines = Lines::new(&source);
        lines.next_line().unwrap();
        let line = lines.next_line().unwrap();
        for part in ["RUN", "a", "bb", "cé"] {
            let at = line.text.find(part).unwrap();
            let span = line.span(at..at + part.len());
            assert_eq!(source.part(span), part);
        }
        assert_eq!(source.place(line.span(9..9).start).line, 4);
    }

    #[test]
    fn directives_are_at_the_top_only() {
        let text = "# Syntax = docker/dockerfile:1 \n#check=skip=all\n# other\n# escape=`\nFROM x";
        let source = Source::new(text.to_owned());
        let mut lines = Lines::new(&source);
        let line = lines.next_line().unwrap();
        let found: Vec<_> = lines
            .directives
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.value.text.as_str(),
                    source.part(one.value.at),
                )
            })
            .collect();
        let expected = [
            ("syntax", "docker/dockerfile:1", "docker/dockerfile:1"),
            ("check", "skip=all", "skip=all"),
        ];
        assert_eq!(found, expected);
        assert_eq!(line.comments, ["other", "escape=`"]);
        assert_eq!(lines.escape, '\\');
    }
}
