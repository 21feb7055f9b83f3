//! A published port in the user's browser.

use std::process::Stdio;

use tokio::process::Command;

use super::sudo;
use crate::compose::Project;
use crate::env;
use crate::event::{Event, EventSink};

/// What opens an address with the program that the user has chosen for it.
const OPENER: &str = "xdg-open";

/// Opens the first port that the project publishes, and says where that is: on a
/// machine without a screen somebody copies it.
pub fn open(project: &Project, sink: &dyn EventSink) {
    let Some(address) = address(project) else {
        let message = "no service publishes a port".to_owned();
        return sink.emit(Event::Note { message });
    };
    sink.emit(Event::Note {
        message: format!("opening {address}"),
    });
    let mut command = Command::new(OPENER);
    command
        .arg(&address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A browser is nothing for root.
    if let Some(account) = sudo::invoking_user() {
        let path = env::read_string(env::PATH).unwrap_or_default();
        account.become_in(&mut command, &path);
    }
    // Its end is nobody's business; the runtime reaps it.
    if let Err(error) = command.spawn() {
        sink.emit(Event::Note {
            message: format!("{OPENER} cannot be run ({error}): open the address yourself"),
        });
    }
}

/// `http://localhost:8080`
fn address(project: &Project) -> Option<String> {
    let ports = project.services.values().flat_map(|service| &service.ports);
    ports
        .filter(|port| port.protocol.as_deref().is_none_or(|it| it == "tcp"))
        .find_map(|port| {
            let published = port.published.as_deref()?;
            let first = published.split('-').next()?;
            let scheme = if port.target == 443 { "https" } else { "http" };
            let host = match port.host_ip.as_deref() {
                None | Some("" | "0.0.0.0" | "::" | "127.0.0.1") => "localhost",
                Some(other) => other,
            };
            Some(format!("{scheme}://{host}:{first}"))
        })
}
