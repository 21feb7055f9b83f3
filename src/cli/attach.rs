//! The output of an attached `up`: log lines and exits, in the order in which
//! they happen, standard output to standard output and standard error to
//! standard error.

use std::future::poll_fn;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::Poll;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use super::describe::short_name;
use crate::reconcile::{Member, Watcher};
use crate::state::atomic::read_json;
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{self, ContainerView};
use crate::supervise::logs::Stream;
use crate::supervise::logs::project::{ProjectLogs, Wanted};
use crate::supervise::logs::reader::{LogItem, LogLine, ReadOptions};
use crate::supervise::record::{ContainerRecord, ExitRecord};
use crate::ui::logs::Prefixes;
use crate::ui::progress::Console;
use crate::ui::{write_err, write_out};

/// How lines are shown.
#[derive(Debug, Clone)]
pub struct Style {
    /// Colours in prefixes.
    pub color: bool,
    /// Prefixes at all.
    pub prefix: bool,
    /// The time before each line.
    pub timestamps: bool,
}

/// What the walk over the plan tells.
#[derive(Debug)]
pub enum News {
    /// These will run.
    Planned(Vec<Member>),
    /// This one was started.
    Started(Member),
}

/// Hands the walk's news to the one task that prints.
#[derive(Debug)]
pub struct Reporter(pub mpsc::UnboundedSender<News>);

impl Watcher for Reporter {
    fn planned(&self, containers: &[Member]) {
        // Nobody listens any more when the command ends; nothing is lost then.
        self.0.send(News::Planned(containers.to_vec())).ok();
    }

    fn started(&self, container: &Member) {
        self.0.send(News::Started(container.clone())).ok();
    }
}

/// A container whose run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its service.
    pub service: String,
    /// Its exit code; 255 where nobody could learn it.
    pub code: i32,
}

/// Follows containers' logs and prints them.
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Screen<'a> {
    layout: &'a Layout,
    project: &'a str,
    console: Arc<dyn Console>,
    style: Style,
    prefixes: Prefixes,
    logs: ProjectLogs<'a>,
    joined: Arc<Notify>,
}

impl<'a> Screen<'a> {
    /// A screen that shows output from now on, of those containers that
    /// `wanted` wants.
    ///
    /// # Errors
    /// No inotify instance is left.
    pub fn new(
        layout: &'a Layout,
        project: &'a str,
        style: Style,
        console: Arc<dyn Console>,
        wanted: impl Fn(&ContainerRecord) -> Option<Wanted> + 'a,
    ) -> io::Result<Self> {
        let options = ReadOptions {
            since: Some(Timestamp::now()),
            follow: true,
            ..ReadOptions::default()
        };
        Ok(Self {
            layout,
            project,
            console,
            prefixes: Prefixes::new(Vec::new(), style.color, style.prefix),
            style,
            logs: ProjectLogs::new(layout, project, options, wanted)?,
            joined: Arc::new(Notify::new()),
        })
    }

