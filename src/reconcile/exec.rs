//! A further process for a running container: what `docker exec` gives it.

use oci_spec::runtime::Process;

use crate::engine::caps::CapSet;
use crate::engine::oci_default;
use crate::engine::spec::ExecSpec;
use crate::supervise::record::ContainerRecord;

/// What an `exec` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables over the container's own; without a value: the caller's.
    pub environment: Vec<(String, Option<String>)>,
    /// Instead of the container's user.
    pub user: Option<String>,
    /// Instead of the container's working directory.
    pub working_dir: Option<String>,
    /// All capabilities, no filter.
    pub privileged: bool,
    /// With a terminal.
    pub tty: bool,
}

/// The process: the container's environment, user, folder, limits and
/// capabilities, changed by the options. `caller` is where variables without a
/// value are looked up.
pub fn exec_spec(
    record: &ContainerRecord,
    options: ExecOptions,
    caller: &[(String, String)],
) -> ExecSpec {
    let launch = &record.launch;
    let mut process = launch.oci.process().clone().unwrap_or_default();
    let mut env = process.env().clone().unwrap_or_default();
    if options.tty {
        set(&mut env, "TERM", "xterm");
    }
    for (name, value) in options.environment {
        let value = value.or_else(|| {
            caller
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        });
        // A variable that the caller does not have either stays as it is.
        if let Some(value) = value {
            set(&mut env, &name, &value);
        }
    }
    process.set_env(Some(env));
    process.set_args(Some(options.command));
    process.set_terminal(Some(options.tty));
    if let Some(folder) = options.working_dir {
        process.set_cwd(folder.into());
    }
    if options.privileged {
        grant_all(&mut process);
    }
    // A user of its own comes without the groups that were added to the
    // container's user.
    let groups = if options.user.is_some() {
        Vec::new()
    } else {
        launch.groups.clone()
    };
    ExecSpec {
        process,
        user: options.user.or_else(|| launch.user.clone()),
        groups,
        seccomp: if options.privileged {
            crate::engine::spec::Seccomp::Unconfined
        } else {
            launch.seccomp.clone()
        },
    }
}

fn grant_all(process: &mut Process) {
    process.set_capabilities(Some(oci_default::capabilities(CapSet::all().to_oci())));
    process.set_no_new_privileges(Some(false));
}

fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let prefix = format!("{name}=");
    env.retain(|entry| !entry.starts_with(&prefix));
    env.push(format!("{name}={value}"));
}
