//! Volumes: a folder each, with a record beside it.
//!
//! `volumes/<name>/volume.json` is written last, so that a folder without it is
//! a creation that was cut short, which the next [`ensure`] completes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::atomic::{self, Durability};
use super::id::random_hex;
use super::layout::Layout;

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
    check_name(&wanted.name)?;
    if let Some(record) = find(layout, &wanted.name)? {
        return Ok((record, false));
    }
    fs::create_dir_all(data(layout, &wanted.name))?;
    let path = layout.volume(&wanted.name).join("volume.json");
    atomic::write_json(&path, wanted, Durability::Durable)?;
    Ok((wanted.clone(), true))
}

/// The folder that containers mount.
pub fn data(layout: &Layout, name: &str) -> PathBuf {
    layout.volume(name).join("_data")
}

/// Removes a volume and its content; true where there was one. It is renamed
/// into the trash first, so that a removal that is cut short is never seen as a
/// volume with half its files.
///
/// # Errors
/// The file system refuses.
pub fn remove(layout: &Layout, name: &str) -> io::Result<bool> {
    check_name(name)?;
    fs::create_dir_all(layout.trash())?;
    let grave = layout.trash().join(format!("volume-{}", random_hex(8)));
    match fs::rename(layout.volume(name), &grave) {
        Ok(()) => fs::remove_dir_all(grave).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
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
        records.extend(find(layout, &name)?);
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

/// A name is one component of a path.
fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
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
    fn names_cannot_leave_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        for bad in ["", ".", "..", "a/b", "../x"] {
            assert!(ensure(&layout, &volume(bad)).is_err(), "{bad}");
            assert!(remove(&layout, bad).is_err(), "{bad}");
        }
    }
}
