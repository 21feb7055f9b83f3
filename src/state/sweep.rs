//! Files of operations that died half-way: found without any record, removed
//! under the locks of those who could be using them.
//!
//! Kernel objects are swept by their owners (`net`, `engine::cgroup`), given
//! what lives; see `supervise::sweep`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use fs_err as fs;

use super::lock::Lock;
use super::volume::discard;
use super::{ContainerId, Layout};

/// What was removed, for `doctor` and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweptFiles {
    /// Folders in the trash.
    pub trash: usize,
    /// Containers without a record, by id.
    pub containers: Vec<String>,
    /// Run-time files of containers that are gone or of another boot, by id.
    pub run_files: Vec<String>,
    /// Temporary files.
    pub temporary: usize,
}

/// Ids of all containers that have a durable record, in all projects.
///
/// # Errors
/// A folder cannot be read.
pub fn living_containers(layout: &Layout) -> io::Result<BTreeSet<ContainerId>> {
    let mut living = BTreeSet::new();
    for project in names_in(&layout.projects())? {
        for id in container_ids(&layout.project(&project).join("containers"))? {
            if layout.container(&project, &id).join("config.json").exists() {
                living.insert(id);
            }
        }
    }
    Ok(living)
}

/// Removes the trash, and in every project that no command is changing: what
/// has no record, and what belongs to another boot.
///
/// # Errors
/// The first failure.
pub fn sweep_files(layout: &Layout, boot_id: &str) -> io::Result<SweptFiles> {
    let mut swept = SweptFiles::default();
    for name in names_in(&layout.trash())? {
        // Another sweep, or the one that put it there, may be at it.
        remove_any(&layout.trash().join(name))?;
        swept.trash += 1;
    }
    for project in names_in(&layout.projects())? {
        // Held by a command: it is not dead, and what it does not dead either.
        if let Some(_lock) = Lock::try_acquire(&layout.project_lock(&project))? {
            sweep_project(layout, &project, boot_id, &mut swept)?;
        }
    }
    Ok(swept)
}

fn sweep_project(
    layout: &Layout,
    project: &str,
    boot_id: &str,
    swept: &mut SweptFiles,
) -> io::Result<()> {
    let folder = layout.project(project).join("containers");
    for id in container_ids(&folder)? {
        let container = layout.container(project, &id);
        swept.temporary += remove_temporary(&container)?;
        if !container.join("config.json").exists() {
            discard(layout, &container)?;
            swept.containers.push(id.to_string());
        }
    }
    let run = layout.run_project(project).join("containers");
    for name in names_in(&run)? {
        let id = name.strip_suffix(".json").unwrap_or(&name);
        let Some(id) = ContainerId::parse(id) else {
            continue;
        };
        let living = layout.container(project, &id).join("config.json").exists();
        if living && is_of_boot(&layout.run_record(project, &id), boot_id) {
            continue;
        }
        remove_any(&run.join(&name))?;
        remove_any(&layout.spool(project, &id))?;
        swept.run_files.push(id.to_string());
    }
    swept.run_files.sort_unstable();
    swept.run_files.dedup();
    Ok(())
}

/// Whether a run record is of this boot. One that is missing says nothing.
fn is_of_boot(path: &Path, boot_id: &str) -> bool {
    let Ok(text) = fs::read(path) else {
        return true;
    };
    serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .is_some_and(|record| record.get("boot_id").and_then(|id| id.as_str()) == Some(boot_id))
}

/// Removes what [`super::atomic::write`] had not renamed yet.
fn remove_temporary(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for name in names_in(folder)?
        .iter()
        .filter(|name| name.starts_with(".new-"))
    {
        remove_any(&folder.join(name))?;
        count += 1;
    }
    Ok(count)
}

fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn container_ids(folder: &Path) -> io::Result<Vec<ContainerId>> {
    Ok(names_in(folder)?
        .iter()
        .filter_map(|name| ContainerId::parse(name))
        .collect())
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_has_no_record_goes_and_what_lives_stays() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let [good, bare, old] = [(); 3].map(|()| ContainerId::random());
        write(&layout.container("p", &good).join("config.json"), "{}");
        write(&layout.container("p", &good).join(".new-x"), "half");
        write(&layout.container("p", &bare).join("upper/file"), "x");
        write(&layout.container("p", &old).join("config.json"), "{}");
        write(&layout.run_record("p", &good), r#"{"boot_id":"now"}"#);
        write(&layout.run_record("p", &old), r#"{"boot_id":"before"}"#);
        write(&layout.spool("p", &old).join("stdout.1"), "x");
        write(&layout.trash().join("abc/file"), "x");

        let locked = Lock::acquire(&layout.project_lock("p")).unwrap();
        let swept = sweep_files(&layout, "now").unwrap();
        assert_eq!(
            swept,
            SweptFiles {
                trash: 1,
                ..SweptFiles::default()
            }
        );
        drop(locked);

        let swept = sweep_files(&layout, "now").unwrap();
        assert_eq!(swept.containers, [bare.to_string()]);
        assert_eq!(swept.run_files, [old.to_string()]);
        assert_eq!(swept.temporary, 1);
        assert!(layout.run_record("p", &good).exists());
        assert!(!layout.spool("p", &old).exists());
        let living = BTreeSet::from([good, old]);
        assert_eq!(living_containers(&layout).unwrap(), living);
        assert_eq!(sweep_files(&layout, "now").unwrap(), SweptFiles::default());
    }
}
