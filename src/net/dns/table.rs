//! x
use std::io;

use crate::state::Layout;

/// All names on all networks of a run root, kept right by inotify(7).
///
/// One serves all containers of a supervisor.
#[derive(Debug)]
pub struct NameTable {}

impl NameTable {
    /// Opens the table of this run root.
    ///
    /// # Errors
    /// inotify or the records fail.
    pub fn open(_layout: &Layout) -> io::Result<Self> {
        unimplemented!()
    }
}
