//! Containers' output: spool, log files, and reading them back.
//!
//! `line` is the CRI format, `spool`, `checkpoint` and `file` are what is on
//! disk, `pump` ties them together for one container, `thread` runs all pumps
//! of a project, [`reader`] reads logs without asking any process, and
//! [`project`] follows those of a project, whatever containers it has.

mod checkpoint;
mod cursor;
mod file;
mod history;
pub(crate) mod line;
pub mod project;
pub(crate) mod pump;
pub mod reader;
mod runs;
mod spool;
pub(crate) mod thread;

pub use line::Stream;
