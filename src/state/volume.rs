//! Volumes: folders that outlive containers, with their record and the list
//! of who uses them.
//!
//! `volumes/<name>/{volume.json,_data,users/<container id>}`. Whatever looks
//! at the users before it acts does so under the volume's lock.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::atomic::{self, Durability};
use super::id::random_hex;
use super::lock::Lock;
use super::{ContainerId, Layout};

const RECORD: &str = "volume.json";
const DATA: &str = "_data";
const USERS: &str = "users";
/// Locks are beside the volumes, for a volume's own folder is renamed away.
const LOCKS: &str = ".locks";

/// A volume as wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Full name.
    pub name: String,
    /// `local`, the only driver there is.
    pub driver: String,
    /// Options as given: none, or `type: none`, `o: bind`, `device: /folder`.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume as it is: `volume.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// As wanted when it was made.
    pub spec: VolumeSpec,
    /// RFC 3339 time of creation.
    pub created: String,
}

/// Why something could not be done with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Not a name that a folder could have.
    #[error(
        "`{name}` is no volume name: a letter or digit first, then letters, digits, `_`, `.`, `-`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A driver or an option that does not exist here.
    #[error("volume `{name}`: {problem}")]
    Unsupported {
        /// The volume.
        name: String,
        /// Which one.
        problem: String,
    },
    /// No such volume.
    #[error("there is no volume `{name}`")]
    Missing {
        /// The volume.
        name: String,
    },
    /// Containers use it.
    #[error("volume `{name}` is in use by {}", users.iter().map(|user| user.id.short()).collect::<Vec<_>>().join(", "))]
    InUse {
        /// The volume.
        name: String,
        /// The containers.
        users: Vec<VolumeUser>,
    },
    /// A file of it cannot be read or written.
    #[error("cannot use volume `{name}`")]
    Files {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A container that uses a volume, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUser {
    /// Its project.
    pub project: String,
    /// Its id.
    pub id: ContainerId,
}

/// All volumes of these roots.
#[derive(Debug, Clone)]
pub struct Volumes {
    layout: Layout,
}

impl Volumes {
    /// The volumes of these roots.
    pub fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
        }
    }

    /// Makes a volume, or finds it as it is; says whether it was made.
    ///
    /// # Errors
    /// A driver or option that does not exist here, or the disk refuses.
    pub fn ensure(&self, spec: &VolumeSpec) -> Result<(VolumeRecord, bool), VolumeError> {
        check(spec)?;
        let name = &spec.name;
        let _lock = self.lock(name)?;
        if let Some(found) = self.record(name)? {
            return Ok((found, false));
        }
        let record = VolumeRecord {
            spec: spec.clone(),
            created: jiff::Timestamp::now().to_string(),
        };
        let folder = self.layout.volume(name);
        fs::create_dir_all(folder.join(DATA)).map_err(files(name))?;
        atomic::write_json(&folder.join(RECORD), &record, Durability::Durable)
            .map_err(files(name))?;
        Ok((record, true))
    }

    /// A volume's record.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn record(&self, name: &str) -> Result<Option<VolumeRecord>, VolumeError> {
        check_name(name)?;
        atomic::read_json(&self.layout.volume(name).join(RECORD)).map_err(files(name))
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn list(&self) -> Result<Vec<VolumeRecord>, VolumeError> {
        let mut records = Vec::new();
        for name in names_in(&self.layout.volumes()).map_err(files("*"))? {
            if check_name(&name).is_ok() {
                records.extend(self.record(&name)?);
            }
        }
        Ok(records)
    }

    /// The folder with a volume's data.
    ///
    /// # Errors
    /// No such volume.
    pub fn folder(&self, name: &str) -> Result<PathBuf, VolumeError> {
        let record = self.record(name)?.ok_or_else(|| VolumeError::Missing {
            name: name.to_owned(),
        })?;
        Ok(match record.spec.driver_opts.get("device") {
            Some(device) => PathBuf::from(device),
            None => self.layout.volume(name).join(DATA),
        })
    }

    /// Notes that a container uses a volume.
    ///
    /// # Errors
    /// No such volume, or the disk refuses.
    pub fn add_user(&self, name: &str, user: &VolumeUser) -> Result<(), VolumeError> {
        let _lock = self.lock(name)?;
        if self.record(name)?.is_none() {
            return Err(VolumeError::Missing {
                name: name.to_owned(),
            });
        }
        let folder = self.layout.volume(name).join(USERS);
        fs::create_dir_all(&folder).map_err(files(name))?;
        fs::write(folder.join(user.id.as_str()), &user.project).map_err(files(name))
    }

    /// Notes that it does not any longer.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove_user(&self, name: &str, id: &ContainerId) -> Result<(), VolumeError> {
        let path = self.layout.volume(name).join(USERS).join(id.as_str());
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(name)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The containers that use a volume; what a container that is gone left
    /// behind does not count.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn users(&self, name: &str) -> Result<Vec<VolumeUser>, VolumeError> {
        let folder = self.layout.volume(name).join(USERS);
        let mut users = Vec::new();
        for file in names_in(&folder).map_err(files(name))? {
            let Some(id) = ContainerId::parse(&file) else {
                continue;
            };
            let project = fs::read_to_string(folder.join(&file)).map_err(files(name))?;
            if self
                .layout
                .container(&project, &id)
                .join("config.json")
                .exists()
            {
                users.push(VolumeUser { project, id });
            }
        }
        Ok(users)
    }

    /// Removes a volume that nobody uses, with its data. A folder that it
    /// merely shows stays. False where there is none.
    ///
    /// # Errors
    /// [`VolumeError::InUse`], or the disk refuses.
    pub fn remove(&self, name: &str) -> Result<bool, VolumeError> {
        check_name(name)?;
        let _lock = self.lock(name)?;
        let users = self.users(name)?;
        if !users.is_empty() {
            return Err(VolumeError::InUse {
                name: name.to_owned(),
                users,
            });
        }
        let folder = self.layout.volume(name);
        if !folder.exists() {
            return Ok(false);
        }
        discard(&self.layout, &folder).map_err(files(name))?;
        // While it is held: whoever waits for it makes the file anew.
        fs::remove_file(self.lock_path(name)).map_err(files(name))?;
        Ok(true)
    }

    fn lock(&self, name: &str) -> Result<Lock, VolumeError> {
        check_name(name)?;
        loop {
            let path = self.lock_path(name);
            let lock = Lock::acquire(&path).map_err(files(name))?;
            // Removed while this waited: then it locks nothing.
            if path.exists() {
                return Ok(lock);
            }
        }
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.layout.volumes().join(LOCKS).join(name)
    }
}

