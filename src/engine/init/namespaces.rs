//! Entering control groups and namespaces: namespaces(7), cgroups(7).

use std::os::fd::{AsFd, OwnedFd};

use fs_err as fs;
use nix::sched::{CloneFlags, unshare};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use super::error::{Step, StepResult, plain};
use crate::engine::launch::{CgroupFds, LaunchFds};
use crate::engine::sys::helpers;

/// Writes `0`, which is the writer, to each `tasks`. In the unified hierarchy
/// the child was born in its group.
pub(super) fn enter_cgroups(cgroup: &CgroupFds) -> StepResult<()> {
    for file in &cgroup.tasks {
        rustix::io::write(file, b"0").doing("enter the control group")?;
    }
    Ok(())
}

/// A process that enters a frozen group of v1 would stop there, between clone
/// and exec. (In the unified hierarchy the keeper looks before it clones.)
pub(super) fn refuse_frozen(cgroup: &CgroupFds) -> StepResult<()> {
    for file in &cgroup.tasks {
        let path = fs::read_link(helpers::descriptor_path(file.as_fd()))
            .doing("look at the control group")?;
        // Only the freezer's hierarchy has such a file.
        let state = fs::read_to_string(path.with_file_name("freezer.state"));
        if state.is_ok_and(|state| state.trim() != "THAWED") {
            return Err(plain(
                "enter the control group",
                path.display(),
                "the container is paused; unpause it first",
            ));
        }
    }
    Ok(())
}

/// Joins the namespaces that have a path (or the descriptor given for the
/// network) and makes the others that the spec lists. The pid namespace is
/// what the process was born in.
pub(super) fn enter(spec: &Spec, fds: &LaunchFds) -> StepResult<()> {
    let listed = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.namespaces().as_deref())
        .unwrap_or_default();
    let mut new = CloneFlags::empty();
    // Paths are the host's, so all are opened before anything is entered.
    let mut joined: Vec<(LinuxNamespaceType, OwnedFd)> = Vec::new();
    for namespace in listed {
        match (namespace.typ(), namespace.path()) {
            (LinuxNamespaceType::Pid, _) => {}
            (LinuxNamespaceType::Network, _) if fds.netns.is_some() => {}
            (LinuxNamespaceType::Mount, Some(path)) => {
                return Err(plain(
                    "join the mount namespace",
                    path.display(),
                    "a container always has a mount namespace of its own",
                ));
            }
            (kind, Some(path)) => joined.push((
                kind,
                rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .on("open the namespace", path.display())?,
            )),
            (_, None) => new |= clone_flag(namespace)?,
        }
    }
    if let Some(netns) = &fds.netns {
        join(netns, LinkNameSpaceType::Network, "network")?;
    }
    for (kind, namespace) in &joined {
        join(namespace, link_type(*kind)?, &kind.to_string())?;
    }
    unshare(new | CloneFlags::CLONE_NEWNS).doing("make namespaces")
}

/// Joins all namespaces of a running container, the mount namespace included:
/// `/` and the working directory are the container's from here on.
pub(super) fn enter_target(target: &OwnedFd) -> StepResult<()> {
    rustix::thread::move_into_thread_name_spaces(
        target.as_fd(),
        ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::CONTROL_GROUP,
    )
    .doing("join the container's namespaces")
}

/// The names that uname(2) tells, where the spec has some. A container that
/// shares the host's names does not change them.
pub(super) fn set_names(spec: &Spec) -> StepResult<()> {
    if !lists(spec, LinuxNamespaceType::Uts) {
        return Ok(());
    }
    if let Some(name) = spec.hostname().as_deref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes()).on("set the hostname", name)?;
    }
    if let Some(name) = spec.domainname().as_deref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).on("set the domain name", name)?;
    }
    Ok(())
}

/// Whether the container has a namespace of this type that is not the host's.
pub(crate) fn lists(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    spec.linux()
        .as_ref()
        .and_then(|linux| linux.namespaces().as_deref())
        .is_some_and(|listed| listed.iter().any(|one| one.typ() == kind))
}

fn join(namespace: &OwnedFd, kind: LinkNameSpaceType, name: &str) -> StepResult<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
        .on("join the namespace", name)
}

fn clone_flag(namespace: &LinuxNamespace) -> StepResult<CloneFlags> {
    Ok(match namespace.typ() {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        other @ (LinuxNamespaceType::Pid | LinuxNamespaceType::User | LinuxNamespaceType::Time) => {
            return Err(unsupported(other));
        }
    })
}

fn link_type(kind: LinuxNamespaceType) -> StepResult<LinkNameSpaceType> {
    Ok(match kind {
        LinuxNamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
        LinuxNamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        LinuxNamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
        LinuxNamespaceType::Network => LinkNameSpaceType::Network,
        other @ (LinuxNamespaceType::Pid
        | LinuxNamespaceType::Mount
        | LinuxNamespaceType::User
        | LinuxNamespaceType::Time) => return Err(unsupported(other)),
    })
}

fn unsupported(kind: LinuxNamespaceType) -> crate::engine::spec::InitError {
    plain(
        "make the namespace",
        kind,
        "namespaces of this type are not supported",
    )
}
