//! Lines that are drawn again in place, one a resource, at the lower end of
//! the terminal.
//!
//! While nothing else is printed, a line stays where it is and its words
//! change. Whatever is printed in between (a log line of an attached `up`)
//! stands above the lines that are still worked on, and those that are done
//! stay above it for good: so the terminal tells everything once, in the order
//! in which it happened.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::build::Tail;
use super::{Console, made_room, watch};
use crate::event::{BuildNews, Event, EventSink, Resource, ResourceKind};
use crate::ui::{Stream, Ui, color, printable};

/// Time between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(80);

/// Draws one line for each resource, spinning while it is worked on.
pub(super) struct Tty {
    ui: Ui,
    screen: MultiProgress,
    // A std mutex: it is never held across an await, and events come from
    // several threads at once.
    lines: Mutex<Vec<Line>>,
    /// Below all of them.
    footer: Mutex<Option<ProgressBar>>,
    /// Names of a build's steps.
    steps: Mutex<BTreeMap<u32, String>>,
}

/// A line that is still drawn again.
struct Line {
    resource: Resource,
    bar: ProgressBar,
    /// Its last words, once it is done.
    done: Option<String>,
    /// Of a step: what its command wrote last.
    tail: Tail,
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
            screen: MultiProgress::with_draw_target(target(ui)),
            lines: Mutex::new(Vec::new()),
            footer: Mutex::default(),
            steps: Mutex::default(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lowest(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.footer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a resource's line, which is made where there is none.
    fn change(&self, resource: &Resource, change: impl FnOnce(&mut Line)) {
        let mut lines = self.lines();
        if let Some(line) = lines.iter_mut().find(|line| line.resource == *resource) {
            return change(line);
        }
        let bar = match &*self.lowest() {
            Some(footer) => self
                .screen
                .insert_before(footer, ProgressBar::new_spinner()),
            None => self.screen.add(ProgressBar::new_spinner()),
        };
        bar.set_style(style(" {spinner} {prefix}  {msg}  {elapsed}"));
        bar.set_prefix(label(resource));
        bar.enable_steady_tick(TICK);
        let mut line = Line {
            resource: resource.clone(),
            bar,
            done: None,
            tail: Tail::default(),
        };
        change(&mut line);
        lines.push(line);
    }

    fn work(&self, resource: &Resource, action: &'static str) {
        self.change(resource, |line| {
            // What was done before is worked on again.
            if line.done.take().is_some() {
                line.bar
                    .set_style(style(" {spinner} {prefix}  {msg}  {elapsed}"));
                line.bar.reset();
                line.bar.enable_steady_tick(TICK);
            }
            line.bar.set_message(action);
        });
    }

    fn finish(&self, resource: &Resource, mark: &str, text: &str) {
        self.change(resource, |line| {
            let elapsed = line.bar.elapsed().as_secs_f32();
            let text = format!(" {mark} {}  {text}  {elapsed:.1}s", label(resource));
            line.bar.set_style(style("{msg}"));
            line.bar.finish_with_message(text.clone());
            line.done = Some(text);
        });
    }

    /// A step is a line; what its command wrote last is seen below it while it goes on.
    fn build(&self, step: u32, news: BuildNews) {
        let resource = self.step(step, &news);
        let done = |mark: &str, style, text: &str| {
            let mark = color::paint(self.ui.color_err, style, mark);
            let text = color::paint(self.ui.color_err, style, text);
            self.finish(&resource, &mark, &text);
        };
        match news {
            BuildNews::Named { .. } => self.work(&resource, ""),
            BuildNews::Status { line } | BuildNews::Output { line, .. } => {
                let size = self.size();
                self.change(&resource, |shown| {
                    shown.tail.push(printable(&line));
                    let bar = &shown.bar;
                    bar.set_style(style(" {spinner} {prefix}  {elapsed}\n{msg}"));
                    bar.set_message(shown.tail.text(size));
                });
            }
            BuildNews::Done { .. } => done("✔", color::GOOD, ""),
            BuildNews::Cached => done("✔", color::GOOD, "CACHED"),
            BuildNews::Failed { .. } => done("✘", color::ERROR, "ERROR"),
            BuildNews::Canceled => done("✘", color::WARNING, "CANCELED"),
        }
    }

    /// The step as what its line is known by.
    fn step(&self, step: u32, news: &BuildNews) -> Resource {
        let mut names = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if let BuildNews::Named { name } = news {
            names.insert(step, printable(name).replace('\n', " "));
        }
        Resource {
            kind: ResourceKind::Step,
            name: names.get(&step).cloned().unwrap_or_default(),
        }
    }

    /// Rows and columns of the terminal.
    fn size(&self) -> (u16, u16) {
        match self.ui.status {
            Stream::Out => Term::stdout().size(),
            Stream::Err => Term::stderr().size(),
        }
    }

    fn above(&self, text: &str) {
        // A closed standard error is nobody's loss.
        let mut write = || {
            self.ui.status.write(&format!("{text}\n"));
            Ok(())
        };
        self.beside(&mut write).ok();
    }
}

impl Console for Tty {
    fn beside(&self, write: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut lines = self.lines();
        if lines.is_empty() && self.lowest().is_none() {
            return write();
        }
        let (done, open) = lines.drain(..).partition::<Vec<_>, _>(|l| l.done.is_some());
        *lines = open;
        for line in &done {
            self.screen.remove(&line.bar);
        }
        self.screen.suspend(|| {
            for text in done.into_iter().filter_map(|line| line.done) {
                self.ui.status.write(&format!("{text}\n"));
            }
            write()
        })
    }

    fn footer(&self, text: Option<&str>) {
        let mut footer = self.lowest();
        match (text, footer.take()) {
            (Some(text), before) => {
                let bar = before.unwrap_or_else(|| self.screen.add(ProgressBar::new_spinner()));
                bar.set_style(style("{msg}"));
                bar.set_message(text.to_owned());
                bar.tick();
                *footer = Some(bar);
            }
            (None, Some(bar)) => {
                bar.finish_and_clear();
                self.screen.remove(&bar);
            }
            (None, None) => {}
        }
    }
}

impl EventSink for Tty {
    fn emit(&self, event: Event) {
        match event {
            Event::Started { resource, action } => self.work(&resource, action),
            Event::Progress {
                resource,
                action,
                current,
                total,
            } => self.change(&resource, |line| {
                let bar = &line.bar;
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
            }),
            Event::Done { resource, outcome } => {
                let mark = color::paint(self.ui.color_err, color::GOOD, "✔");
                let text = color::paint(self.ui.color_err, color::GOOD, outcome);
                self.finish(&resource, &mark, &text);
            }
            // Why is told once, at the end, with all that belongs to it.
            Event::Failed { resource, .. } => {
                let mark = color::paint(self.ui.color_err, color::ERROR, "✘");
                let text = color::paint(self.ui.color_err, color::ERROR, "Error");
                self.finish(&resource, &mark, &text);
            }
            Event::Build { step, news } => self.build(step, news),
            Event::MadeRoom {
                steps,
                folders,
                images,
                bytes,
                budget,
            } => self.above(&made_room([steps, folders, images], bytes, budget)),
            Event::Watch(news) => {
                let style = if news.failed { color::ERROR } else { color::GOOD };
                let mark = if news.failed { "✘" } else { "⦿" };
                let mark = color::paint(self.ui.color_err, style, mark);
                self.above(&format!("{mark} {}", watch(&news)));
            }
            Event::Note { message } => self.above(&printable(&message)),
            Event::Warning { message } => {
                let heading = color::paint(self.ui.color_err, color::WARNING, "warning");
                self.above(&format!("{heading}: {}", printable(&message)));
            }
        }
    }
}

/// The terminal; what was asked for by name is drawn on anything else, too.
fn target(ui: Ui) -> ProgressDrawTarget {
    let term = match ui.status {
        Stream::Out => Term::stdout(),
        Stream::Err => Term::stderr(),
    };
    if term.is_term() {
        match ui.status {
            Stream::Out => ProgressDrawTarget::stdout(),
            Stream::Err => ProgressDrawTarget::stderr(),
        }
    } else {
        ProgressDrawTarget::term_like(Box::new(term))
    }
}

fn label(resource: &Resource) -> String {
    match resource.kind {
        ResourceKind::Image | ResourceKind::Layer | ResourceKind::Step => resource.name.clone(),
        kind => format!("{kind} {}", resource.name),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}
