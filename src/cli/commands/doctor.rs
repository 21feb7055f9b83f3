//! `skiff doctor`.

mod self_test;

use std::path::Path;

use clap::Args;

use crate::causes::with_causes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::engine::{cgroup, probe as engine_probe, systemd};
use crate::net;
use crate::state::Layout;
use crate::state::space::Space;
use crate::supervise::group;
use crate::ui::{color, write_out};

/// Flags of `skiff doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// The oldest kernel that skiff is made for.
const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Good,
    /// It works, and here is something to know.
    Note(String),
    /// It cannot be told without root.
    NeedsRoot,
    /// It is missing; the second text is what to do.
    Missing(String, String),
}

struct Check {
    subject: String,
    verdict: Verdict,
}

impl Check {
    fn new(subject: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            subject: subject.into(),
            verdict,
        }
    }
}

/// Checks what containers need of this machine, and runs one for trial.
///
/// # Errors
/// Something is missing, or the user interrupted.
pub fn run(context: &Context, _args: &DoctorArgs) -> CliResult {
    let root = rustix::process::geteuid().is_root();
    let mut checks = vec![kernel(), privileges(root)];
    checks.extend(engine(context.layout.data(), root));
    checks.extend(control_groups(&context.layout, root));
    checks.extend(network(root));
    checks.push(space(&context.layout));
    checks.push(if root {
        self_test::run(&context.layout)?
    } else {
        let not_run = Verdict::Note("was not run, as it needs root".to_owned());
        Check::new("self-test", not_run)
    });
    let missing = checks
        .iter()
        .filter(|check| matches!(check.verdict, Verdict::Missing(..)))
        .count();
    let text: String = checks
        .iter()
        .map(|check| line(check, context.ui.color_out))
        .collect();
    write_out(&text)?;
    match missing {
        0 => Ok(()),
        1 => Err(CliError::new("one thing is missing on this machine")),
        count => Err(CliError::new(format!(
            "{count} things are missing on this machine"
        ))),
    }
}

fn line(check: &Check, color: bool) -> String {
    let Check { subject, verdict } = check;
    match verdict {
        Verdict::Good => format!(
            "{} {subject}\n",
            color::paint(color, color::GOOD, "ok     ")
        ),
        Verdict::Note(note) => {
            format!(
                "{} {subject}: {note}\n",
                color::paint(color, color::WARNING, "note   ")
            )
        }
        Verdict::NeedsRoot => format!("unknown {subject}: can be told as root only\n"),
        Verdict::Missing(why, remedy) => format!(
            "{} {subject}: {why}\n        {} {remedy}\n",
            color::paint(color, color::ERROR, "missing"),
            color::paint(color, color::HINT, "remedy:"),
        ),
    }
}

