//! What the reference reads and the YAML library does not: the later lines of a
//! flow collection or of a quoted scalar that are indented less than YAML asks
//! for, tabs behind a colon, comments without a space before them, a dash alone
//! in a flow collection, `\'` in double quotes.
//!
//! ```yaml
//! command: [
//!   "serve"
//! ]
//! ```
//!
//! White space of these places means nothing, so the lines are moved to the
//! right and the tabs and comments become spaces; the dash gets quotes, the
//! backslash goes. This runs only on a text that
//! the library refuses, so it does not have to know all of YAML: what it takes
//! for something else is refused as before.

/// Most bytes that a new layout may have.
const MOST_BYTES: usize = 2 * super::limits::MOST_BYTES;

/// Most changes of one line.
const MOST_CHANGES: usize = 1_000;
/// Most changes of a text.
const MOST_SHIFTS: usize = 1_000_000;

/// Stands for a character that goes; a text with control characters comes not
/// this far.
const GONE: u8 = 0;
/// Stands for a dash that gets quotes.
const DASH: u8 = 1;

/// A text in a layout that the library reads.
#[derive(Debug)]
pub(super) struct Relaid {
    pub(super) text: String,
    shifts: Vec<Shift>,
}

/// From a place on, a line's characters are further right than they were.
#[derive(Debug)]
struct Shift {
    line: u32,
    column: u32,
    by: i32,
}

impl Relaid {
    /// The column that a place had before; both are counted from 1.
    pub(super) fn column(&self, line: u32, column: u32) -> u32 {
        let first = self.shifts.partition_point(|shift| shift.line < line);
        let shifts = self.shifts.iter().skip(first);
        shifts
            .take_while(|shift| shift.line == line && shift.column <= column)
            .fold(column, |column, shift| {
                column.saturating_add_signed(-shift.by)
            })
            .max(1)
    }
}

/// Lays a text out anew; `None` where there is nothing to change.
pub(super) fn relay(text: &str) -> Option<Relaid> {
    let mut layout = Layout {
        relaid: Relaid {
            text: String::with_capacity(text.len()),
            shifts: Vec::new(),
        },
        state: State::Block,
        changed: false,
    };
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let changes = layout.relaid.shifts.len();
        layout.line(number, line);
        if layout.relaid.text.len() > MOST_BYTES
            || layout.relaid.shifts.len() > MOST_SHIFTS.min(changes + MOST_CHANGES)
        {
            return None;
        }
    }
    layout.changed.then_some(layout.relaid)
}

/// What the beginning of a line is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing that goes over lines.
    Block,
    /// A plain scalar, which goes on in lines that are indented more.
    Plain(usize),
    /// A block scalar, in lines that are indented more.
    Literal(usize),
    /// Flow collections, a quote, or both.
    Flow(Flow),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow {
    /// Where it starts in its line.
    start: usize,
    /// Collections that are open.
    depth: usize,
    /// The quote that is open.
    quote: Option<u8>,
    /// A plain scalar is being read.
    plain: bool,
}

struct Layout {
    relaid: Relaid,
    state: State,
    changed: bool,
}

impl Layout {
    fn line(&mut self, number: u32, line: &str) {
        let mut bytes = line.as_bytes().to_vec();
        let indent = bytes.iter().take_while(|byte| **byte == b' ').count();
        let blank = line.trim().is_empty();
        if line.starts_with("---") || line.starts_with("...") {
            self.state = State::Block; // a document ends in the midst of anything
        }
        let mut moved = 0;
        match self.state {
            State::Plain(parent) | State::Literal(parent) if blank || indent >= parent => {
                let ends = bytes.get(indent) == Some(&b'#');
                if ends && matches!(self.state, State::Plain(_)) {
                    self.state = State::Block;
                }
            }
            State::Flow(flow) => {
                if !blank {
                    moved = flow.start.saturating_sub(indent);
                }
                if let Some(end) = self.flow(&mut bytes, 0, flow) {
                    self.block(&mut bytes, end, indent);
                }
            }
            State::Block | State::Plain(_) | State::Literal(_) => {
                self.block(&mut bytes, indent, indent);
            }
        }
        self.write(number, moved, &bytes);
    }

