//! Volumes: a folder each, with a record beside it and the list of who uses
//! it (`users/<container id>`, which holds the project's name).
//!
//! `volumes/<name>/volume.json` is written last, so that a folder without it is
//! a creation that was cut short, which the next [`ensure`] completes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::ContainerId;
use super::atomic::{self, Durability};
use super::id::random_hex;
use super::layout::Layout;
use super::lock::Lock;

/// Who uses a volume, in its folder.
const USERS: &str = "users";
/// Locks are beside the volumes, for a volume's own folder is renamed away.
const LOCKS: &str = ".locks";

/// A volume as created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Full name, `PROJECT_data`, or 64 hexadecimal digits.
    pub name: String,
    /// Driver; `local` is what exists.
    pub driver: String,
    /// `driver_opts` as given.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its name was made up for one container.
    pub anonymous: bool,
    /// RFC 3339 time of creation.
    pub created: String,
}

/// A container that uses a volume, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUser {
    /// Its project.
    pub project: String,
    /// Its id.
    pub id: ContainerId,
}

/// Reads a volume's record; `None` where there is no such volume.
///
/// # Errors
/// The record cannot be read.
pub fn find(layout: &Layout, name: &str) -> io::Result<Option<VolumeRecord>> {
    atomic::read_json(&layout.volume(name).join("volume.json"))
}

/// Makes the volume, or finds it as it is; says which of the two.
///
/// # Errors
/// The name has a `/` or is a dot; the file system refuses.
pub fn ensure(layout: &Layout, wanted: &VolumeRecord) -> io::Result<(VolumeRecord, bool)> {
    check(wanted)?;
    let _lock = lock(layout, &wanted.name)?;
    if let Some(record) = find(layout, &wanted.name)? {
        return Ok((record, false));
    }
    fs::create_dir_all(data(layout, &wanted.name))?;
    let path = layout.volume(&wanted.name).join("volume.json");
    atomic::write_json(&path, wanted, Durability::Durable)?;
    Ok((wanted.clone(), true))
}

/// The folder of a volume's own data.
pub fn data(layout: &Layout, name: &str) -> PathBuf {
    layout.volume(name).join("_data")
}

/// The folder that containers mount: the volume's own data, or the folder that
/// its options name (`o: bind`, `device: /folder`).
///
/// # Errors
/// No such volume.
pub fn folder(layout: &Layout, name: &str) -> io::Result<PathBuf> {
    let record = find(layout, name)?.ok_or_else(|| missing(name))?;
    Ok(match record.driver_opts.get("device") {
        Some(device) => PathBuf::from(device),
        None => data(layout, name),
    })
}

/// Removes a volume and its content; true where there was one. It is renamed
/// into the trash first, so that a removal that is cut short is never seen as a
/// volume with half its files. A folder that it merely shows stays.
///
/// # Errors
/// `ResourceBusy` where a container uses it; the file system refuses.
pub fn remove(layout: &Layout, name: &str) -> io::Result<bool> {
    check_name(name)?;
    let _lock = lock(layout, name)?;
    let users = users(layout, name)?;
    if !users.is_empty() {
        let users: Vec<&str> = users.iter().map(|user| user.id.short()).collect();
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("volume `{name}` is in use by {}", users.join(", ")),
        ));
    }
    let found = layout.volume(name).exists();
    discard(layout, &layout.volume(name))?;
    fs::remove_file(lock_path(layout, name))?;
    Ok(found)
}

/// Notes that a container uses a volume.
///
/// # Errors
/// No such volume, or the file system refuses.
pub fn add_user(layout: &Layout, name: &str, user: &VolumeUser) -> io::Result<()> {
    check_name(name)?;
    let _lock = lock(layout, name)?;
    if find(layout, name)?.is_none() {
        return Err(missing(name));
    }
    let folder = layout.volume(name).join(USERS);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(user.id.as_str()), &user.project)
}

