//! `$VAR`, `${VAR}` and its forms with `:-`, `-`, `:?`, `?`, `:+`, `+`, nested
//! to any sensible depth; `$$` is a dollar.
//!
//! Specification: "Interpolation". Where it leaves a choice, and where the
//! reference has quirks (what counts as the closing brace, a default must not
//! cross a line's end), this does as the reference does.

use std::collections::HashSet;

use super::raw::Variable;

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

/// A substitution, the variables that it found unset, and what is wrong.
struct Template<'a> {
    lookup: &'a Lookup<'a>,
    unset: Vec<String>,
    /// Defaults that counted, by the variable's name, where somebody asks.
    defaults: Option<Vec<(String, String)>>,
    errors: Vec<TemplateError>,
}

/// More errors of one text are not told: nobody reads them.
const MOST_ERRORS: usize = 50;

/// Replaces all variables of `text`; the second part of the result are those
/// that were used plainly and are not set.
///
/// # Errors
/// Everything that is wrong in it, each thing once, in the order of the text. There
/// is at least one.
pub(crate) fn substitute(
    text: &str,
    lookup: &Lookup<'_>,
) -> Result<(String, Vec<String>), Vec<TemplateError>> {
    let mut template = Template::new(lookup);
    let result = template.expand(text, 0);
    if template.errors.is_empty() {
        Ok((result, template.unset))
    } else {
        Err(each_once(template.errors))
    }
}

/// The defaults that stand for variables in `text`, by the variable's name and in
/// the order of the text; `${A:-${B:-x}}` has `x` for both.
pub(crate) fn defaults(text: &str, lookup: &Lookup<'_>) -> Vec<(String, String)> {
    let mut template = Template {
        defaults: Some(Vec::new()),
        ..Template::new(lookup)
    };
    template.expand(text, 0);
    template.defaults.unwrap_or_default()
}

/// Of errors of one variable, or with one text, the first.
fn each_once(errors: Vec<TemplateError>) -> Vec<TemplateError> {
    let mut seen = HashSet::new();
    let what = |error: &TemplateError| match error {
        TemplateError::Missing { name, .. } => name.clone(),
        TemplateError::Invalid { text } => text.clone(),
        TemplateError::TooDeep => String::new(),
    };
    let mut errors = errors;
    errors.retain(|error| seen.insert(what(error)));
    errors
}

/// The operators of `${VAR…}`, the longer of two that begin alike first.
const OPERATORS: [&str; 6] = [":?", ":-", ":+", "?", "-", "+"];

impl<'a> Template<'a> {
    fn new(lookup: &'a Lookup<'a>) -> Self {
        Self {
            lookup,
            unset: Vec::new(),
            defaults: None,
            errors: Vec::new(),
        }
    }

    /// The text with the values in it; what is wrong in it is noted and left out.
    fn expand(&mut self, text: &str, depth: usize) -> String {
        if depth > MOST_DEPTH {
            self.note(TemplateError::TooDeep);
            return String::new();
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$').filter(|_| !self.is_full()) {
            let (before, from) = rest.split_at(at);
            result.push_str(before);
            let after = from.get(1..).unwrap_or_default();
            rest = match after.as_bytes().first() {
                Some(b'$') => {
                    result.push('$');
                    after.get(1..).unwrap_or_default()
                }
                Some(b'{') => {
                    let (value, rest) = self.braced(after, depth);
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
        result
    }

    fn note(&mut self, error: TemplateError) {
        if !self.is_full() {
            self.errors.push(error);
        }
    }

    /// True where nothing more is noted: each search for a brace that is missing
    /// goes to the line's end.
    fn is_full(&self) -> bool {
        self.errors.len() >= MOST_ERRORS
    }

    /// The value of a variable used without an operator.
    fn value(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.push(name.to_owned());
            String::new()
        })
    }

    /// Expands what starts at the `{`; gives the value and what follows.
    fn braced<'t>(&mut self, text: &'t str, depth: usize) -> (String, &'t str) {
        let inner = text.get(1..).unwrap_or_default();
        if inner.bytes().next().is_some_and(is_name_start) {
            let (name, tail) = split_name(inner);
            if let Some(rest) = tail.strip_prefix('}') {
                return (self.value(name), rest);
            }
            if let Some(found) = self.with_operator(text, name, tail, depth) {
                return found;
            }
        }
        self.note(invalid(text));
        (String::new(), inner)
    }

