//! `$VAR`, `${VAR}` and its forms with `:-`, `-`, `:?`, `?`, `:+`, `+`, nested
//! to any sensible depth; `$$` is a dollar.
//!
//! Specification: "Interpolation". Where it leaves a choice, and where the
//! reference has quirks (what counts as the closing brace, a default must not
//! cross a line's end), this does as the reference does.

/// Nesting deeper than this is an error.
const MOST_DEPTH: usize = 64;

/// Most characters of a wrong text that a message repeats.
const LONGEST_SHOWN: usize = 60;

/// What a variable's name stands for.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// What follows `${` is no variable.
    #[error("`{text}` is not a valid use of a variable")]
    Invalid {
        /// The text from the `${` on.
        text: String,
    },
    /// `${VAR:?message}` without a value.
    #[error(
        "the required variable `{name}` is missing a value{}",
        reason_text(reason)
    )]
    Missing {
        /// The variable.
        name: String,
        /// What the file says about it.
        reason: String,
    },
    /// Defaults within defaults without end.
    #[error("variables are nested deeper than {MOST_DEPTH} levels")]
    TooDeep,
}

fn reason_text(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

/// A substitution and the variables that it found unset.
struct Template<'a> {
    lookup: &'a Lookup<'a>,
    unset: Vec<String>,
}

/// Replaces all variables of `text`; the second part of the result are those
/// that were used plainly and are not set.
pub(crate) fn substitute(
    text: &str,
    lookup: &Lookup<'_>,
) -> Result<(String, Vec<String>), TemplateError> {
    let mut template = Template {
        lookup,
        unset: Vec::new(),
    };
    let result = template.expand(text, 0)?;
    Ok((result, template.unset))
}

/// The operators of `${VAR…}`, the longer of two that begin alike first.
const OPERATORS: [&str; 6] = [":?", ":-", ":+", "?", "-", "+"];

impl Template<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<String, TemplateError> {
        if depth > MOST_DEPTH {
            return Err(TemplateError::TooDeep);
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            result.push_str(before);
            let after = from.get(1..).unwrap_or_default();
            rest = match after.as_bytes().first() {
                Some(b'$') => {
                    result.push('$');
                    after.get(1..).unwrap_or_default()
                }
                Some(b'{') => {
                    let (value, rest) = self.braced(after, depth)?;
                    result.push_str(&value);
                    rest
                }
                Some(c) if is_name_start(*c) => {
                    let (name, rest) = split_name(after);
                    result.push_str(&self.value(name));
                    rest
                }
                _ => {
                    result.push('$');
                    after
                }
            };
        }
        result.push_str(rest);
        Ok(result)
    }

    /// The value of a variable used without an operator.
    fn value(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.push(name.to_owned());
            String::new()
        })
    }

    /// Expands what starts at the `{`; gives the value and what follows.
    fn braced<'t>(
        &mut self,
        text: &'t str,
        depth: usize,
    ) -> Result<(String, &'t str), TemplateError> {
        let invalid = || {
            let line = text.lines().next().unwrap_or_default();
            let end = line.find('}').map_or(line.len(), |at| at + 1);
            let mut shown: String = line.chars().take(LONGEST_SHOWN.min(end)).collect();
            if shown.len() < end {
                shown.push('…');
            }
            TemplateError::Invalid {
                text: format!("${shown}"),
            }
        };
        let inner = text.get(1..).unwrap_or_default();
        if !inner.bytes().next().is_some_and(is_name_start) {
            return Err(invalid());
        }
        let (name, tail) = split_name(inner);
        if let Some(rest) = tail.strip_prefix('}') {
            return Ok((self.value(name), rest));
        }
        let operator = OPERATORS
            .into_iter()
            .find(|operator| tail.starts_with(operator))
            .ok_or_else(invalid)?;
        let close = closing_brace(text).ok_or_else(invalid)?;
        let start = 1 + name.len() + operator.len();
        let word = text.get(start..close).ok_or_else(invalid)?;
        let rest = text.get(close + 1..).unwrap_or_default();
        let word = self.expand(word, depth + 1)?;
        let value = (self.lookup)(name);
        let counts = |value: &Option<String>| match value {
            Some(value) => !operator.starts_with(':') || !value.is_empty(),
            None => false,
        };
        let result = match operator.trim_start_matches(':') {
            "-" if counts(&value) => value.unwrap_or_default(),
            "-" => word,
            "+" if counts(&value) => word,
            "+" => value.unwrap_or_default(),
            _ if counts(&value) => value.unwrap_or_default(),
            _ => {
                return Err(TemplateError::Missing {
                    name: name.to_owned(),
                    reason: word,
                });
            }
        };
        Ok((result, rest))
    }
}

fn is_name_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Where the brace that opens `text` is closed: at its partner, counted
/// without regard to what stands right behind an opening brace; where there is
/// none, at the last brace of the line.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut last = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => break,
            b'{' => {
                open += 1;
                match bytes.next() {
                    Some((at, b'}')) => last = Some(at),
                    Some((_, b'\n')) => break,
                    _ => {}
                }
            }
            b'}' => {
                open = open.saturating_sub(1);
                last = Some(at);
                if open == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn all_forms_are_expanded() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("$SET-$NONE.", "value-."),
            ("${SET}x$$SET$$", "valuex$SET$"),
            ("100$ $5 $", "100$ $5 $"),
            ("${NONE:-d} ${EMPTY:-d} ${EMPTY-d} ${SET-d}", "d d  value"),
            ("${SET:+a}${EMPTY:+b}${EMPTY+c}${NONE+d}", "ac"),
            ("${SET:?m}${SET?m}${EMPTY?m}", "valuevalue"),
            ("${NONE:-${SET}}", "value"),
            ("${NONE:-${EMPTY:-x}y}z", "xyz"),
            ("${NONE:-a} and ${SET:-b}", "a and value"),
            ("${NONE:-a:-b?c}", "a:-b?c"),
            ("${NONE:-{}}", "{}"),
            ("${NONE:-}}", "}"),
            ("${NONE:-$$}", "$"),
            ("a\n${SET}\nb", "a\nvalue\nb"),
        ] {
            let result = substitute(text, &lookup).map(|(text, _)| text);
            assert_eq!(result.as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn wrong_forms_are_refused() {
        for text in [
            "${}",
            "${1BAD}",
            "${A B}",
            "${A",
            "${A:-x\ny}",
            "${ A}",
            "${A:x}",
        ] {
            let error = substitute(text, &lookup).unwrap_err();
            assert!(matches!(error, TemplateError::Invalid { .. }), "{text}");
        }
        let error = substitute("${NONE:?set it}", &lookup).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the required variable `NONE` is missing a value: set it"
        );
        assert!(substitute("${EMPTY:?}", &lookup).is_err());
    }

    #[test]
    fn unset_variables_are_told() {
        let (_, unset) = substitute("$A ${B} ${C:-} ${SET}", &lookup).unwrap();
        assert_eq!(unset, ["A", "B"]);
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = "${A:-".repeat(100_000) + &"}".repeat(100_000);
        assert_eq!(substitute(&text, &lookup), Err(TemplateError::TooDeep));
    }
}
