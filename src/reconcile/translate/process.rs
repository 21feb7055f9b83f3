//! The process: program, environment, limits, restarts, logs.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Spec};

use crate::compose::Restart;
use crate::engine::rlimits;
use crate::supervise::launch::{LogOptions, RestartPolicy};

use super::Work;
use super::values::{joins_another, parse_log_size};

/// Docker's `local` driver keeps five files of 20 million bytes.
const LOCAL_DRIVER: LogOptions = LogOptions {
    enabled: true,
    max_size: Some(20_000_000),
    max_files: 5,
};

/// Docker's `json-file` driver keeps one file of any size.
const JSON_FILE_DRIVER: LogOptions = LogOptions {
    enabled: true,
    max_size: None,
    max_files: 1,
};

impl Work<'_> {
    /// Fills `process` and `hostname`.
    pub(super) fn process(&mut self, spec: &mut Spec) {
        let hostname = self.hostname();
        let mut process = spec.process().clone().unwrap_or_default();
        process.set_args(Some(self.args()));
        process.set_env(Some(self.environment(&hostname)));
        process.set_cwd(PathBuf::from(self.working_dir()));
        process.set_terminal(Some(self.service.tty));
        let limits = self.rlimits();
        process.set_rlimits((!limits.is_empty()).then_some(limits));
        match i32::try_from(self.service.oom_score_adj) {
            Ok(value) if (-1000..=1000).contains(&value) => {
                process.set_oom_score_adj(Some(value));
            }
            Ok(_) | Err(_) => self
                .issues
                .error("oom_score_adj", "must be from -1000 to 1000"),
        }
        spec.set_process(Some(process));
        spec.set_hostname(Some(hostname));
    }

    /// The name inside: as declared, else the short id; on the host's network
    /// the host's, as Docker has it.
    fn hostname(&mut self) -> String {
        let service = self.service;
        if let Some(name) = service.hostname.as_deref().filter(|name| !name.is_empty()) {
            let mode = service.network_mode.as_deref().unwrap_or_default();
            if self.on_host("uts") {
                let message = "cannot be set with `uts: host`: the name is the host's";
                self.issues.error("hostname", message);
            } else if joins_another(mode) {
                let message =
                    format!("cannot be set with `network_mode: {mode}`: the name comes with it");
                self.issues.error("hostname", message);
            }
            return name.to_owned();
        }
        if self.service.network_mode.as_deref() == Some("host") || self.on_host("uts") {
            return self.context.host.hostname();
        }
        self.instance.id.short().to_owned()
    }

    fn rlimits(&mut self) -> Vec<PosixRlimit> {
        let mut limits = Vec::new();
        for (name, limit) in &self.service.ulimits {
            let attribute = format!("ulimits.{name}");
            let (soft, hard) = limit.limits();
            let limit = match rlimits::limit(name, soft, hard) {
                Ok(limit) => limit,
                Err(message) => {
                    self.issues.error(&attribute, message);
                    continue;
                }
            };
            if limit.typ() == PosixRlimitType::RlimitNofile
                && let Some(most) = self.most_open_files().filter(|most| limit.hard() > *most)
            {
                self.issues.error(
                    &attribute,
                    format!("this kernel allows no more than {most} open files (fs.nr_open)"),
                );
            }
            limits.push(limit);
        }
        limits
    }

    /// The kernel's ceiling, which binds root as well (getrlimit(2)).
    fn most_open_files(&self) -> Option<u64> {
        let text = self.context.host.read(Path::new("/proc/sys/fs/nr_open"));
        text.ok()?.trim().parse().ok()
    }

    /// `deploy.restart_policy` overrules `restart`.
    pub(super) fn restart(&mut self) -> RestartPolicy {
        let deploy = self
            .service
            .deploy
            .as_ref()
            .and_then(|one| one.restart_policy.as_ref());
        if let Some(policy) = deploy {
            let most = policy
                .max_attempts
                .and_then(|count| u32::try_from(count).ok());
            if policy.delay.is_some() || policy.window.is_some() {
                self.issues.warn(
                    "deploy.restart_policy",
                    "`delay` and `window` have no effect on a single host",
                );
            }
            return match policy.condition.as_deref() {
                Some("none") => RestartPolicy::No,
                Some("on-failure") => RestartPolicy::OnFailure {
                    max_retries: most.unwrap_or(0),
                },
                Some("any") | None => RestartPolicy::Always,
                Some(other) => {
                    self.issues.error(
                        "deploy.restart_policy.condition",
                        format!("is `{other}`; expected none, on-failure or any"),
                    );
                    RestartPolicy::No
                }
            };
        }
        match self.service.restart_policy() {
            Ok(Restart::No) => RestartPolicy::No,
            Ok(Restart::Always) => RestartPolicy::Always,
            Ok(Restart::UnlessStopped) => RestartPolicy::UnlessStopped,
            Ok(Restart::OnFailure { max_retries }) => RestartPolicy::OnFailure {
                max_retries: max_retries.unwrap_or(0),
            },
            Err(message) => {
                self.issues.error("restart", message);
                RestartPolicy::No
            }
        }
    }

    /// Drivers are refused elsewhere; here only those that mean our own files.
    pub(super) fn log(&mut self) -> LogOptions {
        let Some(logging) = &self.service.logging else {
            return JSON_FILE_DRIVER;
        };
        let mut options = match logging.driver.as_deref() {
            Some("none") => LogOptions {
                enabled: false,
                ..JSON_FILE_DRIVER
            },
            Some("local") => LOCAL_DRIVER,
            Some(_) | None => JSON_FILE_DRIVER,
        };
        for (name, value) in logging.options.iter() {
            let attribute = format!("logging.options.{name}");
            match name.as_str() {
                "max-size" if value == "-1" => options.max_size = None,
                "max-size" => match parse_log_size(value).filter(|size| *size > 0) {
                    Some(size) => options.max_size = Some(size),
                    None => self.issues.error(
                        &attribute,
                        format!("`{value}` is not a size; expected a number with k, m or g"),
                    ),
                },
                "max-file" => match value.parse::<u32>().ok().filter(|count| *count > 0) {
                    Some(count) => options.max_files = count,
                    None => self.issues.error(
                        &attribute,
                        format!("`{value}` is not a number of files, at least 1"),
                    ),
                },
                _ => self.issues.warn(
                    &attribute,
                    "has no effect: of the options, `max-size` and `max-file` count",
                ),
            }
        }
        options
    }
}
