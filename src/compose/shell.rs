//! Splits a command line into words, as the reference does: quotes and
//! backslashes as in a shell, nothing is expanded (`` `…` `` and `$(…)` only
//! hold together), and an unquoted `;`, `&`, `|`, `<` or `>` ends the line.

use super::diag::quoted;

/// What the characters at work are inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Single,
    Double,
    Backticks,
    Dollar,
}

/// The line being split.
struct Splitter {
    words: Vec<String>,
    word: String,
    /// A word has begun, be it empty.
    begun: bool,
    inside: Inside,
}

/// The words of `line`, or what is wrong with it; `None` where there are more than
/// `most`.
pub(crate) fn split(line: &str, most: usize) -> Result<Option<Vec<String>>, String> {
    let mut splitter = Splitter {
        words: Vec::new(),
        word: String::new(),
        begun: false,
        inside: Inside::Nothing,
    };
    let mut escaped = false;
    for c in line.chars() {
        if splitter.words.len() > most {
            break;
        }
        if escaped {
            escaped = false;
            splitter.escaped(c);
        } else if c == '\\' && splitter.inside != Inside::Single {
            escaped = true;
        } else if ends_line(c) && splitter.inside == Inside::Nothing {
            splitter.end_of_command(c);
            break;
        } else if !splitter.plain(c) {
            return Err(format!(
                "{} has a parenthesis outside of quotes",
                quoted(line)
            ));
        }
    }
    if splitter.words.len() > most {
        return Ok(None);
    }
    if escaped || splitter.inside != Inside::Nothing {
        let why = match splitter.inside {
            _ if escaped => "a backslash at its end",
            Inside::Single => "a single quote that is not closed",
            Inside::Double => "a double quote that is not closed",
            Inside::Backticks => "a backtick that is not closed",
            Inside::Dollar => "a `$(` that is not closed",
            Inside::Nothing => "a backslash at its end",
        };
        return Err(format!("{} has {why}", quoted(line)));
    }
    splitter.finish_word();
    Ok(Some(splitter.words).filter(|words| words.len() <= most))
}

fn ends_line(c: char) -> bool {
    matches!(c, ';' | '&' | '|' | '<' | '>')
}

impl Splitter {
    fn push(&mut self, c: char) {
        self.word.push(c);
        self.begun = true;
    }

    fn finish_word(&mut self) {
        if self.begun {
            self.words.push(std::mem::take(&mut self.word));
            self.begun = false;
        }
    }

    fn escaped(&mut self, c: char) {
        if matches!(self.inside, Inside::Backticks | Inside::Dollar) {
            self.push('\\');
        }
        self.push(c);
    }

    /// `2>` is a redirection of its own: the digit is no word.
    fn end_of_command(&mut self, c: char) {
        if c == '>' && !self.word.is_empty() && self.word.bytes().all(|b| b.is_ascii_digit()) {
            self.begun = false;
        }
    }

    /// Takes a character that no backslash stands before; false where it may
    /// not stand here.
    fn plain(&mut self, c: char) -> bool {
        match (c, self.inside) {
            (' ' | '\t' | '\r' | '\n', Inside::Nothing) => self.finish_word(),
            ('"', Inside::Nothing) => self.inside = Inside::Double,
            ('\'', Inside::Nothing) => self.inside = Inside::Single,
            ('"', Inside::Double) | ('\'', Inside::Single) => {
                self.inside = Inside::Nothing;
                self.begun = true;
            }
            ('`', Inside::Nothing) => {
                self.inside = Inside::Backticks;
                self.push(c);
            }
            ('`', Inside::Backticks) | (')', Inside::Dollar) => {
                self.inside = Inside::Nothing;
                self.push(c);
            }
            ('(', Inside::Nothing) if self.word.ends_with('$') => {
                self.inside = Inside::Dollar;
                self.push(c);
            }
            ('(', Inside::Nothing | Inside::Dollar) | (')', Inside::Nothing) => return false,
            _ => self.push(c),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_the_reference_does() {
        for (line, words) in [
            ("./do.sh a b", Some(vec!["./do.sh", "a", "b"])),
            ("sh -c 'a  b'", Some(vec!["sh", "-c", "a  b"])),
            ("echo \"x y\"z \"\"", Some(vec!["echo", "x yz", ""])),
            ("a\\ b c\\\\d", Some(vec!["a b", "c\\d"])),
            ("'a\\b'", Some(vec!["a\\b"])),
            ("echo a; echo b", Some(vec!["echo", "a"])),
            ("cmd 2>/dev/null", Some(vec!["cmd"])),
            ("cmd a2>f", Some(vec!["cmd", "a2"])),
            ("echo `a b` $(c d)", Some(vec!["echo", "`a b`", "$(c d)"])),
            ("  ", Some(vec![])),
            ("", Some(vec![])),
            ("echo 'open", None),
            ("echo (a)", None),
            ("echo \\", None),
            ("a b c d", None),
            ("a b c d e f", None),
        ] {
            let expected = words.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(split(line, 3).ok().flatten(), expected, "{line}");
        }
    }
}
