//! Files of variables: `.env`, `env_file`, `label_file`, in the reference's
//! grammar, and its `raw` format.
//!
//! Specification: "`env_file`", "`Env_file` format". `NAME=VALUE` a line; `export`
//! before it and `:` instead of `=` are allowed; a name alone takes its value
//! from outside; single quotes keep everything, double quotes know escapes and
//! variables, values without quotes know variables and end at ` #`.

mod escapes;
mod names;
mod parser;
mod raw;
#[cfg(test)]
mod tests;
mod uses;

use std::ops::Range;

use indexmap::IndexMap;

use super::limits::MOST_SETTINGS;
use super::template::Lookup;

use parser::read;
pub(crate) use raw::parse_raw;
pub(crate) use uses::Used;

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DotenvError {
    pub(crate) line: u32,
    pub(crate) message: String,
    /// What would have been right.
    pub(crate) expected: &'static str,
    /// What to do.
    pub(crate) suggestion: Option<String>,
}

/// What a line looks like.
const LINE: &str = "NAME=VALUE, the name of letters, digits, `_`, `.` and `-`";

/// More errors of one file are not told: nobody reads them.
const MOST_ERRORS: usize = 50;

/// A variable that a file sets, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: u32,
    /// Where the value stands in the text, without a byte order mark, in bytes; of a
    /// name alone the name.
    pub(crate) written: Range<usize>,
    /// The variables in it, where somebody asks: each once.
    pub(crate) uses: Vec<Used>,
}

/// What there is to say of a file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Variables that were used in values and are nowhere set.
    pub(crate) unset: Vec<String>,
    /// What the file sets, each time that it does.
    pub(crate) settings: Vec<Assignment>,
    /// The name alone that ends the file, without a line end, and its line: it is the
    /// value of a variable without a name.
    pub(crate) unended: Option<(u32, String)>,
}

impl Parsed {
    /// True where something of it is to be told.
    pub(crate) fn is_told(&self) -> bool {
        !self.unset.is_empty() || self.unended.is_some()
    }
}

/// Reads a file into `variables`. `outside` is asked first for variables that
/// are used in values, then what was read so far.
///
/// # Errors
/// Everything that is wrong, in the file's order, at least one; what follows a
/// quote that is not closed is not looked at.
pub(crate) fn parse(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    read(text, variables, outside, false)
}

/// The same, with the variables in each value.
///
/// # Errors
/// As of [`parse`].
pub(crate) fn parse_with_uses(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    read(text, variables, outside, true)
}

fn too_many(line: u32) -> DotenvError {
    DotenvError {
        line,
        message: format!("a file sets at most {MOST_SETTINGS} variables"),
        expected: LINE,
        suggestion: Some(
            "leave the rest out, or check that this is a file of variables".to_owned(),
        ),
    }
}

/// Where a file gives a variable this value for good; `None` where it does not.
pub(crate) fn assignment(
    text: &str,
    name: &str,
    value: &str,
    outside: &Lookup<'_>,
) -> Option<Assignment> {
    let parsed = parse_with_uses(text, &mut IndexMap::new(), outside).ok()?;
    let mut last = parsed.settings.into_iter().rev();
    let last = last.find(|set| set.name == name)?;
    (last.value == value).then_some(last)
}
