//! The tables' format, and their reader.
//!
//! ```text
//! # a remark
//! image NAME {"User": "app"}        an image: the tests' busybox with this config
//! top                               what stands beside `services:`
//!     volumes: {data: }
//! service NAME of IMAGE bare later  a service; `of`, `bare` and `later` may be left out
//!     user: app                     its attributes, beside `image` and a command that waits
//! $ sh id -u                        a question, see [`Ask`]
//!   77                              its answer: stdout, then `[exit N]` unless N is 0
//! ! why Docker answers otherwise    on purpose, for this reason
//!   0                               Docker's answer; `...` is any
//! ```
//!
//! A `bare` service is given no command; one for `later` is not started with the
//! rest, a question of its own does that. In an answer, `<core>` is the highest
//! limit of core files that the asker can give.

use serde_json::Value;

/// A file of services and what they are asked.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Images by name, with their config.
    pub(super) images: Vec<(String, Value)>,
    /// What stands beside `services:` in the Compose file.
    pub(super) top: String,
    pub(super) services: Vec<Service>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) image: String,
    /// Its attributes, as they stand in a Compose file.
    pub(super) attributes: String,
    /// Whether it has the image's command, or one of its own.
    pub(super) bare: bool,
    /// Whether it is left out at the start.
    pub(super) later: bool,
    pub(super) questions: Vec<Question>,
}

#[derive(Debug)]
pub(super) struct Question {
    /// Where it stands in its file.
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) ask: Ask,
    /// skiff's answer.
    pub(super) answer: Vec<String>,
    /// Docker's, where that is another.
    pub(super) dockers: Option<Vec<String>>,
}

/// What can be asked of a service.
#[derive(Debug)]
pub(super) enum Ask {
    /// `sh SCRIPT`: what a shell says inside.
    Sh(String),
    /// `logs`: all that its program writes until it ends.
    Logs,
    /// `ps FIELD` of its container; nothing where that is empty.
    Ps(String),
    /// `label NAME` of its container, as `NAME=VALUE`.
    Label(String),
    /// `code WORDS`: the exit code of any command; for those that fail, whose
    /// words are everyone's own.
    Code(Vec<String>),
    /// `compose WORDS`: any command, without quotes; `%` is the service.
    Compose(Vec<String>),
}

impl Ask {
    fn parse(text: &str) -> Option<Self> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words = || rest.split(' ').map(str::to_owned).collect();
        match verb {
            "sh" => Some(Self::Sh(rest.to_owned())),
            "logs" => Some(Self::Logs),
            "ps" => Some(Self::Ps(rest.to_owned())),
            "label" => Some(Self::Label(rest.to_owned())),
            "code" => Some(Self::Code(words())),
            "compose" => Some(Self::Compose(words())),
            _ => None,
        }
    }
}

impl Table {
    /// Reads a table; fails the test at the first line that is none of its kinds.
    pub(super) fn parse(text: &str) -> Self {
        let mut table = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let taken = table.take(number, line);
            assert!(taken.is_some(), "line {number} of the table: `{line}`");
        }
        table
    }

    fn take(&mut self, number: usize, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "#" | "top" => {}
            "" if line.is_empty() => {}
            "image" => self.images.push(image(rest)?),
            "service" => self.services.push(service(rest)?),
            _ => match self.services.last_mut() {
                Some(service) => service.take(number, line)?,
                None => push_line(&mut self.top, line.strip_prefix("    ")?),
            },
        }
        Some(())
    }
}

impl Service {
    /// A line below the service's own.
    fn take(&mut self, number: usize, line: &str) -> Option<()> {
        if let Some(text) = line.strip_prefix("$ ") {
            self.questions.push(Question {
                line: number,
                text: text.to_owned(),
                ask: Ask::parse(text)?,
                answer: Vec::new(),
                dockers: None,
            });
            return Some(());
        }
        let Some(question) = self.questions.last_mut() else {
            push_line(&mut self.attributes, line.strip_prefix("    ")?);
            return Some(());
        };
        if line.starts_with("! ") {
            question.dockers = Some(Vec::new());
            return Some(());
        }
        let answer = question.dockers.as_mut().unwrap_or(&mut question.answer);
        answer.push(line.strip_prefix("  ")?.to_owned());
        Some(())
    }
}

fn image(rest: &str) -> Option<(String, Value)> {
    let (name, config) = rest.split_once(' ')?;
    Some((name.to_owned(), serde_json::from_str(config).ok()?))
}

fn service(rest: &str) -> Option<Service> {
    let mut words = rest.split(' ');
    let mut service = Service {
        name: words.next()?.to_owned(),
        image: "plain".to_owned(),
        attributes: String::new(),
        bare: false,
        later: false,
        questions: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word {
            "of" => words.next()?.clone_into(&mut service.image),
            "bare" => service.bare = true,
            "later" => service.later = true,
            _ => return None,
        }
    }
    Some(service)
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
