//! Which attribute accounts for what a container's child could not do between
//! its birth and its program.

use crate::compose::{FileReference, MountKind, Service};
use crate::engine::cgroup::limit::{BLOCK_IO, CPU, CPUSET, MEMORY, PROCESSES, SWAP, SWAPPINESS};
use crate::engine::spec::{
    COPY_UP, ENTER_FOLDER, FIND_GROUP, FIND_USER, InitError, MAKE_TARGET, MOUNT, OPEN_SOURCE,
    OPEN_VOLUME, SET_LIMIT, SET_SYSCTL,
};

/// Exit codes of a program that cannot be executed, or is not there.
const PROGRAM_FAILED: [i32; 2] = [126, 127];

/// The attribute of the service that names what failed.
pub(super) fn attribute(service: &Service, error: &InitError) -> Option<String> {
    let object = error.object.as_deref().unwrap_or_default();
    match error.step.as_str() {
        FIND_USER => user_attribute(service, object),
        FIND_GROUP => group_attribute(service, object),
        SET_SYSCTL => sysctl_attribute(service, object),
        SET_LIMIT => limit_attribute(service, object),
        OPEN_VOLUME => subpath_attribute(service, object),
        OPEN_SOURCE => source_attribute(service, object),
        MOUNT | MAKE_TARGET | COPY_UP => target_attribute(service, object),
        ENTER_FOLDER => {
            let own = service.working_dir.as_deref() == Some(object);
            own.then(|| "working_dir".to_owned())
        }
        _ if PROGRAM_FAILED.contains(&error.exit_code) => program_attribute(service, error),
        _ => None,
    }
}

/// The attributes that ask for a limit of a control group, by what it limits.
pub(super) fn control_group_attributes(limit: &str) -> &'static [&'static str] {
    match limit {
        MEMORY => &[
            "mem_limit",
            "mem_reservation",
            "deploy.resources.limits.memory",
            "deploy.resources.reservations.memory",
        ],
        SWAP => &["memswap_limit"],
        SWAPPINESS => &["mem_swappiness"],
        CPU => &[
            "cpus",
            "cpu_quota",
            "cpu_period",
            "cpu_shares",
            "cpu_rt_runtime",
            "cpu_rt_period",
            "deploy.resources.limits.cpus",
        ],
        CPUSET => &["cpuset"],
        PROCESSES => &["pids_limit", "deploy.resources.limits.pids"],
        BLOCK_IO => &["blkio_config"],
        _ => &[],
    }
}

/// True for what comes from the image where the service does not name it.
pub(super) fn is_of_image(error: &InitError) -> bool {
    [FIND_USER, FIND_GROUP].contains(&error.step.as_str())
        || PROGRAM_FAILED.contains(&error.exit_code)
}

fn user_attribute(service: &Service, user: &str) -> Option<String> {
    let own = service.user.as_deref().unwrap_or_default();
    if own.split(':').next() == Some(user) {
        return Some("user".to_owned());
    }
    owner_attribute(service, |file| file.uid.as_deref() == Some(user))
}

fn group_attribute(service: &Service, group: &str) -> Option<String> {
    if let Some(index) = service.group_add.iter().position(|name| name == group) {
        return Some(format!("group_add[{index}]"));
    }
    let own = service.user.as_deref().unwrap_or_default();
    if own.split_once(':').is_some_and(|(_, name)| name == group) {
        return Some("user".to_owned());
    }
    owner_attribute(service, |file| file.gid.as_deref() == Some(group))
}

/// The config or secret that is to belong to somebody.
fn owner_attribute(service: &Service, owns: impl Fn(&FileReference) -> bool) -> Option<String> {
    let lists = [("configs", &service.configs), ("secrets", &service.secrets)];
    lists.into_iter().find_map(|(section, list)| {
        let index = list.iter().position(&owns)?;
        Some(format!("{section}[{index}]"))
    })
}

/// The program's name is in the message, quoted, as in Docker's.
fn program_attribute(service: &Service, error: &InitError) -> Option<String> {
    let message = error.message.as_deref().unwrap_or_default();
    let lists = [
        ("entrypoint", &service.entrypoint),
        ("command", &service.command),
    ];
    let named = lists.into_iter().find(|(_, words)| {
        let program = words.as_deref().and_then(<[String]>::first);
        program.is_some_and(|program| message.contains(&format!("\"{program}\"")))
    });
    named.map(|(attribute, _)| attribute.to_owned())
}

/// The object is the key, or `KEY=VALUE`.
fn sysctl_attribute(service: &Service, object: &str) -> Option<String> {
    let key = object.split('=').next().unwrap_or(object);
    let is_own = service.sysctls.contains_key(key);
    is_own.then(|| format!("sysctls.{key}"))
}

/// The object is the kernel's name, `RLIMIT_NOFILE`.
fn limit_attribute(service: &Service, object: &str) -> Option<String> {
    let name = object.strip_prefix("RLIMIT_")?;
    let mut names = service.ulimits.keys();
    let own = names.find(|own| own.eq_ignore_ascii_case(name))?;
    Some(format!("ulimits.{own}"))
}

/// The object is a path in the volume's folder.
fn subpath_attribute(service: &Service, object: &str) -> Option<String> {
    let ends_so = |subpath: &str| {
        let rest = object.strip_suffix(subpath.trim_start_matches('/'));
        rest.is_some_and(|rest| rest.ends_with('/'))
    };
    let index = service.volumes.iter().position(|mount| {
        let options = mount.volume.as_ref();
        let subpath = options.and_then(|options| options.subpath.as_deref());
        subpath.is_some_and(ends_so)
    })?;
    Some(format!("volumes[{index}].volume.subpath"))
}

/// The object is the bind's source.
fn source_attribute(service: &Service, object: &str) -> Option<String> {
    let index = service.volumes.iter().position(|mount| {
        mount.kind == MountKind::Bind && mount.source.as_deref() == Some(object)
    })?;
    Some(format!("volumes[{index}]"))
}

/// The object is the place in the container.
fn target_attribute(service: &Service, object: &str) -> Option<String> {
    let is_it = |target: &str| target.trim_end_matches('/') == object.trim_end_matches('/');
    let volumes = service.volumes.iter().map(|mount| mount.target.as_str());
    let tmpfs = service.tmpfs.iter();
    let tmpfs = tmpfs.map(|text| text.split(':').next().unwrap_or_default());
    let place = |list: &str, index: usize| format!("{list}[{index}]");
    let volume = volumes.into_iter().position(is_it);
    let own = volume.map(|index| place("volumes", index));
    own.or_else(|| {
        tmpfs
            .into_iter()
            .position(is_it)
            .map(|index| place("tmpfs", index))
    })
}