/// Moves a folder of the data root into the trash in one step, then removes
/// it: what a kill leaves of it is garbage and nothing else.
///
/// # Errors
/// The rename failed. A removal that failed is left to a sweep.
pub fn discard(layout: &Layout, folder: &Path) -> io::Result<()> {
    let trash = layout.trash();
    fs::create_dir_all(&trash)?;
    let grave = trash.join(random_hex(8));
    match fs::rename(folder, &grave) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    fs::remove_dir_all(&grave).ok();
    Ok(())
}

fn check(spec: &VolumeSpec) -> Result<(), VolumeError> {
    check_name(&spec.name)?;
    let unsupported = |problem: String| {
        Err(VolumeError::Unsupported {
            name: spec.name.clone(),
            problem,
        })
    };
    if !matches!(spec.driver.as_str(), "" | "local") {
        return unsupported(format!(
            "driver `{}` does not exist here, only `local` does",
            spec.driver
        ));
    }
    let option = |key: &str| spec.driver_opts.get(key).map(String::as_str);
    if let Some(key) = spec
        .driver_opts
        .keys()
        .find(|key| !matches!(key.as_str(), "type" | "o" | "device"))
    {
        return unsupported(format!("option `{key}` is unknown"));
    }
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

fn check_name(name: &str) -> Result<(), VolumeError> {
    let mut bytes = name.bytes();
    let valid = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= 250
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err(VolumeError::Name {
            name: name.to_owned(),
        })
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    names.sort_unstable();
    Ok(names)
}

fn files(name: &str) -> impl Fn(io::Error) -> VolumeError + use<'_> {
    move |source| VolumeError::Files {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        (root, layout)
    }

    fn spec(name: &str) -> VolumeSpec {
        VolumeSpec {
            name: name.to_owned(),
            ..VolumeSpec::default()
        }
    }

    #[test]
    fn a_volume_is_made_once_and_keeps_its_record() {
        let (_root, layout) = bench();
        let volumes = Volumes::new(&layout);
        let mut wanted = spec("shop_data");
        wanted.labels.insert("a".into(), "b".into());
        let (made, fresh) = volumes.ensure(&wanted).unwrap();
        assert!(fresh);
        fs::write(volumes.folder("shop_data").unwrap().join("x"), "1").unwrap();
        assert_eq!(
            volumes.ensure(&spec("shop_data")).unwrap(),
            (made.clone(), false)
        );
        assert_eq!(volumes.list().unwrap(), [made]);
    }

    #[test]
    fn a_volume_in_use_stays_and_a_dead_user_does_not_count() {
        let (_root, layout) = bench();
        let volumes = Volumes::new(&layout);
        volumes.ensure(&spec("v")).unwrap();
        let user = VolumeUser {
            project: "p".to_owned(),
            id: ContainerId::random(),
        };
        let config = layout.container("p", &user.id).join("config.json");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        fs::write(&config, "{}").unwrap();
        volumes.add_user("v", &user).unwrap();
        assert!(
            matches!(volumes.remove("v"), Err(VolumeError::InUse { users, .. }) if users == [user.clone()])
        );
        fs::remove_file(&config).unwrap();
        assert!(volumes.remove("v").unwrap());
        assert!(!volumes.remove("v").unwrap());
        assert!(matches!(
            volumes.add_user("v", &user),
            Err(VolumeError::Missing { .. })
        ));
        assert_eq!(fs::read_dir(layout.trash()).unwrap().count(), 0);
    }

    #[test]
    fn options_are_a_bind_of_a_folder_or_nothing() {
        let (root, layout) = bench();
        let volumes = Volumes::new(&layout);
        let options = |list: &[(&str, &str)]| VolumeSpec {
            driver_opts: list
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            ..spec("v")
        };
        let folder = root.path().to_str().unwrap();
        for bad in [
            &[("type", "nfs"), ("o", "addr=x"), ("device", ":/x")][..],
            &[("type", "tmpfs"), ("device", "tmpfs")],
            &[("type", "none"), ("o", "bind"), ("device", "relative")],
            &[("size", "1g")],
        ] {
            assert!(
                matches!(
                    volumes.ensure(&options(bad)),
                    Err(VolumeError::Unsupported { .. })
                ),
                "{bad:?}"
            );
        }
        volumes
            .ensure(&options(&[
                ("type", "none"),
                ("o", "bind"),
                ("device", folder),
            ]))
            .unwrap();
        assert_eq!(volumes.folder("v").unwrap(), root.path());
        assert!(volumes.remove("v").unwrap());
        assert!(root.path().exists());
    }
}
