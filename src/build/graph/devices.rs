//! `RUN --device`, by names of the Container Device Interface. Builds are given no such
//! devices: one that is required is refused, any other one is left out, as `BuildKit`
//! does where none of that name is registered.

use crate::dockerfile::{Problem, Span};

/// The names of those that are left out, each with whether it is required.
///
/// # Errors
/// One is required, or its name is none.
pub(super) fn left_out(devices: &[(String, bool)], at: Span) -> Result<Vec<String>, Problem> {
    for (name, is_required) in devices {
        if !is_name(name) {
            return Err(
                Problem::new(at, format!("`{name}` is not the name of a device"))
                    .expected("a name of the Container Device Interface: `vendor.com/class=name`"),
            );
        }
        if *is_required {
            let message = format!("the device `{name}` is required, and builds are given none");
            return Err(Problem::new(at, message).help(
                "leave `required` out where the command can do without it, or do this work in a \
                 container: `devices` of a service",
            ));
        }
    }
    Ok(devices.iter().map(|(name, _)| name.clone()).collect())
}

/// `vendor.com/class` with or without `=name` (CDI specification, "Kind": the vendor is
/// of letters, digits, `_`, `-` and `.`, the class begins with a letter and has no dot).
fn is_name(text: &str) -> bool {
    let kind = text.split_once('=').map_or(text, |(kind, _)| kind);
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let is_alphanumeric = |found: Option<char>| found.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_word = |word: &str, others: &[char]| {
        is_alphanumeric(word.chars().next())
            && is_alphanumeric(word.chars().next_back())
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || others.contains(&c))
    };
    is_word(vendor, &['_', '-', '.'])
        && is_word(class, &['_', '-'])
        && class.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_or_has_no_name_is_refused() {
        let ask = |name: &str, is_required| {
            let asked = [(name.to_owned(), is_required)];
            left_out(&asked, Span::default()).map_err(|problem| problem.message)
        };
        for name in ["nvidia.com/gpu=all", "v/c", "a.b-c_d/e_f=*"] {
            assert_eq!(ask(name, false), Ok(vec![name.to_owned()]));
            let refused = ask(name, true).unwrap_err();
            assert!(refused.contains(&format!("the device `{name}` is required")));
        }
        for name in ["", "gpu", "/dev/fuse", "v/", "v/1c", "v/c.d", "-v/c=x"] {
            let refused = ask(name, false).unwrap_err();
            assert!(refused.contains("is not the name of a device"), "{name}");
        }
    }
}
