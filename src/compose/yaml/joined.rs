//! Entries of a list that are indented deeper than the one above. YAML takes such a
//! line, its dash included, for the rest of that one's text.

use saphyr_parser::Span;

use super::Reader;
use crate::compose::diag::quoted;
use crate::compose::tree::Mark;

/// Lines of a text that are looked at.
const MOST_LINES: usize = 100;

impl Reader<'_> {
    /// Warns of lines that begin with `- ` and are part of a text without quotes,
    /// which is itself an entry of a list.
    pub(super) fn joined_entries(&mut self, text: &str, span: Span, mark: Mark) {
        if span.start.line() == span.end.line() || self.report.is_full() {
            return;
        }
        let Some(wanted) = self.dash_before(mark) else {
            return;
        };
        let last = u32::try_from(span.end.line()).unwrap_or(u32::MAX);
        let lines = (mark.line + 1..=last).take(MOST_LINES);
        let mut joined = lines.filter_map(|line| {
            let start = Mark {
                line,
                column: 1,
                length: 0,
                ..mark
            };
            let written = self.report.sources.line(start)?;
            let entry = written.trim();
            let own = written.chars().take_while(|c| *c == ' ').count();
            let is_joined = entry.starts_with("- ") && own > wanted && text.contains(entry);
            let place = Mark {
                column: u32::try_from(own + 1).unwrap_or(u32::MAX),
                length: u16::try_from(entry.chars().count()).unwrap_or(Mark::TO_LINE_END),
                ..start
            };
            is_joined.then(|| (place, quoted(entry)))
        });
        let Some((first, entry)) = joined.next() else {
            return;
        };
        let message = format!(
            "this line is indented deeper than the entry in line {} and is taken for a part of its \
             text",
            mark.line
        );
        let place = match wanted {
            0 => format!("begin {entry} in the first column"),
            1 => format!("indent {entry} with 1 space"),
            _ => format!("indent {entry} with {wanted} spaces"),
        };
        let rest = match joined.count() {
            0 => "as the entry above; where text is meant, put all of it in quotes",
            _ => "as the entry above, and the lines below that begin with `- ` as well",
        };
        let suggestion = format!("{place}, {rest}");
        let path = self.trail();
        let warning = self
            .report
            .at(first, path.as_str(), message)
            .suggest(suggestion);
        self.report.push_warning(warning);
    }

    /// How many characters stand before the dash of the entry that begins at a mark.
    fn dash_before(&self, mark: Mark) -> Option<usize> {
        let line = self.report.sources.line(mark)?;
        let column = usize::try_from(mark.column).ok()?;
        let before: String = line.chars().take(column - 1).collect();
        let before = before.trim_end().strip_suffix('-')?;
        let is_entry = before.chars().all(|c| matches!(c, ' ' | '-'));
        is_entry.then(|| before.chars().count())
    }
}