    /// The same of `{NAME` and an operator; `None` where that is not what it is.
    fn with_operator<'t>(
        &mut self,
        text: &'t str,
        name: &str,
        tail: &str,
        depth: usize,
    ) -> Option<(String, &'t str)> {
        let operator = OPERATORS
            .into_iter()
            .find(|operator| tail.starts_with(operator))?;
        let close = closing_brace(text)?;
        let start = 1 + name.len() + operator.len();
        let word = text.get(start..close)?;
        let rest = text.get(close + 1..).unwrap_or_default();
        let word = self.expand(word, depth + 1);
        let value = (self.lookup)(name);
        let counts = match &value {
            Some(value) => !operator.starts_with(':') || !value.is_empty(),
            None => false,
        };
        let result = match operator.trim_start_matches(':') {
            "-" if !counts => {
                if let Some(defaults) = &mut self.defaults {
                    defaults.push((name.to_owned(), word.clone()));
                }
                word
            }
            "+" if counts => word,
            "?" if !counts => {
                self.note(TemplateError::Missing {
                    name: name.to_owned(),
                    reason: word,
                });
                String::new()
            }
            _ => value.unwrap_or_default(),
        };
        Some((result, rest))
    }
}

/// The error of what starts at a `{` and is no variable.
fn invalid(text: &str) -> TemplateError {
    let line = text.lines().next().unwrap_or_default();
    let end = line.find('}').map_or(line.len(), |at| at + 1);
    let mut shown: String = line.chars().take(LONGEST_SHOWN.min(end)).collect();
    if shown.len() < end {
        shown.push('…');
    }
    TemplateError::Invalid {
        text: format!("${shown}"),
    }
}

/// The variables that a text uses, in the order in which the reference comes
/// upon them: what follows a use with an operator in the same line, as far as the
/// line's last brace, comes before it, and what its default uses after it.
pub(crate) fn variables(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    find(text, 0, &mut found);
    found
}

fn find(text: &str, depth: usize, found: &mut Vec<Variable>) {
    if depth > MOST_DEPTH {
        return;
    }
    let mut at = 0;
    // Uses with an operator, held back up to their line's last brace.
    let mut held: Vec<Vec<Variable>> = Vec::new();
    let mut last_brace = 0;
    while let Some(dollar) = text.get(at..).and_then(|rest| rest.find('$')) {
        at += dollar + 1;
        if at > last_brace {
            found.extend(held.drain(..).rev().flatten());
        }
        let after = text.get(at..).unwrap_or_default();
        match after.as_bytes().first() {
            Some(b'$') => at += 1,
            Some(b'{') => {
                if at > last_brace {
                    let line = after.split('\n').next().unwrap_or_default();
                    last_brace = at + line.rfind('}').unwrap_or(0);
                }
                let (length, mut uses) = braced_use(after, depth);
                at += length;
                match uses.len() {
                    1 if is_plain_use(after) => found.append(&mut uses),
                    _ => held.push(uses),
                }
            }
            Some(c) if is_name_start(*c) => {
                let (name, _) = split_name(after);
                found.push(Variable::named(name));
                at += name.len();
            }
            _ => {}
        }
    }
    found.extend(held.into_iter().rev().flatten());
}

/// True for `{NAME}`.
fn is_plain_use(text: &str) -> bool {
    let (_, tail) = split_name(text.get(1..).unwrap_or_default());
    tail.starts_with('}')
}

