//! Kernel parameters of the container's own namespaces: sysctl(8).

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::MountAttrFlags;

use crate::engine::init::error::{Step, StepResult, from_fs, plain};
use crate::engine::init::namespaces::lists;
use crate::engine::spec::SET_SYSCTL as STEP;
use crate::engine::sys::helpers;

/// Where they are in a procfs.
const TOP: &str = "sys/";

/// Which namespace keeps a parameter that containers may have of their own.
const NAMESPACED: [(&str, LinuxNamespaceType); 6] = [
    ("net/", LinuxNamespaceType::Network),
    ("kernel/shm", LinuxNamespaceType::Ipc),
    ("kernel/msg", LinuxNamespaceType::Ipc),
    ("kernel/sem", LinuxNamespaceType::Ipc),
    ("fs/mqueue/", LinuxNamespaceType::Ipc),
    ("kernel/domainname", LinuxNamespaceType::Uts),
];

/// Refuses what would change the host: parameters without a namespace, and
/// those of a namespace that the container shares with it. A network
/// namespace that was made ahead counts as the container's own.
pub(crate) fn check(spec: &Spec, netns: Option<&OwnedFd>) -> StepResult<()> {
    let list = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.sysctl().as_ref());
    for key in list.into_iter().flat_map(HashMap::keys) {
        let path = path_of(key);
        let path = path.strip_prefix(TOP).unwrap_or(&path);
        let keeper = NAMESPACED
            .iter()
            .find(|(prefix, _)| path.starts_with(prefix))
            .map(|(_, kind)| *kind);
        let refusal = match keeper {
            None => "it is one of the whole machine's".to_owned(),
            Some(LinuxNamespaceType::Network) if netns.is_some() => continue,
            Some(kind) if !lists(spec, kind) => {
                format!("the container shares the host's {kind} namespace")
            }
            Some(_) => continue,
        };
        return Err(plain(STEP, key, refusal));
    }
    Ok(())
}

/// Writes all through a proc that nothing inside the container can cover.
pub(super) fn apply(proc: Option<&OwnedFd>, list: &HashMap<String, String>) -> StepResult<()> {
    if list.is_empty() {
        return Ok(());
    }
    let private;
    let proc = if let Some(proc) = proc {
        proc
    } else {
        private = helpers::detached_mount("proc", &[], MountAttrFlags::empty())
            .map_err(|error| from_fs("mount", "proc", &error))?;
        &private
    };
    for (key, value) in list {
        let file = openat2(
            proc,
            path_of(key),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        )
        .on(STEP, key)?;
        rustix::io::write(&file, value.as_bytes()).on(STEP, format!("{key}={value}"))?;
    }
    Ok(())
}

/// Where `net.ipv4.ip_forward` is in a procfs; it is written with slashes where
/// a part has a dot.
pub(crate) fn path_of(key: &str) -> String {
    let with_dots = key
        .find(['.', '/'])
        .is_none_or(|at| key[at..].starts_with('.'));
    let path: String = if with_dots {
        key.chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    } else {
        key.to_owned()
    };
    format!("{TOP}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_key_in_both_notations_is_the_same() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "sys/net/ipv4/ip_forward");
        assert_eq!(
            path_of("net/ipv4/conf/eth0.1/rp_filter"),
            "sys/net/ipv4/conf/eth0.1/rp_filter"
        );
        assert_eq!(
            path_of("net.ipv4.conf.eth0/1.rp_filter"),
            "sys/net/ipv4/conf/eth0.1/rp_filter"
        );
    }
}
