//! The few colours in use.

use anstyle::{AnsiColor, Style};

/// Headings of errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Headings of warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Headings of advice.
pub const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// Colours of log prefixes, one a container in turn: those that `docker
/// compose` uses, in its order.
const PREFIXES: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
];

/// The style of the `index`-th container's log prefix; every second round of
/// the palette is bright.
pub fn prefix(index: usize) -> Style {
    let round = index / PREFIXES.len();
    let color = PREFIXES
        .get(index % PREFIXES.len())
        .copied()
        .unwrap_or(AnsiColor::White);
    if round.is_multiple_of(2) {
        color.on_default()
    } else {
        color.on_default().bold()
    }
}

/// The text in this style, or as it is where colours are off.
pub fn paint(on: bool, style: Style, text: &str) -> String {
    if on {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_is_plain_where_colours_are_off() {
        assert_eq!(paint(false, ERROR, "x"), "x");
        assert_eq!(paint(true, GOOD, "x"), "\u{1b}[32mx\u{1b}[0m");
    }

    #[test]
    fn prefixes_repeat_brighter() {
        assert_eq!(prefix(0), AnsiColor::Cyan.on_default());
        assert_eq!(prefix(5), AnsiColor::Cyan.on_default().bold());
        assert_eq!(prefix(10), prefix(0));
    }
}
