//! Reading Dockerfiles. Stands alone: text in, typed instructions out, each with its
//! place. Pure.

mod similar;
mod span;

pub use span::{Place, Problem, Source, Span, Word};
