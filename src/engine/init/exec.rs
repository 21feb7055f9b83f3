//! A further process of a running container, step by step.

use std::convert::Infallible;
use std::os::fd::AsFd;

use super::credentials::Credentials;
use super::error::{Step, StepResult, plain};
use super::identity::Accounts;
use super::program::Program;
use super::{inherited, namespaces, read_spec, terminal};
use crate::engine::inroot::Root;
use crate::engine::launch::LaunchFds;
use crate::engine::spec::ExecSpec;

/// Joins the container and executes the program.
pub(super) fn start(fds: &LaunchFds) -> StepResult<Infallible> {
    let spec: ExecSpec = read_spec(fds.spec.as_fd())?;
    let process = &spec.process;
    let target = fds
        .target
        .as_ref()
        .ok_or_else(|| plain("join the container", "target", "no process was given"))?;

    // While /proc is the host's.
    inherited::reset_rlimits()?;
    namespaces::refuse_frozen(&fds.cgroup)?;
    namespaces::enter_cgroups(&fds.cgroup)?;
    inherited::reset(process)?;
    let credentials = Credentials::of(process, fds.filter.as_ref())?;
    rustix::process::setsid().doing("begin a session")?;
    namespaces::enter_target(target)?;

    let root = Root::own().doing("open the container's root")?;
    let streams = match &fds.stdio {
        Some(stdio) => terminal::take_streams(stdio).map(|()| None)?,
        None => Some(terminal::open(&root, process, fds)?),
    };
    let accounts = Accounts::read(&root)?;
    let identity = match &spec.user {
        Some(user) => accounts.identity(user, &spec.groups)?,
        None => accounts.of_process(process.user(), &spec.groups)?,
    };
    super::finish(process, &identity, &credentials, streams.is_some(), |env| {
        Program::find(process.args().as_deref().unwrap_or_default(), env, None)
    })
}
