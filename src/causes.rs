//! An error as one text: what failed, and why.

use std::error::Error;

/// An error's text and those of its causes, joined by `: `. Some errors repeat
/// their cause's text; what has been said already is not said again.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Box<dyn Error>,
    }

    fn step(text: &'static str, source: impl Error + 'static) -> Step {
        let source = Box::new(source);
        Step { text, source }
    }

    #[test]
    fn every_cause_is_told_once() {
        let space = || io::Error::other("no space");
        let table = [
            (
                step("cannot mount `x`", space()),
                "cannot mount `x`: no space",
            ),
            (
                step("cannot start", step("cannot mount `x`", space())),
                "cannot start: cannot mount `x`: no space",
            ),
            (step("no space", space()), "no space"),
            (step("no space on `x`", space()), "no space on `x`"),
            (
                step("cannot mount: no space", step("disk full", space())),
                "cannot mount: no space: disk full",
            ),
        ];
        for (error, expected) in table {
            assert_eq!(with_causes(&error), expected);
        }
    }
}
