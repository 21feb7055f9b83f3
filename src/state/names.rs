//! The host-wide index of container names: one file a name under the run root,
//! made with `O_EXCL`.
//!
//! Names under the run root vanish with a reboot, while stopped containers
//! stay; the first use of the index in a boot enters theirs again.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::atomic::{self, Durability, TEMPORARY};
use super::lock::Lock;
use super::{ContainerId, Layout};

/// Says that the names of all containers on disk are in the index.
const COMPLETE: &str = ".complete";
/// Guards whatever is more than one step.
const LOCK: &str = ".lock";

/// Whose a name is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameOwner {
    /// The project.
    pub project: String,
    /// The container.
    pub id: ContainerId,
}

/// Why a name was not given.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Another container has it.
    #[error("the container name `{name}` is taken by a container of project `{}`", owner.project)]
    Taken {
        /// The name.
        name: String,
        /// Whose it is.
        owner: NameOwner,
    },
    /// It cannot be a file's name, nor anybody's host name.
    #[error(
        "`{name}` is no container name: a letter or digit first, then letters, digits, `_`, `.`, `-`"
    )]
    Invalid {
        /// The name.
        name: String,
    },
    /// The index cannot be read or written.
    #[error("cannot use the index of container names")]
    Index(#[source] io::Error),
}

/// The part of a container's durable record that the index needs.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    project: String,
    id: ContainerId,
}

/// The index.
#[derive(Debug, Clone)]
pub struct Names {
    layout: Layout,
}

/// What the index says now.
#[derive(Debug)]
pub struct View<'n> {
    names: &'n Names,
    /// Whose the names are on disk, where the index is not complete.
    on_disk: Option<HashMap<String, NameOwner>>,
}

impl View<'_> {
    /// Whose a name is.
    ///
    /// # Errors
    /// The index cannot be read, or it is no name.
    pub fn find(&self, name: &str) -> Result<Option<NameOwner>, NameError> {
        let path = self.names.path(name)?;
        match &self.on_disk {
            Some(on_disk) => Ok(on_disk.get(name).cloned()),
            None => Ok(Names::read(&path)?.filter(|found| self.names.exists(found, name))),
        }
    }
}

impl Names {
    /// The index of these roots.
    pub fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
        }
    }

    /// Gives a name to a container, which may have it already.
    ///
    /// # Errors
    /// [`NameError::Taken`] where a container that exists has it.
    pub fn reserve(&self, name: &str, owner: &NameOwner) -> Result<(), NameError> {
        let path = self.path(name)?;
        self.complete()?;
        // So that a sweep takes no half-written name away, and two who find a
        // stale one agree.
        let _lock = self.lock()?;
        if self.create(&path, owner)? {
            return Ok(());
        }
        match Self::read(&path)? {
            Some(found) if found == *owner => Ok(()),
            Some(found) if self.exists(&found, name) => Err(NameError::Taken {
                name: name.to_owned(),
                owner: found,
            }),
            Some(_) | None => {
                atomic::write_json(&path, owner, Durability::ThisBoot).map_err(NameError::Index)
            }
        }
    }

    /// Takes a name back from a container; another's stays.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn release(&self, name: &str, id: &ContainerId) -> Result<(), NameError> {
        let path = self.path(name)?;
        let _lock = self.lock()?;
        if Self::read(&path)?.is_some_and(|found| found.id == *id) {
            fs::remove_file(&path).map_err(NameError::Index)?;
        }
        Ok(())
    }

    /// The index to look names up in. Makes nothing: before the first use of the index
    /// in a boot, what is on disk is asked.
    ///
    /// # Errors
    /// The containers on disk cannot be read.
    pub fn view(&self) -> Result<View<'_>, NameError> {
        let on_disk = if self.layout.names().join(COMPLETE).exists() {
            None
        } else {
            let mut owners = HashMap::new();
            for named in self.on_disk().map_err(NameError::Index)? {
                let (project, id) = (named.project, named.id);
                // Of two, the one that would be entered first has it.
                let owner = || NameOwner { project, id };
                owners.entry(named.name).or_insert_with(owner);
            }
            Some(owners)
        };
        Ok(View {
            names: self,
            on_disk,
        })
    }

    /// Removes names of containers that no longer exist; makes nothing where
    /// there is no index.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn sweep(&self) -> Result<Vec<String>, NameError> {
        let lock = self.layout.names().join(LOCK);
        let Some(_lock) = Lock::acquire_existing(&lock).map_err(NameError::Index)? else {
            return Ok(Vec::new());
        };
        atomic::remove_temporary(&self.layout.names()).map_err(NameError::Index)?;
        let mut gone = Vec::new();
        for entry in fs::read_dir(self.layout.names()).map_err(NameError::Index)? {
            let entry = entry.map_err(NameError::Index)?;
            let Some(name) = entry.file_name().into_string().ok().filter(|n| is_name(n)) else {
                continue;
            };
            let found = Self::read(&entry.path())?;
            if found.is_none_or(|found| !self.exists(&found, &name)) {
                fs::remove_file(entry.path()).map_err(NameError::Index)?;
                gone.push(name);
            }
        }
        Ok(gone)
    }

    fn path(&self, name: &str) -> Result<PathBuf, NameError> {
        if is_name(name) {
            Ok(self.layout.names().join(name))
        } else {
            Err(NameError::Invalid {
                name: name.to_owned(),
            })
        }
    }

    fn lock(&self) -> Result<Lock, NameError> {
        Lock::acquire(&self.layout.names().join(LOCK)).map_err(NameError::Index)
    }

    /// Makes the file; false where there is one.
    fn create(&self, path: &Path, owner: &NameOwner) -> Result<bool, NameError> {
        let make = || {
            let folder = self.layout.names();
            let mut file = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .tempfile_in(folder)?;
            let mut text = serde_json::to_vec(owner)?;
            text.push(b'\n');
            file.write_all(&text)?;
            match file.persist_noclobber(path) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        };
        make().map_err(NameError::Index)
    }

    fn read(path: &Path) -> Result<Option<NameOwner>, NameError> {
        atomic::read_json(path).map_err(NameError::Index)
    }

    /// Whether a container exists and has this name.
    fn exists(&self, owner: &NameOwner, name: &str) -> bool {
        self.named(&owner.project, &owner.id)
            .is_some_and(|named| named.name == name)
    }

    fn named(&self, project: &str, id: &ContainerId) -> Option<Named> {
        let path = self.layout.container(project, id).join("config.json");
        atomic::read_json(&path).ok()?
    }

    /// Enters the names of all containers on disk, once in a boot.
    fn complete(&self) -> Result<(), NameError> {
        let marker = self.layout.names().join(COMPLETE);
        if marker.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        if marker.exists() {
            return Ok(());
        }
        for named in self.on_disk().map_err(NameError::Index)? {
            if is_name(&named.name) {
                let path = self.layout.names().join(&named.name);
                let owner = NameOwner {
                    project: named.project,
                    id: named.id,
                };
                self.create(&path, &owner)?;
            }
        }
        fs::write(marker, "").map_err(NameError::Index)
    }

    fn on_disk(&self) -> io::Result<Vec<Named>> {
        let mut found = Vec::new();
        for project in names_in(&self.layout.projects())? {
            let folder = self.layout.project(&project).join("containers");
            for id in names_in(&folder)?
                .iter()
                .filter_map(|name| ContainerId::parse(name))
            {
                found.extend(self.named(&project, &id));
            }
        }
        Ok(found)
    }
}