    /// Writes a line out, and where what of it is now.
    fn write(&mut self, line: u32, moved: usize, bytes: &[u8]) {
        let mut column = 1;
        let mut shift = |column: u32, by: usize, sign: i32| {
            self.changed = true;
            let by = i32::try_from(by).unwrap_or(i32::MAX) * sign;
            self.relaid.shifts.push(Shift { line, column, by });
        };
        if moved > 0 {
            shift(1, moved, 1);
            column += u32::try_from(moved).unwrap_or(u32::MAX);
        }
        self.relaid.text.extend(std::iter::repeat_n(' ', moved));
        // Only ASCII was replaced, and by ASCII.
        for c in String::from_utf8_lossy(bytes).chars() {
            if c == char::from(GONE) {
                shift(column, 1, -1);
            } else if c == char::from(DASH) {
                shift(column + 1, 2, 1);
                self.relaid.text.push_str("\"-\"");
                column += 3;
            } else {
                self.relaid.text.push(c);
                column += 1;
            }
        }
    }

    /// Reads the tokens of block context from `at` on. `parent` is the first
    /// column that belongs to a scalar whose collection begins in this line.
    fn block(&mut self, bytes: &mut [u8], mut at: usize, mut parent: usize) {
        self.state = State::Block;
        // Where the last token starts.
        let mut last = at;
        let mut behind_colon = false;
        while let Some(byte) = bytes.get(at).copied() {
            match byte {
                b'\t' if behind_colon => self.blank_out(bytes, at, at + 1),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => {
                    self.comment(bytes, at);
                    return;
                }
                b'-' | b'?' if ends_token(bytes, at + 1) => {
                    parent = at + 1;
                    last = at;
                }
                b':' if ends_token(bytes, at + 1) => {
                    parent = parent.max(last + 1);
                    behind_colon = true;
                }
                b'"' | b'\'' | b'[' | b'{' => {
                    let is_quote = matches!(byte, b'"' | b'\'');
                    let flow = Flow {
                        start: at,
                        depth: usize::from(!is_quote),
                        quote: is_quote.then_some(byte),
                        plain: false,
                    };
                    last = at;
                    match self.flow(bytes, at + 1, flow) {
                        Some(end) => at = end,
                        None => return,
                    }
                    continue;
                }
                b'|' | b'>' => {
                    self.header(bytes, at);
                    self.state = State::Literal(parent);
                    return;
                }
                b'&' | b'!' | b'*' => {
                    last = at;
                    at = skip(bytes, at, ends_token);
                    continue;
                }
                _ => {
                    last = at;
                    at = skip(bytes, at, |bytes, at| {
                        let byte = bytes.get(at).copied().unwrap_or(b'\n');
                        (byte == b':' && ends_token(bytes, at + 1))
                            || (byte == b'#' && is_blank(bytes, at.wrapping_sub(1)))
                            || byte == b'\n'
                    });
                    if bytes.get(at).is_none_or(|byte| *byte == b'\n') {
                        self.state = State::Plain(parent);
                        return;
                    }
                    continue;
                }
            }
            at += 1;
        }
    }

    /// Reads flow collections and quotes from `at` on; the result is where they
    /// end, `None` where they go on in the next line.
    fn flow(&mut self, bytes: &mut [u8], mut at: usize, mut flow: Flow) -> Option<usize> {
        while let Some(byte) = bytes.get(at).copied() {
            match (flow.quote, byte) {
                (Some(b'"'), b'\\') => {
                    if bytes.get(at + 1) == Some(&b'\'') {
                        set(bytes, at, GONE);
                    }
                    at += 1;
                }
                (Some(b'\''), b'\'') if bytes.get(at + 1) == Some(&b'\'') => at += 1,
                (Some(quote), _) if quote == byte => flow.quote = None,
                (None, b'\t') if !flow.plain => self.blank_out(bytes, at, at + 1),
                (None, b'#') if at == 0 || is_blank(bytes, at - 1) || !flow.plain => {
                    self.comment(bytes, at);
                    break;
                }
                (None, b'"' | b'\'') if !flow.plain => flow.quote = Some(byte),
                (None, b'-') if !flow.plain && ends_value(bytes, at + 1) => {
                    set(bytes, at, DASH);
                }
                (None, b'[' | b'{') => {
                    flow.depth += 1;
                    flow.plain = false;
                }
                (None, b']' | b'}') => {
                    flow.depth = flow.depth.saturating_sub(1);
                    flow.plain = false;
                }
                (None, b',') => flow.plain = false,
                (None, b':') if ends_token(bytes, at + 1) => flow.plain = false,
                (Some(_), _) | (None, b' ' | b'\t' | b'\r' | b'\n' | b':') => {}
                (None, _) => flow.plain = true,
            }
            at += 1;
            if flow.quote.is_none() && flow.depth == 0 {
                return Some(at);
            }
        }
        self.state = State::Flow(flow);
        None
    }