fn kernel() -> Check {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let (major, minor) = OLDEST_KERNEL;
    let verdict = match parse_release(&release) {
        Some(version) if version >= OLDEST_KERNEL => Verdict::Good,
        Some(_) => Verdict::Missing(
            format!("older than {major}.{minor}"),
            format!("use Linux {major}.{minor} or later"),
        ),
        None => Verdict::Note("its version cannot be read".to_owned()),
    };
    Check::new(format!("Linux {release}"), verdict)
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn privileges(root: bool) -> Check {
    let verdict = if root {
        Verdict::Good
    } else {
        Verdict::Note("containers need root for now: use sudo".to_owned())
    };
    Check::new("root", verdict)
}

fn engine(data_root: &std::path::Path, root: bool) -> Vec<Check> {
    if !root {
        return vec![Check::new("namespaces and overlayfs", Verdict::NeedsRoot)];
    }
    engine_probe::probe(data_root)
        .into_iter()
        .map(|found| {
            let verdict = found.missing.map_or(Verdict::Good, |why| {
                Verdict::Missing(why, found.remedy.to_owned())
            });
            Check::new(found.feature, verdict)
        })
        .collect()
}

fn control_groups(layout: &Layout, root: bool) -> Vec<Check> {
    match cgroup::Host::detect() {
        Ok(host) => {
            let version = match host.version() {
                cgroup::Version::V1 => "v1",
                cgroup::Version::V2 => "v2",
            };
            let names: Vec<String> = host.controllers().iter().map(ToString::to_string).collect();
            let groups = Check::new(
                format!("control groups {version} ({})", names.join(", ")),
                Verdict::Good,
            );
            let mut checks = vec![groups];
            checks.extend(limits_missing(&host));
            checks.extend(scopes(&host, Path::new(systemd::RUN), root));
            checks.extend(
                group::fallbacks(layout)
                    .into_iter()
                    .map(|warning| Check::new("control groups", Verdict::Note(warning))),
            );
            checks
        }
        Err(error) => {
            let remedy = error.hint().unwrap_or_default();
            vec![Check::new(
                "control groups",
                Verdict::Missing(error.to_string(), remedy),
            )]
        }
    }
}

/// Whether systemd, where there is one, gives scopes.
/// Controllers without which a limit of a Compose file is refused.
fn limits_missing(host: &cgroup::Host) -> Option<Check> {
    use cgroup::Controller::{Cpu, Memory, Pids};
    let available = host.controllers();
    let missing: Vec<String> = [Cpu, Memory, Pids]
        .iter()
        .filter(|controller| !available.contains(controller))
        .map(ToString::to_string)
        .collect();
    let remedy = match host.version() {
        cgroup::Version::V1 => {
            "mount them: mount -t cgroup -o NAME NAME /sys/fs/cgroup/NAME; memory on some boards: \
             boot with cgroup_enable=memory"
        }
        cgroup::Version::V2 => {
            "hand them down where skiff runs in a control group of its own (`Delegate=yes` of a \
             systemd unit, `+NAME` in the parent's cgroup.subtree_control); memory on some boards: \
             boot with cgroup_enable=memory"
        }
    };
    (!missing.is_empty()).then(|| {
        let text = format!(
            "no {}: services with such a limit are refused; {remedy}",
            missing.join(", ")
        );
        Check::new("limits", Verdict::Note(text))
    })
}

fn scopes(host: &cgroup::Host, run: &Path, root: bool) -> Option<Check> {
    if !systemd::is_booted(run) {
        return None;
    }
    let aside = |why: &str| Verdict::Note(format!("{why}; control groups are made in /skiff"));
    let verdict = if host.version() == cgroup::Version::V1 {
        aside("used with control groups v2 only")
    } else if root {
        match systemd::version(run, systemd::LIMIT) {
            Ok(version) => {
                let subject = format!("systemd {version}, a scope for each project");
                return Some(Check::new(subject, Verdict::Good));
            }
            Err(error) => aside(&with_causes(&error)),
        }
    } else {
        Verdict::NeedsRoot
    };
    Some(Check::new("systemd scopes", verdict))
}

fn network(root: bool) -> Vec<Check> {
    if !root {
        return vec![Check::new("bridges and nf_tables", Verdict::NeedsRoot)];
    }
    net::probe()
        .into_iter()
        .map(|found| {
            let verdict = found.missing.map_or(Verdict::Good, |why| {
                Verdict::Missing(why, found.remedy.to_owned())
            });
            Check::new(found.feature, verdict)
        })
        .collect()
}

fn space(layout: &Layout) -> Check {
    let subject = format!("space in {}", layout.data().display());
    let existing = layout.data().ancestors().find(|path| path.exists());
    let verdict = match existing.map(Space::of) {
        Some(Ok(Some(Space { free, .. }))) => {
            Verdict::Note(format!("{} free", crate::ui::units::human_size(free)))
        }
        _ => Verdict::Note("cannot be told".to_owned()),
    };
    Check::new(subject, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(parse_release("6.1.0-41-cloud-amd64"), Some((6, 1)));
        assert_eq!(parse_release("5.15.0"), Some((5, 15)));
        assert!(parse_release("5.9.16") < Some(OLDEST_KERNEL));
        assert_eq!(parse_release("next"), None);
    }

    #[test]
    fn what_is_missing_comes_with_a_remedy() {
        let check = Check::new("x", Verdict::Missing("no module".into(), "load it".into()));
        assert_eq!(
            line(&check, false),
            "missing x: no module\n        remedy: load it\n"
        );
    }
}