fn names_in(folder: &std::path::Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Docker's rule for container names.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= 200
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        _root: tempfile::TempDir,
        layout: Layout,
    }

    impl Bench {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let layout = Layout::new(root.path().join("data"), root.path().join("run"));
            Self {
                _root: root,
                layout,
            }
        }

        fn container(&self, project: &str, name: &str) -> NameOwner {
            let owner = NameOwner {
                project: project.to_owned(),
                id: ContainerId::random(),
            };
            let path = self
                .layout
                .container(project, &owner.id)
                .join("config.json");
            let record = serde_json::json!({ "name": name, "project": project, "id": owner.id });
            atomic::write_json(&path, &record, Durability::ThisBoot).unwrap();
            owner
        }
    }

    #[test]
    fn a_name_has_one_owner_until_it_is_released() {
        let bench = Bench::new();
        let names = Names::new(&bench.layout);
        let (one, two) = (bench.container("a", "web"), bench.container("b", "web"));
        // Both exist before the first use: the one that is entered first has it.
        let owner = names.view().unwrap().find("web").unwrap().unwrap();
        let other = if owner == one { &two } else { &one };
        names.reserve("web", &owner).unwrap();
        let error = names.reserve("web", other).unwrap_err();
        assert!(matches!(error, NameError::Taken { owner: found, .. } if found == owner));
        names.release("web", &other.id).unwrap();
        assert_eq!(
            names.view().unwrap().find("web").unwrap(),
            Some(owner.clone())
        );
        names.release("web", &owner.id).unwrap();
        names.reserve("web", other).unwrap();
        assert_eq!(
            names.view().unwrap().find("web").unwrap().as_ref(),
            Some(other)
        );
    }

    #[test]
    fn a_name_of_a_container_that_is_gone_is_free() {
        let bench = Bench::new();
        let names = Names::new(&bench.layout);
        let gone = bench.container("a", "web");
        names.reserve("web", &gone).unwrap();
        fs::remove_dir_all(bench.layout.container("a", &gone.id)).unwrap();
        assert_eq!(names.view().unwrap().find("web").unwrap(), None);
        let next = bench.container("b", "web");
        names.reserve("web", &next).unwrap();
        names.reserve("stale", &gone).unwrap();
        assert_eq!(names.sweep().unwrap(), ["stale"]);
        assert_eq!(names.view().unwrap().find("web").unwrap(), Some(next));
    }

    /// Other projects take names while one project's end sweeps.
    #[test]
    fn a_sweep_spares_names_that_are_being_taken() {
        let bench = Bench::new();
        let names = Names::new(&bench.layout);
        // A sweep for each name, at the same time: one after the other without a pause would
        // never let go of the lock (flock(2) has no queue).
        let (begun, begins) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                for () in begins {
                    assert_eq!(names.sweep().unwrap(), Vec::<String>::new());
                }
            });
            let taken = (0..500).try_for_each(|number| {
                let name = format!("web-{number}");
                begun.send(()).unwrap();
                names.reserve(&name, &bench.container("a", &name))
            });
            drop(begun);
            taken.unwrap();
            sweeper.join().unwrap();
        });
    }

    #[test]
    fn only_docker_names_are_names() {
        let names = Names::new(&Bench::new().layout);
        for bad in ["", ".x", "-x", "a/b", "a b", "..", "ä"] {
            assert!(
                matches!(
                    names.view().unwrap().find(bad),
                    Err(NameError::Invalid { .. })
                ),
                "{bad}"
            );
        }
    }
}