    /// A comment; one that follows something at once is taken out.
    fn comment(&mut self, bytes: &mut [u8], at: usize) {
        if at > 0 && !is_blank(bytes, at - 1) {
            let end = bytes.len();
            self.blank_out(bytes, at, end);
        }
    }

    /// The rest of a line that begins a block scalar.
    fn header(&mut self, bytes: &mut [u8], at: usize) {
        let comment = bytes.iter().skip(at).position(|byte| *byte == b'#');
        if let Some(comment) = comment {
            self.comment(bytes, at + comment);
        }
    }

    fn blank_out(&mut self, bytes: &mut [u8], from: usize, to: usize) {
        for byte in bytes.get_mut(from..to).into_iter().flatten() {
            if !matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.changed = true;
    }
}

fn set(bytes: &mut [u8], at: usize, byte: u8) {
    if let Some(slot) = bytes.get_mut(at) {
        *slot = byte;
    }
}

/// True where a value of a flow collection ends.
fn ends_value(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b',' | b']' | b'}'))
}

fn is_blank(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b' ' | b'\t'))
}

/// True for white space and the end of the text.
fn ends_token(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(u8::is_ascii_whitespace)
}

/// The first place from `at` on where `stop` holds.
fn skip(bytes: &[u8], at: usize, stop: impl Fn(&[u8], usize) -> bool) -> usize {
    (at..bytes.len())
        .find(|at| stop(bytes, *at))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_moved_to_where_their_collection_starts() {
        let relaid = relay("a:\n  b: [\n  c, \"d\ne\" ]\n  f: g\n").unwrap();
        let lines: Vec<&str> = relaid.text.lines().collect();
        assert_eq!(
            lines,
            ["a:", "  b: [", "     c, \"d", "     e\" ]", "  f: g"]
        );
        assert_eq!(relaid.column(3, 6), 3);
        assert_eq!(relaid.column(4, 6), 1);
        assert_eq!(relaid.column(5, 3), 3);
    }

    #[test]
    fn places_are_known_behind_a_change() {
        let relaid = relay("a: [-, \"it\\'s\", -]\nb: c\n").unwrap();
        assert_eq!(relaid.text, "a: [\"-\", \"it's\", \"-\"]\nb: c\n");
        assert_eq!(relaid.column(1, 5), 5);
        assert_eq!(relaid.column(1, 10), 8);
        assert_eq!(relaid.column(1, 18), 17);
        assert_eq!(relaid.column(2, 4), 4);
    }

    #[test]
    fn what_is_in_order_stays() {
        for text in [
            "a:\n  b: [\n     c]\n",
            "a: |\n  'b\n  [ c\nd: e\n",
            "a: b 'c\n  d [ e\nf: g\n",
            "a: b#c # d\n",
            "a: {b: 'c', d: \"e\\\"f\", g: it's} # h\n",
            "- |\n  - \"a\n- b\n",
            "a\tb: c\n",
        ] {
            assert!(relay(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_quote_ends_with_the_document() {
        assert!(relay("a: \"b\n---\nc: d\n").is_none());
    }

    #[test]
    fn a_text_does_not_grow_without_bound() {
        let line = format!("{}[\n", " ".repeat(10_000));
        let text = line + &"a\n".repeat(20_000);
        assert!(relay(&text).is_none());
    }
}
