//! A further process in a container, as `exec` asks for it.

use std::path::PathBuf;

use crate::engine::caps::CapSet;
use crate::engine::oci_default;
use crate::engine::spec::ExecSpec;
use crate::supervise::record::ContainerRecord;

/// Flags of `exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `-e`; without a value it is the caller's.
    pub environment: Vec<(String, Option<String>)>,
    /// `-u`; absent: as the container's own program.
    pub user: Option<String>,
    /// `-w`; absent: the container's.
    pub working_dir: Option<String>,
    /// All capabilities.
    pub privileged: bool,
    /// A terminal.
    pub tty: bool,
}

/// The process: the container's own, with what the flags change. `caller` is
/// the environment of who asks, for variables that are given without a value.
pub fn exec_spec(
    record: &ContainerRecord,
    options: ExecOptions,
    caller: &[(String, String)],
) -> ExecSpec {
    let launch = &record.launch;
    let mut process = launch.oci.process().clone().unwrap_or_default();
    let mut environment = process.env().clone().unwrap_or_default();
    let declared = environment.iter().any(|entry| entry.starts_with("TERM="));
    let mut put = |key: &str, value: &str| {
        let prefix = format!("{key}=");
        environment.retain(|entry| !entry.starts_with(&prefix));
        environment.push(format!("{key}={value}"));
    };
    if options.tty && !declared {
        put("TERM", "xterm");
    }
    for (key, value) in &options.environment {
        let of_caller = || {
            caller
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value)
        };
        if let Some(value) = value.as_ref().or_else(of_caller) {
            put(key, value);
        }
    }
    process.set_env(Some(environment));
    process.set_args(Some(options.command));
    process.set_terminal(Some(options.tty));
    if let Some(folder) = options.working_dir {
        process.set_cwd(PathBuf::from(folder));
    }
    if options.privileged {
        process.set_capabilities(Some(oci_default::capabilities(CapSet::all().to_oci())));
    }
    // The container's additional groups are of its own user.
    let groups = if options.user.is_some() {
        Vec::new()
    } else {
        launch.groups.clone()
    };
    ExecSpec {
        process,
        user: options.user.or_else(|| launch.user.clone()),
        groups,
        seccomp: launch.seccomp.clone(),
    }
}
