//! The short syntaxes where they come from a command line instead of a file.

use std::cell::Cell;
use std::path::Path;

use indexmap::IndexMap;

use super::files::Host;
use super::model::{BindOptions, Mount, MountKind, Port, VolumeOptions};
use super::paths::{Resolver, clean};
use super::short;
use super::{dotenv, shell};

/// Reads a port as `run -p` takes it, one entry a container port.
///
/// # Errors
/// What is wrong with the text.
pub fn port_flag(text: &str) -> Result<Vec<Port>, String> {
    let ports = short::parse_ports(text).map_err(|error| error.message)?;
    Ok(ports
        .into_iter()
        .map(|port| Port {
            mode: Some("ingress".to_owned()),
            host_ip: port.host_ip,
            target: u32::from(port.target),
            published: port.published,
            protocol: Some(port.protocol),
            ..Port::default()
        })
        .collect())
}

/// Reads a mount as `run -v` takes it; relative paths start at `folder`, `~` is
/// `home`.
///
/// # Errors
/// What is wrong with the text.
pub fn mount_flag(text: &str, folder: &Path, home: Option<&str>) -> Result<Mount, String> {
    let mount = short::parse_mount(text)?;
    let resolver = Resolver {
        base: folder,
        home,
        files: &Host,
        room: Cell::new(usize::MAX),
    };
    let bind = mount.is_bind.then(|| BindOptions {
        selinux: mount.selinux,
        propagation: mount.propagation,
        create_host_path: true,
        ..BindOptions::default()
    });
    Ok(Mount {
        kind: if mount.is_bind {
            MountKind::Bind
        } else {
            MountKind::Volume
        },
        source: mount.source.map(|source| {
            if mount.is_bind {
                resolver.join(&source)
            } else {
                source
            }
        }),
        target: clean(&mount.target),
        read_only: mount.read_only,
        bind,
        volume: (!mount.is_bind).then(|| VolumeOptions {
            nocopy: mount.nocopy,
            ..VolumeOptions::default()
        }),
        ..Mount::default()
    })
}

/// Reads a file of variables, as `run --env-from-file` takes it; `outside` is
/// where variables in its values are looked up.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse_env_file(
    text: &str,
    outside: &IndexMap<String, String>,
) -> Result<IndexMap<String, String>, String> {
    let mut variables = IndexMap::new();
    dotenv::parse(text, &mut variables, &|name: &str| {
        outside.get(name).cloned()
    })
    .map_err(|errors| {
        let lines = errors.iter();
        let lines: Vec<String> = lines
            .map(|error| format!("line {}: {}", error.line, error.message))
            .collect();
        lines.join("; ")
    })?;
    Ok(variables)
}

/// Splits a command line into words as the specification has it for `command`.
///
/// # Errors
/// A quote that is not closed.
pub fn split_words(line: &str) -> Result<Vec<String>, String> {
    shell::split(line, usize::MAX).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_paths_or_volumes() {
        let read = |text| mount_flag(text, Path::new("/work"), Some("/home/ada")).unwrap();
        let bind = read("./src:/app:ro");
        assert_eq!(bind.kind, MountKind::Bind);
        assert_eq!(bind.source.as_deref(), Some("/work/src"));
        assert!(bind.read_only);
        assert_eq!(read("~/x:/x").source.as_deref(), Some("/home/ada/x"));
        let volume = read("data:/data");
        assert_eq!(volume.kind, MountKind::Volume);
        assert_eq!(volume.source.as_deref(), Some("data"));
        assert!(mount_flag("", Path::new("/"), None).is_err());
    }

    #[test]
    fn ports_are_read_one_by_one() {
        let ports = port_flag("127.0.0.1:8000-8001:80-81").unwrap();
        assert_eq!(ports.len(), 2);
        assert_eq!(ports[1].published.as_deref(), Some("8001"));
        assert!(port_flag("http").is_err());
    }
}