    /// Says who will be followed, so that all prefixes are equally wide from
    /// the first line on.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn announce(&mut self, members: &[&Member]) -> io::Result<()> {
        let mut names: Vec<String> = members
            .iter()
            .map(|member| short_name(self.project, &member.name))
            .collect();
        names.sort();
        self.prefixes = Prefixes::new(names.clone(), self.style.color, self.style.prefix);
        self.say(&format!("Attaching to {}", names.join(", ")))
    }

    /// Follows a container that was started just now.
    ///
    /// # Errors
    /// Its records or its log cannot be read.
    pub fn follow_started(&mut self, member: &Member) -> io::Result<()> {
        match inspect::record(self.layout, self.project, &member.id)? {
            Some(record) => self.logs.add(&record, true),
            None => Ok(()),
        }
    }

    /// Follows a container that runs already, and that the plan leaves as it
    /// is; says whether it runs.
    ///
    /// # Errors
    /// Its records or its log cannot be read.
    pub fn follow_running(&mut self, member: &Member) -> io::Result<bool> {
        let boot_id = inspect::boot_id()?;
        let view = inspect::container(self.layout, self.project, &member.id, &boot_id)?;
        match view.filter(ContainerView::is_live) {
            Some(view) => self.logs.add(&view.record, false).map(|()| true),
            None => Ok(false),
        }
    }

    /// Follows containers that others start, too: the walk, which tells of its
    /// own starts, is over.
    ///
    /// # Errors
    /// Records or a log cannot be read.
    pub fn discover(&mut self) -> io::Result<()> {
        self.logs.discover()
    }

    /// The same, and goes on where nothing runs any more: what ended may be started again.
    ///
    /// # Errors
    /// Records or a log cannot be read.
    pub fn stay(&mut self) -> io::Result<()> {
        self.logs.stay()
    }

    /// Told when a container has joined that somebody else made.
    pub fn joined(&self) -> Arc<Notify> {
        Arc::clone(&self.joined)
    }

    /// Where progress is shown beside.
    pub fn console(&self) -> Arc<dyn Console> {
        Arc::clone(&self.console)
    }

    /// Whether a followed container may still write.
    pub fn is_live(&self) -> bool {
        self.logs.is_live()
    }

    /// Prints lines as they come until a container's run ends, and tells
    /// which; `None` when nothing runs any more that is followed. May be
    /// dropped and called again without losing a line.
    ///
    /// # Errors
    /// A log cannot be read, or a standard stream is closed.
    pub async fn run(&mut self) -> io::Result<Option<Ended>> {
        while let Some(item) = self.logs.next().await? {
            match item {
                LogItem::Line(line) => self.print(&line)?,
                LogItem::Ended { source, restarts } => {
                    if let Some(ended) = self.tell_end(source, restarts)? {
                        return Ok(Some(ended));
                    }
                }
                LogItem::Stirred => self.joined.notify_one(),
            }
        }
        Ok(None)
    }

    /// Prints what is there, and waits for nothing; tells which runs have
    /// ended.
    ///
    /// # Errors
    /// As [`Screen::run`].
    pub async fn catch_up(&mut self) -> io::Result<Vec<Ended>> {
        let mut all = Vec::new();
        loop {
            let mut run = std::pin::pin!(self.run());
            let ready = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx))).await;
            match ready {
                Poll::Ready(Ok(Some(ended))) => all.push(ended),
                Poll::Ready(Ok(None)) | Poll::Pending => return Ok(all),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
    }

    fn tell_end(&mut self, source: usize, restarts: bool) -> io::Result<Option<Ended>> {
        let Some(speaker) = self.logs.speaker(source) else {
            return Ok(None);
        };
        let code = self.exit_code(&speaker.id)?;
        if speaker.lines {
            let name = short_name(self.project, &speaker.name);
            let again = if restarts { " (restarting)" } else { "" };
            self.say(&match code {
                Some(code) => format!("{name} exited with code {code}{again}"),
                // Its code is gone with it, or nobody could learn it.
                None => format!("{name} exited{again}"),
            })?;
        }
        let code = code.unwrap_or(255);
        Ok(Some(Ended {
            service: speaker.service.clone(),
            code,
        }))
    }

    fn print(&mut self, line: &LogLine) -> io::Result<()> {
        let Some(speaker) = self.logs.speaker(line.source) else {
            return Ok(());
        };
        let name = short_name(self.project, &speaker.name);
        let mut text = self.prefixes.of(&name).into_bytes();
        if self.style.timestamps {
            text.extend_from_slice(line.time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(&line.text);
        text.push(b'\n');
        // One write a line, so that lines of the two streams do not mix.
        self.console.beside(&mut || match line.stream {
            Stream::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&text)?;
                out.flush()
            }
            Stream::Stderr => io::stderr().lock().write_all(&text),
        })
    }

    /// Prints a line of our own among the containers'.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.console.beside(&mut || write_out(&format!("{text}\n")))
    }

    /// The same to standard error.
    ///
    /// # Errors
    /// None: a closed standard error is nobody's loss.
    pub fn say_aside(&self, text: &str) -> io::Result<()> {
        self.console.beside(&mut || {
            write_err(&format!("{text}\n"));
            Ok(())
        })
    }

    fn exit_code(&self, id: &ContainerId) -> io::Result<Option<i32>> {
        let folder = self.layout.container(self.project, id);
        let record: Option<ExitRecord> = read_json(&folder.join(inspect::EXIT_FILE))?;
        Ok(record.and_then(|record| record.code))
    }
}
