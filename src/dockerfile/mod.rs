//! Reading Dockerfiles. Stands alone: text in, typed instructions out, each with its
//! place. Pure: no file, no network, no engine.
//!
//! [`parse`] reads a file ("Dockerfile reference" of Docker's manual), [`expand`]
//! replaces variables in its words, [`Lint`] knows the checks. What a file means
//! for an image is told in `build`.

mod expand;
mod files;
mod health;
mod heredoc;
mod instruction;
mod lines;
mod lint;
mod mount;
mod pattern;
mod read;
mod reader;
mod similar;
mod span;
mod words;

pub use expand::{ExpandError, Expanded, Rules, expand};
pub use heredoc::{Heredoc, is_heredoc_marker};
pub use instruction::{
    Add, Argument, Command, Copy, Dockerfile, Files, Healthcheck, Instruction, Kind, Network, Run,
    Security, Stage,
};
pub use lint::{Lint, LintOptions, Rule, Warning, is_secret_name};
pub use mount::{MountFlag, MountSpec, MountType, Sharing};
pub use read::{LARGEST, Unreadable, parse, trigger};
pub(crate) use similar::as_buildkit;
pub use span::{Place, Problem, Source, Span, Word};
pub use words::Pair;
