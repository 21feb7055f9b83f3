//! The patterns of `${name#…}`, `${name%…}` and `${name/…/…}`: `*` and `?`, which
//! are everything but a line's end, and letters.
//!
//! POSIX Shell Command Language, 2.13, without bracket expressions. All ways to
//! match are followed at once, so the time is the product of both lengths at most,
//! and that is bounded.

use super::expand::ExpandError;

/// What a single `${…}` may cost, in compared letters.
const MOST_WORK: usize = 5_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Letter(char),
    One,
    Many,
}

/// A pattern, and how much it may still compare.
#[derive(Debug)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    work: usize,
}

impl Pattern {
    /// Reads a pattern; a backslash takes the meaning of `*`, `?` and itself away,
    /// and is nothing before `}` and `/`.
    pub(super) fn read(text: &str) -> Result<Self, ExpandError> {
        let mut tokens = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(c) = letters.next() {
            tokens.push(match c {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match letters.next() {
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Letter(c),
                    Some(c) => {
                        return Err(ExpandError(format!(
                            "`\\{c}` is no escape in the pattern `{text}`"
                        )));
                    }
                    None => {
                        let message = format!("the pattern `{text}` ends in a backslash");
                        return Err(ExpandError(message));
                    }
                },
                c => Token::Letter(c),
            });
        }
        Ok(Self {
            tokens,
            work: MOST_WORK,
        })
    }

    /// The text without the shortest or longest match at its start.
    pub(super) fn without_prefix(
        mut self,
        text: &str,
        is_longest: bool,
    ) -> Result<String, ExpandError> {
        let letters: Vec<char> = text.chars().collect();
        let length = self.matched(&letters, is_longest)?.unwrap_or(0);
        Ok(letters.into_iter().skip(length).collect())
    }

    /// The text without the shortest or longest match at its end.
    pub(super) fn without_suffix(
        mut self,
        text: &str,
        is_longest: bool,
    ) -> Result<String, ExpandError> {
        self.tokens.reverse();
        let reversed: String = text.chars().rev().collect();
        let rest = self.without_prefix(&reversed, is_longest)?;
        Ok(rest.chars().rev().collect())
    }

    /// The text with the first match, or each, replaced; the longest ones are taken.
    pub(super) fn replaced(
        mut self,
        text: &str,
        by: &str,
        all: bool,
    ) -> Result<String, ExpandError> {
        let letters: Vec<char> = text.chars().collect();
        let mut result = String::new();
        let mut rest = letters.as_slice();
        // An empty match directly behind another one is none.
        let mut is_behind_match = false;
        loop {
            let length = self.matched(rest, true)?;
            match length {
                Some(length) if length > 0 || !is_behind_match => {
                    result.push_str(by);
                    rest = rest.get(length..).unwrap_or_default();
                    if !all {
                        result.extend(rest);
                        return Ok(result);
                    }
                    if length > 0 {
                        is_behind_match = true;
                        continue;
                    }
                }
                _ => {}
            }
            is_behind_match = false;
            let Some((first, others)) = rest.split_first() else {
                return Ok(result);
            };
            result.push(*first);
            rest = others;
        }
    }

    /// How much of a text's start the pattern matches.
    fn matched(&mut self, text: &[char], is_longest: bool) -> Result<Option<usize>, ExpandError> {
        let mut states = vec![0];
        self.skip_stars(&mut states);
        let mut found = None;
        for (at, c) in text.iter().map(Some).chain([None]).enumerate() {
            if states.last() == Some(&self.tokens.len()) {
                found = Some(at);
                if !is_longest {
                    return Ok(found);
                }
            }
            let Some(c) = c else { break };
            self.work = self.work.checked_sub(states.len() + 1).ok_or_else(|| {
                ExpandError("the pattern and the value are too long to be compared".to_owned())
            })?;
            let mut next: Vec<usize> = Vec::new();
            for state in states {
                let behind = match self.tokens.get(state) {
                    Some(Token::Many) if *c != '\n' => state,
                    Some(Token::One) if *c != '\n' => state + 1,
                    Some(Token::Letter(letter)) if letter == c => state + 1,
                    _ => continue,
                };
                if next.last() != Some(&behind) {
                    next.push(behind);
                }
            }
            if next.is_empty() {
                break;
            }
            states = next;
            self.skip_stars(&mut states);
        }
        Ok(found)
    }

    /// Adds the states behind stars, which may match nothing; keeps them in order.
    fn skip_stars(&self, states: &mut Vec<usize>) {
        let mut all = Vec::with_capacity(states.len() + 1);
        for state in states.drain(..) {
            let mut state = state;
            if all.last().is_some_and(|last| *last >= state) {
                continue;
            }
            all.push(state);
            while self.tokens.get(state) == Some(&Token::Many) {
                state += 1;
                all.push(state);
            }
        }
        *states = all;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::read(text).unwrap()
    }

    #[test]
    fn prefixes_and_suffixes_are_cut() {
        for (text, cut, shortest, longest) in [
            ("a.b.c", "*.", "b.c", "c"),
            ("a.b.c", "?.", "b.c", "b.c"),
            ("a.b.c", "b", "a.b.c", "a.b.c"),
            ("a.b.c", "*", "a.b.c", ""),
            ("a*b", "a\\*", "b", "b"),
            ("a/b", "a\\/", "b", "b"),
            ("aXbXc", "*X*X", "c", "c"),
            ("", "*", "", ""),
            ("a\nb", "*b", "a\nb", "a\nb"),
        ] {
            assert_eq!(pattern(cut).without_prefix(text, false).unwrap(), shortest);
            assert_eq!(pattern(cut).without_prefix(text, true).unwrap(), longest);
        }
        for (text, cut, shortest, longest) in [
            ("a.b.c", ".*", "a.b", "a"),
            ("a.b.c", "c", "a.b.", "a.b."),
            ("x.tar.gz", ".tar.?z", "x", "x"),
        ] {
            assert_eq!(pattern(cut).without_suffix(text, false).unwrap(), shortest);
            assert_eq!(pattern(cut).without_suffix(text, true).unwrap(), longest);
        }
    }

    #[test]
    fn matches_are_replaced() {
        for (text, what, by, first, all) in [
            ("aabaa", "a", "x", "xabaa", "xxbxx"),
            ("aabaa", "a*", "x", "x", "x"),
            ("abc", "?", "x", "xbc", "xxx"),
            ("abc", "", "-", "-abc", "-a-b-c-"),
            ("abc", "z", "x", "abc", "abc"),
            ("a\nb", "*", "x", "x\nb", "x\nx"),
        ] {
            assert_eq!(pattern(what).replaced(text, by, false).unwrap(), first);
            assert_eq!(
                pattern(what).replaced(text, by, true).unwrap(),
                all,
                "{text} {what}"
            );
        }
    }

    #[test]
    fn escapes_that_are_none_are_refused() {
        assert!(Pattern::read("a\\b").is_err());
        assert!(Pattern::read("a\\").is_err());
    }

    #[test]
    fn the_work_is_bounded() {
        let text = "a".repeat(100_000);
        let stars = "*a".repeat(2_000);
        assert!(pattern(&stars).without_prefix(&text, true).is_err());
        assert!(pattern("*b").replaced(&text, "", true).is_err());
        assert_eq!(pattern("b").replaced(&text, "", true).unwrap(), text);
    }
}
