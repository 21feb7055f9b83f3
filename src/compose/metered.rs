//! The text that the YAML parser reads, cut off where the parser would hold too
//! much of it at once.
//!
//! Within brackets anything may turn out to be a key, so the parser keeps the
//! tokens of a whole inner collection before it gives the first event; a file of
//! nothing but commas would fill the memory before any limit on nodes applied.

use std::cell::Cell;

use saphyr_parser::input::SkipTabs;
use saphyr_parser::{Input, StrInput};

use super::limits::MOST_TOKENS;

/// How many tokens were begun since the last event; shared by the input and its
/// reader.
#[derive(Debug, Default)]
pub(super) struct Meter(Cell<usize>);

impl Meter {
    /// An event has come: what led to it is held no longer.
    pub(super) fn reset(&self) {
        self.0.set(0);
    }

    /// True once the text was cut off.
    pub(super) fn is_over(&self) -> bool {
        self.0.get() > MOST_TOKENS
    }
}

/// The text, and its meter.
pub(super) struct Metered<'t> {
    text: StrInput<'t>,
    meter: &'t Meter,
}

impl<'t> Metered<'t> {
    pub(super) fn new(text: &'t str, meter: &'t Meter) -> Self {
        Self {
            text: StrInput::new(text),
            meter,
        }
    }
}

/// Hands the calls on.
macro_rules! delegate {
    ($( fn $name:ident(&self $(, $arg:ident: $type:ty)*) $(-> $result:ty)?; )*) => {
        $( #[inline] fn $name(&self $(, $arg: $type)*) $(-> $result)? { self.text.$name($($arg),*) } )*
    };
    (mut $( fn $name:ident(&mut self $(, $arg:ident: $type:ty)*) $(-> $result:ty)?; )*) => {
        $( #[inline] fn $name(&mut self $(, $arg: $type)*) $(-> $result)? { self.text.$name($($arg),*) } )*
    };
}

impl Input for Metered<'_> {
    #[inline]
    fn lookahead(&mut self, count: usize) {
        // The scanner looks four characters ahead where it begins a token, and
        // hardly anywhere else: within a scalar once a word.
        if count == 4 {
            let meter = self.meter;
            meter.0.set(meter.0.get() + 1);
            if meter.is_over() {
                self.text = StrInput::new("");
            }
        }
        self.text.lookahead(count);
    }

    delegate! {
        fn buflen(&self) -> usize;
        fn bufmaxlen(&self) -> usize;
        fn buf_is_empty(&self) -> bool;
        fn peek(&self) -> char;
        fn peek_nth(&self, n: usize) -> char;
        fn peek_opt(&self) -> Option<char>;
        fn next_char_is(&self, c: char) -> bool;
        fn nth_char_is(&self, n: usize, c: char) -> bool;
        fn next_2_are(&self, c1: char, c2: char) -> bool;
        fn next_3_are(&self, c1: char, c2: char, c3: char) -> bool;
        fn next_is_document_indicator(&self) -> bool;
        fn next_is_document_start(&self) -> bool;
        fn next_is_document_end(&self) -> bool;
        fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool;
        fn next_is_blank_or_break(&self) -> bool;
        fn next_is_blank_or_breakz(&self) -> bool;
        fn next_is_blank(&self) -> bool;
        fn next_is_break(&self) -> bool;
        fn next_is_breakz(&self) -> bool;
        fn next_is_z(&self) -> bool;
        fn next_is_flow(&self) -> bool;
        fn next_is_digit(&self) -> bool;
        fn next_is_alpha(&self) -> bool;
    }

    delegate! {
        mut
        fn skip(&mut self);
        fn raw_read_ch(&mut self) -> char;
        fn raw_read_non_breakz_ch(&mut self) -> Option<char>;
        fn skip_n(&mut self, count: usize);
        fn look_ch(&mut self) -> char;
        fn skip_ws_to_eol(&mut self, skip_tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>);
        fn skip_while_non_breakz(&mut self) -> usize;
        fn skip_while_blank(&mut self) -> usize;
        fn fetch_while_is_alpha(&mut self, out: &mut String) -> usize;
        fn fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize;
    }
}
