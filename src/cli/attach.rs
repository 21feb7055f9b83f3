//! The output of an attached `up`: log lines and exits, in the order in which
//! they happen, standard output to standard output and standard error to
//! standard error.

use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::reconcile::{Member, Watcher};
use crate::state::Layout;
use crate::state::atomic::read_json;
use crate::supervise::inspect;
use crate::supervise::logs::Stream;
use crate::supervise::logs::reader::{LogItem, LogLine, LogReader, LogSource, ReadOptions};
use crate::supervise::record::ExitRecord;
use crate::ui::logs::Prefixes;
use crate::ui::progress::Console;
use crate::ui::write_out;

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

/// A container that has ended.
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
    reader: LogReader,
    followed: Vec<Member>,
    live: usize,
}

impl<'a> Screen<'a> {
    /// A screen that shows output from now on.
    ///
    /// # Errors
    /// No inotify instance is left.
    pub fn new(
        layout: &'a Layout,
        project: &'a str,
        style: Style,
        console: Arc<dyn Console>,
    ) -> io::Result<Self> {
        let reader = LogReader::new(ReadOptions {
            since: Some(Timestamp::now()),
            follow: true,
            ..ReadOptions::default()
        })?;
        Ok(Self {
            layout,
            project,
            console,
            prefixes: Prefixes::new(Vec::new(), style.color, style.prefix),
            style,
            reader,
            followed: Vec::new(),
            live: 0,
        })
    }

    /// Says who will be followed, so that all prefixes are equally wide from
    /// the first line on.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn announce(&mut self, members: &[Member]) -> io::Result<()> {
        let mut names: Vec<String> = members
            .iter()
            .map(|member| self.short_name(member))
            .collect();
        names.sort();
        self.prefixes = Prefixes::new(names.clone(), self.style.color, self.style.prefix);
        self.say(&format!("Attaching to {}", names.join(", ")))
    }

    /// Follows a container; a second call for the same one changes nothing
    /// while the first still follows it.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn follow(&mut self, member: Member) -> io::Result<()> {
        if self.followed.iter().any(|known| known.id == member.id) {
            return Ok(());
        }
        self.reader.add(LogSource {
            folder: self.layout.container(self.project, &member.id).join("log"),
            record: Some(self.layout.run_record(self.project, &member.id)),
        })?;
        self.followed.push(member);
        self.live += 1;
        Ok(())
    }

    /// Follows a container that runs already, and that the plan leaves as it is.
    ///
    /// # Errors
    /// Its records or its log cannot be read.
    pub fn follow_running(&mut self, member: Member) -> io::Result<()> {
        if self.is_running(&member)? {
            self.follow(member)?;
        }
        Ok(())
    }

    /// Whether a container runs.
    ///
    /// # Errors
    /// Its records cannot be read.
    pub fn is_running(&self, member: &Member) -> io::Result<bool> {
        let boot_id = inspect::boot_id()?;
        let view = inspect::container(self.layout, self.project, &member.id, &boot_id)?;
        Ok(view.is_some_and(|view| view.is_live()))
    }

    /// Whether a followed container may still write.
    pub fn is_live(&self) -> bool {
        self.live > 0
    }

    /// Prints lines as they come until a container ends, and tells which. May
    /// be dropped and called again without losing a line.
    ///
    /// # Errors
    /// A log cannot be read, or a standard stream is closed.
    pub async fn run(&mut self) -> io::Result<Option<Ended>> {
        loop {
            match self.reader.next().await? {
                None => return Ok(None),
                Some(LogItem::Line(line)) => self.print(&line)?,
                Some(LogItem::Ended { source }) => {
                    self.live = self.live.saturating_sub(1);
                    let Some(member) = self.followed.get(source).cloned() else {
                        continue;
                    };
                    let code = self.exit_code(&member)?;
                    self.say(&format!(
                        "{} exited with code {code}",
                        self.short_name(&member)
                    ))?;
                    return Ok(Some(Ended {
                        service: member.service,
                        code,
                    }));
                }
            }
        }
    }

    fn print(&mut self, line: &LogLine) -> io::Result<()> {
        let Some(member) = self.followed.get(line.source) else {
            return Ok(());
        };
        let name = self.short_name(member);
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

    fn exit_code(&self, member: &Member) -> io::Result<i32> {
        let path = self
            .layout
            .container(self.project, &member.id)
            .join("exit.json");
        let record: Option<ExitRecord> = read_json(&path)?;
        Ok(record.and_then(|record| record.code).unwrap_or(255))
    }

    fn short_name(&self, member: &Member) -> String {
        member
            .name
            .strip_prefix(self.project)
            .and_then(|rest| rest.strip_prefix('-'))
            .unwrap_or(&member.name)
            .to_owned()
    }
}