/// Notes that it does not any longer.
///
/// # Errors
/// The file system refuses.
pub fn remove_user(layout: &Layout, name: &str, id: &ContainerId) -> io::Result<()> {
    match fs::remove_file(layout.volume(name).join(USERS).join(id.as_str())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The containers that use a volume; what a container that is gone left behind
/// does not count.
///
/// # Errors
/// The file system refuses.
pub fn users(layout: &Layout, name: &str) -> io::Result<Vec<VolumeUser>> {
    let folder = layout.volume(name).join(USERS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut users = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(ContainerId::parse) else {
            continue;
        };
        let project = fs::read_to_string(entry.path())?;
        if layout.container(&project, &id).join("config.json").exists() {
            users.push(VolumeUser { project, id });
        }
    }
    Ok(users)
}

/// Moves a folder of the data root into the trash in one step, then removes
/// it: what a kill leaves of it is garbage and nothing else. A folder that is
/// not there is no error.
///
/// # Errors
/// The rename failed. A removal that failed is left to a sweep.
pub fn discard(layout: &Layout, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(layout.trash())?;
    let grave = layout.trash().join(random_hex(8));
    match fs::rename(folder, &grave) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    fs::remove_dir_all(&grave).ok();
    Ok(())
}

/// All volumes, by name.
///
/// # Errors
/// The data root cannot be read.
pub fn list(layout: &Layout) -> io::Result<Vec<VolumeRecord>> {
    let entries = match fs::read_dir(layout.volumes()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if check_name(&name).is_err() {
            continue;
        }
        records.extend(find(layout, &name)?);
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

fn lock(layout: &Layout, name: &str) -> io::Result<Lock> {
    Lock::acquire(&lock_path(layout, name))
}

fn lock_path(layout: &Layout, name: &str) -> PathBuf {
    layout.volumes().join(LOCKS).join(name)
}

fn missing(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no volume `{name}`"),
    )
}

/// Whether such a volume can be made here.
fn check(wanted: &VolumeRecord) -> io::Result<()> {
    check_name(&wanted.name)?;
    let unsupported = |problem: String| {
        let message = format!("volume `{}`: {problem}", wanted.name);
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    };
    if !matches!(wanted.driver.as_str(), "" | "local") {
        let driver = &wanted.driver;
        return unsupported(format!(
            "driver `{driver}` does not exist here, only `local` does"
        ));
    }
    let known = |key: &String| matches!(key.as_str(), "type" | "o" | "device");
    if let Some(key) = wanted.driver_opts.keys().find(|key| !known(key)) {
        return unsupported(format!("option `{key}` is unknown"));
    }
    let option = |key: &str| wanted.driver_opts.get(key).map(String::as_str);
    match (option("type"), option("o"), option("device")) {
        (None, None, None) => Ok(()),
        (None | Some("none" | "bind"), Some(flags), Some(device))
            if flags
                .split(',')
                .any(|flag| matches!(flag, "bind" | "rbind")) =>
        {
            if device.starts_with('/') {
                Ok(())
            } else {
                unsupported(format!("`device: {device}` is no absolute path"))
            }
        }
        (kind, ..) => unsupported(format!(
            "only `o: bind` with a `device` is supported, not `type: {}`",
            kind.unwrap_or_default()
        )),
    }
}

/// A name is one component of a path, and no lock.
fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{name}` is no volume name"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str) -> VolumeRecord {
        VolumeRecord {
            name: name.to_owned(),
            driver: "local".to_owned(),
            driver_opts: BTreeMap::new(),
            labels: BTreeMap::new(),
            anonymous: false,
            created: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    #[test]
    fn a_volume_is_made_once_and_removed_whole() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        assert!(ensure(&layout, &volume("a")).unwrap().1);
        fs::write(data(&layout, "a").join("file"), "x").unwrap();
        assert!(!ensure(&layout, &volume("a")).unwrap().1);
        assert_eq!(list(&layout).unwrap(), [volume("a")]);
        assert!(remove(&layout, "a").unwrap());
        assert!(!remove(&layout, "a").unwrap());
        assert!(list(&layout).unwrap().is_empty());
        assert_eq!(fs::read_dir(layout.trash()).unwrap().count(), 0);
    }

    #[test]
    fn a_volume_in_use_stays_and_a_dead_user_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        ensure(&layout, &volume("v")).unwrap();
        let user = VolumeUser {
            project: "p".to_owned(),
            id: ContainerId::random(),
        };
        let config = layout.container("p", &user.id).join("config.json");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        fs::write(&config, "{}").unwrap();
        add_user(&layout, "v", &user).unwrap();
        assert_eq!(users(&layout, "v").unwrap(), std::slice::from_ref(&user));
        assert_eq!(
            remove(&layout, "v").unwrap_err().kind(),
            io::ErrorKind::ResourceBusy
        );
        fs::remove_file(&config).unwrap();
        assert!(remove(&layout, "v").unwrap());
        let error = add_user(&layout, "v", &user).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn options_are_a_bind_of_a_folder_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let options = |list: &[(&str, &str)]| VolumeRecord {
            driver_opts: list
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            ..volume("v")
        };
        for bad in [
            &[("type", "nfs"), ("o", "addr=x"), ("device", ":/x")][..],
            &[("type", "tmpfs"), ("device", "tmpfs")],
            &[("type", "none"), ("o", "bind"), ("device", "relative")],
            &[("size", "1g")],
        ] {
            let error = ensure(&layout, &options(bad)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{bad:?}");
        }
        let shown = root.path().to_str().unwrap();
        ensure(
            &layout,
            &options(&[("type", "none"), ("o", "bind"), ("device", shown)]),
        )
        .unwrap();
        assert_eq!(folder(&layout, "v").unwrap(), root.path());
        assert!(remove(&layout, "v").unwrap());
        assert!(root.path().exists());
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        for bad in ["", ".", "..", "a/b", "../x"] {
            assert!(ensure(&layout, &volume(bad)).is_err(), "{bad}");
            assert!(remove(&layout, bad).is_err(), "{bad}");
        }
    }
}
