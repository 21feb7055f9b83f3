//! Progress of a command, from events to the screen.

mod build;
mod json;
mod muted;
mod plain;
mod tty;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::env;
use crate::event::{EventSink, Silent, WatchNews};
use crate::ui::units::human_size;
use crate::ui::{Progress, Ui, printable};
pub use muted::Quiet;

/// Progress on the same terminal as other output.
pub trait Console: EventSink {
    /// Runs `write`, which prints whole lines to a standard stream, while no
    /// animation is in its way.
    ///
    /// # Errors
    /// Those of `write`.
    fn beside(&self, write: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        write()
    }

    /// Keeps a line at the lower end of the terminal, where there is one.
    fn footer(&self, _text: Option<&str>) {}
}

impl Console for plain::Plain {}
impl Console for json::Json {}
impl Console for Silent {}

/// The sink that shows events as `ui` says; dropping it ends any animation.
pub fn sink(ui: Ui) -> Arc<dyn Console> {
    match ui.progress {
        Progress::Tty => Arc::new(tty::Tty::new(ui)),
        Progress::Plain | Progress::Auto => Arc::new(plain::Plain::new(ui)),
        Progress::Json => Arc::new(json::Json(ui.status)),
        Progress::Quiet => Arc::new(plain::Plain::warnings_only(ui)),
    }
}

/// What is told of steps of builds, their folders and images that made room.
fn made_room([steps, folders, images]: [usize; 3], bytes: u64, budget: u64) -> String {
    let count = |number: usize, one: &str, many: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {many}")),
    };
    let gone = [
        count(steps, "build step", "build steps"),
        count(folders, "cache folder", "cache folders"),
        count(images, "image", "images"),
    ];
    let gone: Vec<String> = gone.into_iter().flatten().collect();
    format!(
        "removed {} that nothing used for longest ({}): images and build cache had more than {} ({})",
        gone.join(" and "),
        human_size(bytes),
        human_size(budget),
        env::SKIFF_DISK_BUDGET,
    )
}

/// One line of `watch`: `web: main.py to /app/main.py  4 ms`.
fn watch(news: &WatchNews) -> String {
    let mut line = match news.services.as_slice() {
        [] => String::new(),
        services => format!("{}: ", services.join(", ")),
    };
    line.push_str(&printable(&news.message));
    if let Some(elapsed) = news.elapsed {
        line.push_str("  ");
        line.push_str(&human_time(elapsed));
    }
    line
}

/// `4 ms`, `1.3 s`.
fn human_time(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        ms @ 0..1000 => format!("{} ms", ms.max(1)),
        _ => format!("{:.1} s", elapsed.as_secs_f64()),
    }
}

/// The same without some of its parts.
pub fn muted(console: Arc<dyn Console>, quiet: Quiet) -> Arc<dyn Console> {
    if quiet == Quiet::default() {
        return console;
    }
    Arc::new(muted::Muted { console, quiet })
}

/// A sink for `--quiet`.
pub fn silent() -> Arc<dyn Console> {
    Arc::new(Silent)
}
