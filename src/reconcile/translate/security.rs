//! Capabilities, filters, privileges, namespaces shared with the host.

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::engine::caps::CapSet;
use crate::engine::oci_default;
use crate::engine::spec::Seccomp;

use super::Work;

/// A `security_opt`, read.
enum SecurityOption<'a> {
    NoNewPrivileges(bool),
    Seccomp(&'a str),
    SystemPathsUnconfined,
    Accepted,
    AcceptedWithout(&'static str),
    Unknown,
}

fn parse_option(text: &str) -> SecurityOption<'_> {
    let (key, value) = match text.find(['=', ':']) {
        Some(at) => (
            text.get(..at).unwrap_or_default(),
            text.get(at + 1..).unwrap_or_default(),
        ),
        None => (text, ""),
    };
    match (key, value) {
        ("no-new-privileges", "" | "true") => SecurityOption::NoNewPrivileges(true),
        ("no-new-privileges", "false") => SecurityOption::NoNewPrivileges(false),
        ("seccomp", profile) if !profile.is_empty() => SecurityOption::Seccomp(profile),
        ("systempaths", "unconfined") => SecurityOption::SystemPathsUnconfined,
        ("apparmor", "unconfined") | ("label", "disable") => SecurityOption::Accepted,
        ("label", _) => SecurityOption::AcceptedWithout("SELinux labels are not set"),
        _ => SecurityOption::Unknown,
    }
}

impl Work<'_> {
    /// Fills capabilities, `noNewPrivileges`, masked paths, namespaces.
    pub(super) fn security(&mut self, spec: &mut Spec) {
        let mut process = spec.process().clone().unwrap_or_default();
        if !self.service.privileged {
            match CapSet::compute(&self.service.cap_add, &self.service.cap_drop) {
                Ok(set) => {
                    process.set_capabilities(Some(oci_default::capabilities(set.to_oci())));
                }
                Err(error) => {
                    let attribute = if CapSet::compute(&self.service.cap_add, &[]).is_err() {
                        "cap_add"
                    } else {
                        "cap_drop"
                    };
                    self.issues.error(attribute, error.to_string());
                }
            }
        }
        let mut unconfined_paths = false;
        for (index, text) in self.service.security_opt.iter().enumerate() {
            match parse_option(text) {
                SecurityOption::NoNewPrivileges(on) => {
                    process.set_no_new_privileges(Some(on));
                }
                SecurityOption::SystemPathsUnconfined => unconfined_paths = true,
                SecurityOption::AcceptedWithout(effect) => {
                    self.issues.warn(&format!("security_opt[{index}]"), effect);
                }
                SecurityOption::Seccomp(_) | SecurityOption::Accepted => {}
                SecurityOption::Unknown => self.issues.error(
                    &format!("security_opt[{index}]"),
                    format!(
                        "`{text}` cannot be honoured; known are no-new-privileges, seccomp=unconfined, \
                         seccomp=FILE, systempaths=unconfined, apparmor=unconfined and label=…"
                    ),
                ),
            }
        }
        spec.set_process(Some(process));
        let mut root = spec.root().clone().unwrap_or_default();
        root.set_readonly(Some(self.service.read_only));
        spec.set_root(Some(root));
        let mut linux = spec.linux().clone().unwrap_or_default();
        if unconfined_paths {
            linux.set_masked_paths(None);
            linux.set_readonly_paths(None);
        }
        let shared = self.namespaces_of_the_host();
        let namespaces = linux.namespaces().clone().unwrap_or_default();
        let kept = namespaces
            .into_iter()
            .filter(|one| !shared.contains(&one.typ()))
            .collect();
        linux.set_namespaces(Some(kept));
        spec.set_linux(Some(linux));
    }

    fn namespaces_of_the_host(&self) -> Vec<LinuxNamespaceType> {
        [
            ("ipc", LinuxNamespaceType::Ipc),
            ("pid", LinuxNamespaceType::Pid),
            ("uts", LinuxNamespaceType::Uts),
            ("cgroup", LinuxNamespaceType::Cgroup),
        ]
        .into_iter()
        .filter(|(name, _)| self.on_host(name))
        .map(|(_, kind)| kind)
        .collect()
    }

    /// Whether the container uses the host's namespace of this kind.
    pub(super) fn on_host(&self, namespace: &str) -> bool {
        let mode = match namespace {
            "ipc" => &self.service.ipc,
            "pid" => &self.service.pid,
            "uts" => &self.service.uts,
            _ => &self.service.cgroup,
        };
        mode.as_deref() == Some("host")
    }

    /// The system call filter. A privileged container has none, unless one is
    /// named.
    pub(super) fn seccomp(&mut self) -> Seccomp {
        let named =
            self.service.security_opt.iter().enumerate().find_map(
                |(index, text)| match parse_option(text) {
                    SecurityOption::Seccomp(profile) => Some((index, profile)),
                    SecurityOption::NoNewPrivileges(_)
                    | SecurityOption::SystemPathsUnconfined
                    | SecurityOption::Accepted
                    | SecurityOption::AcceptedWithout(_)
                    | SecurityOption::Unknown => None,
                },
            );
        let (index, profile) = match named {
            None if self.service.privileged => return Seccomp::Unconfined,
            Some((_, "unconfined")) => return Seccomp::Unconfined,
            None | Some((_, "builtin")) => return Seccomp::Default,
            Some(named) => named,
        };
        let attribute = format!("security_opt[{index}]");
        let path = self.context.project.working_dir.join(Path::new(profile));
        let path: std::path::PathBuf = path.components().collect();
        match self.context.host.read(&path) {
            Err(error) => {
                self.issues
                    .error(&attribute, format!("cannot read the profile: {error}"));
                Seccomp::Default
            }
            Ok(text) => match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => Seccomp::Profile(text),
                Err(error) => {
                    self.issues.error(
                        &attribute,
                        format!("`{}` is not a seccomp profile: {error}", path.display()),
                    );
                    Seccomp::Default
                }
            },
        }
    }
}