/// What starts at a `{`: how long it is, the variable, and those of its default.
fn braced_use(text: &str, depth: usize) -> (usize, Vec<Variable>) {
    let inner = text.get(1..).unwrap_or_default();
    if !inner.bytes().next().is_some_and(is_name_start) {
        return (1, Vec::new());
    }
    let (name, tail) = split_name(inner);
    let mut variable = Variable::named(name);
    if tail.starts_with('}') {
        return (name.len() + 2, vec![variable]);
    }
    let operator = OPERATORS
        .into_iter()
        .find(|operator| tail.starts_with(operator));
    let (Some(operator), Some(close)) = (operator, closing_brace(text)) else {
        return (1, Vec::new());
    };
    let start = 1 + name.len() + operator.len();
    let word = text.get(start..close).unwrap_or_default();
    let mut nested = Vec::new();
    match operator.trim_start_matches(':') {
        "?" => variable.required = true,
        "-" => {
            word.clone_into(&mut variable.default);
            find(word, depth + 1, &mut nested);
        }
        _ => {
            word.clone_into(&mut variable.alternate);
            find(word, depth + 1, &mut nested);
        }
    }
    nested.insert(0, variable);
    (close + 1, nested)
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
            let errors = substitute(text, &lookup).unwrap_err();
            assert!(
                matches!(&errors[..], [TemplateError::Invalid { .. }]),
                "{text}"
            );
        }
        let errors = substitute("${NONE:?set it}", &lookup).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["the required variable `NONE` is missing a value: set it"]
        );
        assert!(substitute("${EMPTY:?}", &lookup).is_err());
    }

    #[test]
    fn everything_wrong_in_a_text_is_told_once() {
        let text = "${A:?} ${1} ${B:-${C?c}} ${A:?again} $A ${1} ${SET:+${D:?d}}";
        let errors = substitute(text, &lookup).unwrap_err();
        let told: Vec<&str> = errors
            .iter()
            .map(|error| match error {
                TemplateError::Missing { name, .. } => name.as_str(),
                TemplateError::Invalid { text } => text.as_str(),
                TemplateError::TooDeep => "deep",
            })
            .collect();
        assert_eq!(told, ["A", "${1}", "C", "D"]);
        let open = "${A:-".repeat(100_000);
        assert_eq!(substitute(&open, &lookup).unwrap_err().len(), 1);
        let many: String = (0..1_000).map(|n| format!("${{A{n}?}}")).collect();
        assert_eq!(substitute(&many, &lookup).unwrap_err().len(), MOST_ERRORS);
    }

    #[test]
    fn unset_variables_are_told() {
        let (_, unset) = substitute("$A ${B} ${C:-} ${SET}", &lookup).unwrap();
        assert_eq!(unset, ["A", "B"]);
    }

    #[test]
    fn defaults_are_those_that_count() {
        let text = "${SET:-a} ${EMPTY:-b} ${EMPTY-c} ${A:-${B-d}} ${SET:+${C:-e}}";
        let found = defaults(text, &lookup);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, [("EMPTY", "b"), ("B", "d"), ("A", "d"), ("C", "e")]);
    }

    /// As the reference's `config --variables` tells them.
    #[test]
    fn variables_are_found() {
        let told = |text: &str| {
            let tell = |variable: Variable| {
                let required = if variable.required { "!" } else { "" };
                let (name, default, alternate) =
                    (variable.name, variable.default, variable.alternate);
                format!("{name}{required}|{default}|{alternate}")
            };
            variables(text).into_iter().map(tell).collect::<Vec<_>>()
        };
        for (text, expected) in [
            ("none $$A $ $1 ${} ${1} ${A", &[][..]),
            ("$A-${B}", &["A||", "B||"]),
            ("${A:-x} ${B-y}", &["B|y|", "A|x|"]),
            ("${A:+x}${B+}", &["B||", "A||x"]),
            ("${A:?m $B}${C?}", &["C!||", "A!||"]),
            ("${A:-${B:-c}} $D", &["A|${B:-c}|", "B|c|", "D||"]),
            ("${A:-x} $A", &["A|x|", "A||"]),
            ("${A:-x} ${A}", &["A||", "A|x|"]),
            ("${A:-x}\n${B:-y}", &["A|x|", "B|y|"]),
            ("${A:-{}}", &["A|{}|"]),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
        let nested = "${A:-".repeat(100_000) + &"}".repeat(100_000);
        assert!(variables(&nested).len() < 100);
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = "${A:-".repeat(100_000) + &"}".repeat(100_000);
        assert_eq!(
            substitute(&text, &lookup),
            Err(vec![TemplateError::TooDeep])
        );
    }
}
