//! Progress of a command, from events to the screen.

mod json;
mod plain;
mod tty;

use std::sync::Arc;

use crate::event::{EventSink, Silent};
use crate::ui::{Progress, Ui};

/// The sink that shows events as `ui` says; dropping it ends any animation.
pub fn sink(ui: Ui) -> Arc<dyn EventSink> {
    match ui.progress {
        Progress::Tty => Arc::new(tty::Tty::new(ui)),
        Progress::Plain | Progress::Auto => Arc::new(plain::Plain::new(ui)),
        Progress::Json => Arc::new(json::Json),
        Progress::Quiet => Arc::new(plain::Plain::warnings_only(ui)),
    }
}

/// A sink for `--quiet-pull` and the like.
pub fn silent() -> Arc<dyn EventSink> {
    Arc::new(Silent)
}
