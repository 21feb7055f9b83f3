//! Lines that are drawn again in place, one a resource.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, EventSink, Resource, ResourceKind};
use crate::ui::{Ui, color};

/// Time between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(80);

/// Draws one line for each resource, spinning while it is worked on.
pub(super) struct Tty {
    ui: Ui,
    screen: MultiProgress,
    // A std mutex: it is never held across an await, and events come from
    // several threads at once.
    lines: Mutex<HashMap<Resource, ProgressBar>>,
}

impl std::fmt::Debug for Tty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tty").finish_non_exhaustive()
    }
}

impl Tty {
    pub(super) fn new(ui: Ui) -> Self {
        Self {
            ui,
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            lines: Mutex::new(HashMap::new()),
        }
    }

    fn line(&self, resource: &Resource) -> ProgressBar {
        let mut lines = self
            .lines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        lines
            .entry(resource.clone())
            .or_insert_with(|| {
                let bar = self.screen.add(ProgressBar::new_spinner());
                bar.set_style(style(" {spinner} {prefix}  {msg}  {elapsed}"));
                bar.set_prefix(label(resource));
                bar.enable_steady_tick(TICK);
                bar
            })
            .clone()
    }

    fn finish(&self, resource: &Resource, mark: &str, text: String) {
        let bar = self.line(resource);
        bar.set_style(style(&format!(" {mark} {{prefix}}  {{msg}}  {{elapsed}}")));
        bar.finish_with_message(text);
    }

    fn above(&self, text: &str) {
        // Fails only where the terminal is gone, and then nobody reads it.
        self.screen.println(text).ok();
    }
}

impl EventSink for Tty {
    fn emit(&self, event: Event) {
        match event {
            Event::Started { resource, action } => self.line(&resource).set_message(action),
            Event::Progress {
                resource,
                action,
                current,
                total,
            } => {
                let bar = self.line(&resource);
                if let Some(total) = total {
                    bar.set_style(style(
                        " {spinner} {prefix}  {msg} {bar:20} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
                    ));
                    bar.set_length(total);
                } else {
                    bar.set_style(style(" {spinner} {prefix}  {msg} {bytes} {bytes_per_sec}"));
                }
                bar.set_position(current);
                bar.set_message(action);
            }
            Event::Done { resource, outcome } => {
                let mark = color::paint(self.ui.color_err, color::GOOD, "✔");
                let text = color::paint(self.ui.color_err, color::GOOD, outcome);
                self.finish(&resource, &mark, text);
            }
            // Why is told once, at the end, with all that belongs to it.
            Event::Failed { resource, .. } => {
                let mark = color::paint(self.ui.color_err, color::ERROR, "✘");
                let text = color::paint(self.ui.color_err, color::ERROR, "Error");
                self.finish(&resource, &mark, text);
            }
            Event::Note { message } => self.above(&message),
            Event::Warning { message } => {
                let heading = color::paint(self.ui.color_err, color::WARNING, "warning");
                self.above(&format!("{heading}: {message}"));
            }
        }
    }
}

fn label(resource: &Resource) -> String {
    match resource.kind {
        ResourceKind::Image | ResourceKind::Layer => resource.name.clone(),
        kind => format!("{kind} {}", resource.name),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}
