//! A service's attributes over its image's config, by Docker's rules.

use std::time::Duration;

use crate::compose::{Period, clean_target};
use crate::image::Healthcheck as ImageProbe;
use crate::net::spec::Protocol;
use crate::supervise::launch::HealthCheck;

use super::Work;
use super::values::{joins_another, parse_signal};

/// Docker's defaults of a health probe.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// Docker's grace time between the stop signal and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// Program and arguments. An `entrypoint:` clears the image's command; an
    /// empty one clears the image's entrypoint only, as Docker has it. An empty
    /// `command:` clears the image's, as the specification has it.
    pub(super) fn args(&mut self) -> Vec<String> {
        let image = &self.image.config;
        let own_entrypoint = self.service.entrypoint.as_deref();
        let entrypoint = own_entrypoint.unwrap_or(&image.entrypoint);
        let clears_command = own_entrypoint.is_some_and(|words| !words.is_empty());
        let command: &[String] = match self.service.command.as_deref() {
            Some(words) => words,
            None if clears_command => &[],
            None => &image.cmd,
        };
        let args: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
        if args.first().is_none_or(String::is_empty) {
            self.issues.error(
                "command",
                format!(
                    "no command specified: neither the service nor the image `{}` says what to run; \
                     set `command:`",
                    self.image.reference
                ),
            );
        }
        args
    }

    /// The environment: what the image has, the service's over it, and before
    /// them what Docker gives every container. A variable without a value takes
    /// the image's away.
    pub(super) fn environment(&self, hostname: &str) -> Vec<String> {
        let mut list = vec![split(crate::engine::oci_default::DEFAULT_PATH)];
        // Whose names are another's, learns them at its start.
        if !joins_another(self.service.network_mode.as_deref().unwrap_or_default()) {
            list.push(("HOSTNAME".to_owned(), hostname.to_owned()));
        }
        if self.service.tty {
            list.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        for entry in &self.image.config.env {
            let (key, value) = split(entry);
            put(&mut list, key, value);
        }
        for (key, value) in self.service.environment.iter() {
            match value {
                Some(value) => put(&mut list, key.clone(), value.clone()),
                None => list.retain(|(name, _)| name != key),
            }
        }
        list.into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    pub(super) fn user(&self) -> Option<String> {
        let image = &self.image.config.user;
        self.service
            .user
            .clone()
            .or_else(|| Some(image.clone()))
            .filter(|user| !user.is_empty())
    }

    pub(super) fn working_dir(&mut self) -> String {
        if let Some(folder) = self
            .service
            .working_dir
            .as_deref()
            .filter(|text| !text.is_empty())
        {
            if !folder.starts_with('/') {
                self.issues.error(
                    "working_dir",
                    format!("the working directory `{folder}` must be an absolute path"),
                );
            }
            return clean_target(folder);
        }
        clean_target(&format!("/{}", self.image.config.working_dir))
    }

    pub(super) fn stop_signal(&mut self) -> i32 {
        let own = self
            .service
            .stop_signal
            .as_deref()
            .filter(|text| !text.is_empty());
        let text = own
            .or(self.image.config.stop_signal.as_deref())
            .unwrap_or("SIGTERM");
        parse_signal(text).unwrap_or_else(|| {
            self.issues.error(
                "stop_signal",
                format!(
                    "`{text}` is not a signal; those have names (`SIGTERM`) and numbers (`15`)"
                ),
            );
            nix::libc::SIGTERM
        })
    }

    /// `None` waits for ever: Docker's meaning of a negative time.
    pub(super) fn stop_grace(&self) -> Option<Duration> {
        match (
            self.service.stop_grace_period,
            self.image.config.stop_timeout,
        ) {
            (Some(period), _) => (period.nanos() >= 0).then(|| period.get()),
            (None, Some(seconds)) => u64::try_from(seconds).ok().map(Duration::from_secs),
            (None, None) => Some(STOP_GRACE),
        }
    }

    /// The image's probe, field by field replaced by the service's.
    pub(super) fn health(&mut self) -> Option<HealthCheck> {
        let service = self.service.healthcheck.as_ref();
        if service.is_some_and(|probe| probe.disable) {
            return None;
        }
        let none = ImageProbe::default();
        let image = self.image.config.healthcheck.as_ref().unwrap_or(&none);
        let own_test = service
            .and_then(|probe| probe.test.as_deref())
            .filter(|test| !test.is_empty());
        let command = self.probe_command(own_test.unwrap_or(&image.test))?;
        let period = |own: Option<Period>, image: Option<Duration>, default: Duration| {
            own.map(Period::get)
                .filter(|time| !time.is_zero())
                .or(image)
                .unwrap_or(default)
        };
        let own =
            |field: fn(&crate::compose::Healthcheck) -> Option<Period>| service.and_then(field);
        let retries = service
            .and_then(|probe| probe.retries)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0);
        Some(HealthCheck {
            command,
            interval: period(own(|probe| probe.interval), image.interval, INTERVAL),
            timeout: period(own(|probe| probe.timeout), image.timeout, TIMEOUT),
            retries: retries.or(image.retries).unwrap_or(RETRIES),
            start_period: period(
                own(|probe| probe.start_period),
                image.start_period,
                Duration::ZERO,
            ),
            start_interval: period(
                own(|probe| probe.start_interval),
                image.start_interval,
                START_INTERVAL,
            ),
        })
    }

    fn probe_command(&mut self, test: &[String]) -> Option<Vec<String>> {
        let (kind, words) = test.split_first()?;
        match kind.as_str() {
            "NONE" => None,
            "CMD" if !words.is_empty() => Some(words.to_vec()),
            "CMD-SHELL" if !words.is_empty() => {
                let shell = &self.image.config.shell;
                let mut command = if shell.is_empty() {
                    vec!["/bin/sh".to_owned(), "-c".to_owned()]
                } else {
                    shell.clone()
                };
                command.push(words.join(" "));
                Some(command)
            }
            "CMD" | "CMD-SHELL" => {
                self.issues
                    .error("healthcheck.test", format!("nothing follows `{kind}`"));
                None
            }
            other => {
                self.issues.error(
                    "healthcheck.test",
                    format!("begins with `{other}`; expected NONE, CMD or CMD-SHELL"),
                );
                None
            }
        }
    }

    /// Ports that image and service name without publishing them.
    pub(super) fn exposed(&mut self) -> Vec<(u16, Protocol)> {
        let image = self.image.config.exposed_ports.iter();
        let mut found: Vec<(u16, Protocol)> = image
            .filter_map(|text| parse_exposed(text))
            .flatten()
            .collect();
        for (index, text) in self.service.expose.iter().enumerate() {
            let attribute = format!("expose[{index}]");
            match parse_exposed(text) {
                Some(ports) => found.extend(ports),
                None if is_sctp(text) => self.issues.warn(
                    &attribute,
                    "has no effect: ports of the protocol `sctp` are not shown",
                ),
                None => self.issues.error(
                    &attribute,
                    format!(
                        "`{}` is not a port as `80`, `53/udp` or `8000-8010` are",
                        &**text
                    ),
                ),
            }
        }
        found.sort_by_key(|(port, protocol)| (*port, protocol.as_str()));
        found.dedup();
        found
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`; nothing for what is no port.
fn parse_exposed(text: &str) -> Option<Vec<(u16, Protocol)>> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first <= last).then(|| (first..=last).map(|port| (port, protocol)).collect())
}

/// True for a port of the one protocol that can be named and is not known here.
fn is_sctp(text: &str) -> bool {
    let port = text.strip_suffix("/sctp");
    port.is_some_and(|port| parse_exposed(port).is_some())
}

fn split(entry: &str) -> (String, String) {
    let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
    (key.to_owned(), value.to_owned())
}

/// Replaces a variable at its place, or appends it.
fn put(list: &mut Vec<(String, String)>, key: String, value: String) {
    match list.iter_mut().find(|(name, _)| *name == key) {
        Some(entry) => entry.1 = value,
        None => list.push((key, value)),
    }
}
