//! A container in Docker's words, for `ps`, `ls` and `images`.

use std::time::Duration;

use jiff::Timestamp;

use super::ports::{self, PortLine};
use crate::supervise::inspect::ContainerView;
use crate::supervise::launch::NetworkMode;
use crate::supervise::record::{Health, RunState};
use crate::ui::table::ellipsis;
use crate::ui::units::{human_ago, human_duration};

/// Characters of a command that a table shows.
const COMMAND_WIDTH: usize = 20;

/// Docker's word for the state: `running`, `exited`.
pub fn state(view: &ContainerView) -> &'static str {
    match view.state {
        RunState::Created => "created",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Restarting => "restarting",
        RunState::Exited => "exited",
    }
}

/// Docker's word for the health, empty where there is no probe.
pub fn health(view: &ContainerView) -> &'static str {
    match view.run.as_ref().and_then(|run| run.health) {
        _ if !matches!(view.state, RunState::Running | RunState::Paused) => "",
        None => "",
        Some(Health::Starting) => "starting",
        Some(Health::Healthy) => "healthy",
        Some(Health::Unhealthy) => "unhealthy",
    }
}

/// The exit code of the last run, 0 while it runs or before the first. A code
/// that nobody could learn counts as failure: 255.
pub fn exit_code(view: &ContainerView) -> i32 {
    match (view.state, &view.exit) {
        (RunState::Exited | RunState::Restarting, Some(exit)) => exit.code.unwrap_or(255),
        _ => 0,
    }
}

/// The STATUS column: `Up 2 seconds (healthy)`, `Exited (3) 1 second ago`.
pub fn status(view: &ContainerView, now: Timestamp) -> String {
    let up = || {
        let since = view.run.as_ref().map(|run| run.started.as_str());
        format!("Up {}", human_duration(elapsed(since, now)))
    };
    let ended = || {
        let at = view.exit.as_ref().map(|exit| exit.finished.as_str());
        human_ago(elapsed(at, now))
    };
    match view.state {
        RunState::Created => "Created".to_owned(),
        RunState::Running => match health(view) {
            "" => up(),
            "starting" => format!("{} (health: starting)", up()),
            verdict => format!("{} ({verdict})", up()),
        },
        RunState::Paused => format!("{} (Paused)", up()),
        RunState::Restarting => format!("Restarting ({}) {}", exit_code(view), ended()),
        RunState::Exited => format!("Exited ({}) {}", exit_code(view), ended()),
    }
}

/// Time since an RFC 3339 time; zero where there is none.
pub fn elapsed(since: Option<&str>, now: Timestamp) -> Duration {
    since
        .and_then(|text| text.parse::<Timestamp>().ok())
        .and_then(|then| Duration::try_from(now.duration_since(then)).ok())
        .unwrap_or_default()
}

/// The COMMAND column: what runs as one line in double quotes.
pub fn command(view: &ContainerView, truncate: bool) -> String {
    let words = view
        .record
        .launch
        .oci
        .process()
        .as_ref()
        .and_then(|process| process.args().clone())
        .unwrap_or_default();
    let line = joined(&words);
    let shown = if truncate {
        ellipsis(&line, COMMAND_WIDTH)
    } else {
        line
    };
    go_quote(&shown)
}

/// Words in one line as Docker joins them: an argument with a blank in it is in
/// single quotes, the program never is.
fn joined(words: &[String]) -> String {
    let quoted = |(index, word): (usize, &String)| {
        if index > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    };
    let words: Vec<String> = words.iter().enumerate().map(quoted).collect();
    words.join(" ")
}

/// A text in double quotes with Go's escapes, as Docker prints commands.
fn go_quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Published and exposed ports; none while it does not run, and of exposed ones
/// none without networks of its own.
pub fn port_lines(view: &ContainerView) -> Vec<PortLine> {
    match (&view.run, view.state) {
        (Some(run), RunState::Running | RunState::Paused) => {
            let launch = &view.record.launch;
            let exposed: &[_] = match launch.network {
                NetworkMode::Networks(_) => &launch.exposed,
                NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => &[],
            };
            ports::lines(&run.ports, exposed)
        }
        _ => Vec::new(),
    }
}

/// A container's name without the project: `web-1`.
pub fn short_name(project: &str, name: &str) -> String {
    let rest = name.strip_prefix(project);
    rest.and_then(|rest| rest.strip_prefix(['-', '_']))
        .unwrap_or(name)
        .to_owned()
}

/// `2026-11-24 11:25:08 +0000 UTC`, Go's default form of a time.
pub fn created_at(view: &ContainerView) -> String {
    view.record.created.parse::<Timestamp>().map_or_else(
        |_| view.record.created.clone(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_as_go_does() {
        assert_eq!(
            go_quote("sh -c 'printf \"a\\n\"'"),
            "\"sh -c 'printf \\\"a\\\\n\\\"'\""
        );
        assert_eq!(go_quote("a\nb\u{1}…"), "\"a\\nb\\x01…\"");
    }

    #[test]
    fn words_with_blanks_are_quoted_as_docker_does() {
        let words = ["sh", "-c", "echo hello; sleep 1", ""].map(str::to_owned);
        assert_eq!(joined(&words), "sh -c 'echo hello; sleep 1' ");
        assert_eq!(joined(&["a b".to_owned()]), "a b");
    }

    #[test]
    fn elapsed_is_zero_for_the_future_and_for_nonsense() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(
            elapsed(Some("2026-01-02T03:04:00Z"), now),
            Duration::from_secs(5)
        );
        assert_eq!(elapsed(Some("2026-01-02T03:05:00Z"), now), Duration::ZERO);
        assert_eq!(elapsed(Some("soon"), now), Duration::ZERO);
        assert_eq!(elapsed(None, now), Duration::ZERO);
    }
}
