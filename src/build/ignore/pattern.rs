//! One pattern of a `.dockerignore`, and whether it matches: all ways at once, so that many
//! stars cost no more than their number.

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// `!`
    pub(super) is_exception: bool,
    /// Cleaned.
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Letter(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`, `[^a-z]`
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**` at the end: anything.
    All,
    /// `**` before something: nothing, or …
    Deep,
    /// … anything up to a slash.
    DeepLoop,
}

impl Pattern {
    /// Reads what is behind the exclamation mark, where there is one.
    ///
    /// # Errors
    /// It is no pattern: why.
    pub(super) fn read(text: &str, is_exception: bool) -> Result<Self, &'static str> {
        let text = clean(text);
        Ok(Self {
            is_exception,
            tokens: tokens(&text)?,
            text,
        })
    }

    /// Whether it matches whatever there is.
    pub(super) fn is_everything(&self) -> bool {
        ["*", "**", "**/*"].contains(&self.text.as_str())
    }

    /// Whether it matches a path.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.states(path).last() == Some(&true)
    }

    /// Whether a path with this begin can match.
    pub(super) fn may_match_below(&self, begin: &str) -> bool {
        self.states(begin).contains(&true)
    }

    /// Which places of the pattern a text leads to, all ways at once; the last is
    /// behind its end.
    fn states(&self, text: &str) -> Vec<bool> {
        let mut states = vec![false; self.tokens.len() + 1];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        self.skip(&mut states);
        for c in text.chars() {
            let mut next = vec![false; states.len()];
            let mut reach = |state: usize| {
                if let Some(flag) = next.get_mut(state) {
                    *flag = true;
                }
            };
            for (state, token) in self.tokens.iter().enumerate() {
                if states.get(state) != Some(&true) {
                    continue;
                }
                match token {
                    Token::Letter(letter) if *letter == c => reach(state + 1),
                    Token::One if c != '/' => reach(state + 1),
                    Token::Many if c != '/' => reach(state),
                    Token::All => reach(state),
                    Token::DeepLoop => {
                        reach(state);
                        if c == '/' {
                            reach(state + 1);
                        }
                    }
                    Token::Class { is_negated, ranges } => {
                        let is_in = ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                        if is_in != *is_negated {
                            reach(state + 1);
                        }
                    }
                    _ => {}
                }
            }
            states = next;
            if !states.contains(&true) {
                break;
            }
            self.skip(&mut states);
        }
        states
    }

    /// Adds what can be reached without a letter, which only leads further.
    fn skip(&self, states: &mut [bool]) {
        for (state, token) in self.tokens.iter().enumerate() {
            if states.get(state) != Some(&true) {
                continue;
            }
            let steps: &[usize] = match token {
                Token::Many | Token::All => &[1],
                Token::Deep => &[1, 2],
                _ => &[],
            };
            for step in steps {
                if let Some(flag) = states.get_mut(state + step) {
                    *flag = true;
                }
            }
        }
    }
}

/// As Go's `filepath.Clean`, and without a slash at the start.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let is_rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    match (parts.is_empty(), is_rooted) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        _ => parts.join("/"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    // `**name` alone is whatever ends so, in one name or several.
    if let Some(rest) = text.strip_prefix("**")
        && !rest.is_empty()
        && !rest.starts_with('/')
        && !rest.contains(['*', '?', '[', ']', '\\'])
    {
        tokens.push(Token::All);
        tokens.extend(rest.chars().map(Token::Letter));
        return Ok(tokens);
    }
    while let Some(c) = letters.next() {
        let token = match c {
            '*' if letters.next_if_eq(&'*').is_some() => {
                letters.next_if_eq(&'/');
                if letters.peek().is_none() {
                    Token::All
                } else {
                    tokens.push(Token::Deep);
                    Token::DeepLoop
                }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Letter(letters.next().ok_or("it ends in a backslash")?),
            '[' => class(&mut letters)?,
            c => Token::Letter(c),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

/// What is behind `[`, as Go's `filepath.Match` reads it.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "a `[` is not closed";
    let is_negated = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let letter = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| match letters
            .next()
            .ok_or(OPEN)?
        {
            '\\' => letters.next().ok_or(OPEN),
            '-' | ']' => Err("in `[…]`, `-` and `]` are written with a backslash"),
            c => Ok(c),
        };
        if !ranges.is_empty() && letters.next_if_eq(&']').is_some() {
            return Ok(Token::Class { is_negated, ranges });
        }
        let from = letter(letters)?;
        let to = if letters.next_if_eq(&'-').is_some() {
            letter(letters)?
        } else {
            from
        };
        ranges.push((from, to));
    }
}
