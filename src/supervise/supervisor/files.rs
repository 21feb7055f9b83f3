//! The files that are generated for each run of a container: `/etc/hosts`,
//! `/etc/resolv.conf` and `/etc/hostname`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use oci_spec::runtime;

use crate::engine::oci_default;
use crate::net::files::{
    HostsFile, ResolvConf, Resolver, host_resolv_conf, hosts_file, resolv_conf,
};
use crate::net::spec::Endpoint;
use crate::state::{ContainerId, Layout};
use crate::supervise::launch::{HostAddress, LaunchSpec, NetworkMode};
use crate::supervise::record::ContainerRecord;

const HOST_HOSTS: &str = "/etc/hosts";
/// Files and where they are seen.
const FILES: [(&str, &str); 3] = [
    ("hostname", "/etc/hostname"),
    ("hosts", "/etc/hosts"),
    ("resolv.conf", "/etc/resolv.conf"),
];

/// What is generated for a run.
#[derive(Debug)]
pub(super) struct Generated {
    /// Mounts that show the files.
    pub(super) mounts: Vec<runtime::Mount>,
    /// The host name inside.
    pub(super) hostname: String,
}

/// Writes the files. Whoever shares another container's network shares its
/// names, its own included, as Docker has it.
pub(super) fn write(
    layout: &Layout,
    record: &ContainerRecord,
    endpoints: &[Endpoint],
) -> io::Result<Generated> {
    let (folder, hostname) = match &record.launch.network {
        NetworkMode::Container(id) => {
            let folder = find(layout, id)?;
            let name = read_name(&folder)?;
            (folder, name)
        }
        NetworkMode::Host | NetworkMode::None | NetworkMode::Networks(_) => {
            let folder = layout.run_container(&record.project, &record.id);
            let name = hostname(record);
            fs::create_dir_all(&folder)?;
            write_file(&folder.join("hosts"), &hosts(record, endpoints))?;
            write_file(&folder.join("resolv.conf"), &resolver(&record.launch))?;
            write_file(&folder.join("hostname"), &format!("{name}\n"))?;
            (folder, name)
        }
    };
    let root = record.launch.oci.root().as_ref();
    let read_only = root.and_then(runtime::Root::readonly).unwrap_or(false);
    let mounts = FILES.map(|(name, destination)| bind(&folder.join(name), destination, read_only));
    Ok(Generated {
        mounts: mounts.into(),
        hostname,
    })
}

/// The host name in the environment of whoever shares another container's
/// network, and so its name. Where that is gone, there is none.
pub(super) fn name_environment(layout: &Layout, record: &ContainerRecord, env: &mut Vec<String>) {
    let NetworkMode::Container(id) = &record.launch.network else {
        return;
    };
    if env.iter().any(|entry| entry.starts_with("HOSTNAME=")) {
        return;
    }
    if let Ok(name) = find(layout, id).and_then(|folder| read_name(&folder)) {
        env.push(format!("HOSTNAME={name}"));
    }
}

fn read_name(folder: &Path) -> io::Result<String> {
    let name = fs::read_to_string(folder.join("hostname"))?;
    Ok(name.trim_end().to_owned())
}

/// Removes them.
pub(super) fn remove(layout: &Layout, record: &ContainerRecord) -> io::Result<()> {
    match fs::remove_dir_all(layout.run_container(&record.project, &record.id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The host name inside.
pub(super) fn hostname(record: &ContainerRecord) -> String {
    match (record.launch.oci.hostname(), &record.launch.network) {
        (Some(name), _) if !name.is_empty() => name.clone(),
        (_, NetworkMode::Host) => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        _ => record.id.short().to_owned(),
    }
}

fn hosts(record: &ContainerRecord, endpoints: &[Endpoint]) -> String {
    let launch = &record.launch;
    let gateway = endpoints
        .iter()
        .find_map(|endpoint| endpoint.gateways.first().copied())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let extra: Vec<(String, IpAddr)> = launch
        .extra_hosts
        .iter()
        .map(|(name, address)| match address {
            HostAddress::Ip(ip) => (name.clone(), *ip),
            HostAddress::Gateway => (name.clone(), gateway),
        })
        .collect();
    if launch.network == NetworkMode::Host {
        let mut text = fs::read_to_string(HOST_HOSTS).unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for (name, address) in &extra {
            text.push_str(&format!("{address}\t{name}\n"));
        }
        return text;
    }
    hosts_file(&HostsFile {
        hostname: &hostname(record),
        domainname: launch.domainname.as_deref(),
        endpoints,
        extra: &extra,
    })
}

fn resolver(launch: &LaunchSpec) -> String {
    let kind = match &launch.network {
        NetworkMode::Networks(list) if !list.is_empty() => Resolver::Embedded,
        NetworkMode::Networks(_)
        | NetworkMode::Host
        | NetworkMode::None
        | NetworkMode::Container(_) => Resolver::Host,
    };
    let declared = ResolvConf {
        servers: launch.dns.servers.clone(),
        search: launch.dns.search.clone(),
        options: launch.dns.options.clone(),
    };
    resolv_conf(kind, &declared, &host_resolv_conf())
}

/// The generated files of a container of any project.
fn find(layout: &Layout, id: &ContainerId) -> io::Result<PathBuf> {
    for project in fs::read_dir(layout.run_projects())? {
        let folder = project?.path().join("containers").join(id.as_str());
        if folder.join("hosts").exists() {
            return Ok(folder);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "container `{}`, whose network is shared, does not run",
            id.short()
        ),
    ))
}

/// Overwrites in place, so that a running container sees it; readable for all
/// users inside, whatever the umask.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
    Ok(())
}

fn bind(source: &Path, destination: &str, read_only: bool) -> runtime::Mount {
    let access = if read_only { "ro" } else { "rw" };
    let options = ["rbind", "rprivate", access].map(str::to_owned).into();
    oci_default::mount(destination, "bind", &source.to_string_lossy(), options)
}
