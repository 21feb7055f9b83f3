//! Kernel parameters of the container's own namespaces: sysctl(8).

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::MountAttrFlags;

use crate::engine::init::error::{Step, StepResult, from_fs};
use crate::engine::sys::helpers;

const STEP: &str = "set the sysctl";

/// Writes all through a proc that nothing inside the container can cover.
pub(super) fn apply(proc: Option<&OwnedFd>, list: &HashMap<String, String>) -> StepResult<()> {
    if list.is_empty() {
        return Ok(());
    }
    let private;
    let proc = match proc {
        Some(proc) => proc,
        None => {
            private = helpers::detached_mount("proc", &[], MountAttrFlags::empty())
                .map_err(|error| from_fs("mount", "proc", &error))?;
            &private
        }
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

/// `net.ipv4.ip_forward`, or with slashes where a part has a dot.
fn path_of(key: &str) -> String {
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
    format!("sys/{path}")
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
