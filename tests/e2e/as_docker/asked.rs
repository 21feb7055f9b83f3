//! Asking a table's questions, of whoever runs its Compose file.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::table::{Ask, Question, Service, Table};
use crate::support::{Image, Invocation, Output, SLEEPER};

/// What runs a table's Compose file.
pub(super) trait Engine {
    /// A Compose command in the project's folder.
    fn compose(&self, args: &[&str]) -> Invocation;
    /// Waits until a service's container has ended.
    fn wait(&self, service: &str);
    /// Takes in an image.
    fn load(&self, image: &Image, name: &str);
    /// The answer that the table has for it.
    fn expected<'t>(&self, question: &'t Question) -> &'t [String];
}

/// An image's name for one table: the tables are asked at the same time.
pub(super) fn image_name(table: &str, image: &str) -> String {
    format!("skiff-as-docker/{table}-{image}:1")
}

/// The table's Compose file.
pub(super) fn compose_file(name: &str, table: &Table) -> String {
    let mut text = format!("{}services:\n", table.top);
    for service in &table.services {
        let image = image_name(name, &service.image);
        writeln!(text, "  {}:\n    image: {image}", service.name).expect("memory");
        let command = if service.bare { "" } else { SLEEPER };
        for line in service.attributes.lines().chain([command]) {
            writeln!(text, "    {line}").expect("memory");
        }
    }
    text
}

/// Loads the images, starts the services, asks everything, and tells all
/// answers that are not the table's.
pub(super) fn ask(name: &str, table: &Table, engine: &dyn Engine) {
    for (image, config) in &table.images {
        let fields = config.as_object().expect("an image's config is an object");
        let made = fields.iter().fold(files(), |made, (field, value)| {
            made.config(field, value.clone())
        });
        engine.load(&made, &image_name(name, image));
    }
    let started = table.services.iter().filter(|service| !service.later);
    let mut up = vec!["up", "-d"];
    up.extend(started.map(|service| service.name.as_str()));
    if up.len() > 2 {
        engine.compose(&up).run().succeeds().whatever();
    }
    let mut wrong = String::new();
    for service in &table.services {
        for question in &service.questions {
            let expected = engine.expected(question);
            let (answer, errors) = answer(engine, service, &question.ask);
            if answer != expected && expected != ["..."] {
                let Question { line, text, .. } = question;
                let service = &service.name;
                write!(wrong, "\n{name}.table:{line}: {service} $ {text}\n").expect("memory");
                for line in expected {
                    writeln!(wrong, "- {line}").expect("memory");
                }
                for line in answer {
                    writeln!(wrong, "+ {line}").expect("memory");
                }
                for line in errors.lines() {
                    writeln!(wrong, "! {line}").expect("memory");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What every image of the tables has in it.
fn files() -> Image {
    Image::busybox()
        .owned_dir("vol", 0o2750, (12, 34))
        .owned_file("vol/file", 0o640, (5, 6), "content\n")
        .link("vol/link", "file")
        .owned_dir("vol/sub", 0o700, (7, 8))
        .dir("other", 0o755)
        .file("other/one", 0o644, "other\n")
        .owned_dir("mine", 0o700, (77, 78))
        .link("to-vol", "vol")
        .file("etc/plain-file", 0o644, "no program\n")
        // Opened for writing, it waits for a reader: so a program tells that it is ready.
        .fifo("ready")
        .config("Env", json!(["PATH=/bin"]))
}

/// The answer, and what the command that was asked wrote to standard error.
fn answer(engine: &dyn Engine, service: &Service, ask: &Ask) -> (Vec<String>, String) {
    let name = service.name.as_str();
    match ask {
        Ask::Sh(script) => told(
            engine
                .compose(&["exec", "-T", name, "sh", "-c", script])
                .run(),
        ),
        Ask::Logs => {
            engine.wait(name);
            told(engine.compose(&["logs", "--no-log-prefix", name]).run())
        }
        Ask::Ps(field) => {
            let text = container(engine, name, field);
            (text.lines().map(str::to_owned).collect(), String::new())
        }
        Ask::Label(label) => {
            let labels = container(engine, name, "Labels");
            let pairs = labels.split(',').map(str::to_owned);
            let found = pairs
                .filter(|pair| pair.split_once('=').is_some_and(|(name, _)| name == label))
                .collect();
            (found, String::new())
        }
        Ask::Code(words) => {
            let output = command(engine, name, words);
            (vec![output.code.to_string()], output.stderr)
        }
        Ask::Compose(words) => told(command(engine, name, words)),
    }
}

fn command(engine: &dyn Engine, service: &str, words: &[String]) -> Output {
    let words: Vec<&str> = words
        .iter()
        .map(|word| if word == "%" { service } else { word })
        .collect();
    engine.compose(&words).run()
}

/// A field of `ps -a --format json`, a number as text.
fn container(engine: &dyn Engine, service: &str, field: &str) -> String {
    let output = engine
        .compose(&["ps", "-a", "--format", "json", service])
        .run()
        .succeeds();
    let containers = output.json_lines();
    let value = &containers.first().unwrap_or_else(|| panic!("{output}"))[field];
    let text = value.as_str();
    masked(&text.map_or_else(|| value.to_string(), str::to_owned))
}

/// Stdout's lines and the exit code, as a table writes them; and standard error.
fn told(output: Output) -> (Vec<String>, String) {
    let mut lines: Vec<String> = output
        .stdout
        .lines()
        .map(|line| masked(line).trim_end().to_owned())
        .collect();
    if output.code != 0 {
        lines.push(format!("[exit {}]", output.code));
    }
    (lines, output.stderr)
}

/// Container ids are `ID`: they are never the same.
fn masked(text: &str) -> String {
    static ID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b").expect("a pattern"));
    ID.replace_all(text, "ID").into_owned()
}
