//! Files of operations that died half-way: found without any record, removed
//! under the locks of those who could be using them.
//!
//! Kernel objects are swept beside their makers, `net` and `engine::cgroup`; see
//! `supervise::sweep`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use fs_err as fs;

use super::lock::{Lock, Tried};
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
}

/// A project in which nobody makes or removes a container as long as this value
/// lives.
#[derive(Debug)]
pub struct Resting {
    _lock: Option<Lock>,
}

impl Resting {
    /// Takes the project's lock, if it is there and free; `None` elsewhere. Of
    /// the project `own` the caller is the supervisor that is about to end, the
    /// only one who makes and removes its containers: a command that has the
    /// lock waits for that.
    ///
    /// # Errors
    /// The lock cannot be opened.
    pub fn of(layout: &Layout, project: &str, own: Option<&str>) -> io::Result<Option<Self>> {
        if own == Some(project) {
            return Ok(Some(Self { _lock: None }));
        }
        // Held by a command: it is not dead, and what it does not dead either.
        // Without a lock nobody has worked on it since the boot.
        Ok(
            match Lock::try_acquire_existing(&layout.project_lock(project))? {
                Tried::Taken(lock) => Some(Self { _lock: Some(lock) }),
                Tried::Held | Tried::Missing => None,
            },
        )
    }
}

/// Removes the trash, and in every project that [rests](Resting::of): what has
/// no record, and what belongs to another boot.
///
/// # Errors
/// The first failure.
pub fn sweep_files(layout: &Layout, boot_id: &str, own: Option<&str>) -> io::Result<SweptFiles> {
    let mut swept = SweptFiles::default();
    for name in names_in(&layout.trash())? {
        // Another sweep, or the one that put it there, may be at it.
        remove_any(&layout.trash().join(name))?;
        swept.trash += 1;
    }
    // Of some there is nothing left but files of this boot.
    let running = names_in(&layout.run_projects())?;
    let mut all: BTreeSet<String> = names_in(&layout.projects())?.into_iter().collect();
    all.extend(running.iter().cloned());
    for project in all {
        if let Some(_resting) = Resting::of(layout, &project, own)? {
            sweep_project(layout, &project, boot_id, &mut swept)?;
        }
    }
    for project in running {
        sweep_locks(layout, &project)?;
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

/// Removes the run-time folder of a project of which nothing else is left: the
/// locks. Whoever waits for one of them finds that its file is gone, and makes
/// both anew. Returns whether it did.
///
/// # Errors
/// The folder cannot be read or removed.
pub fn sweep_locks(layout: &Layout, project: &str) -> io::Result<bool> {
    let folder = layout.run_project(project);
    if layout.project(project).exists() || !folder.exists() {
        return Ok(false);
    }
    let locks = [layout.project_lock(project), layout.start_lock(project)];
    let mut held = Vec::new();
    for lock in &locks {
        match Lock::try_acquire_existing(lock)? {
            Tried::Taken(taken) => held.push((taken, lock)),
            Tried::Held => return Ok(false),
            // Whoever makes it now keeps the folder by it.
            Tried::Missing => {}
        }
    }
    // Looked at with all held: nobody is at work on it, nor starts to be.
    let only_locks = names_in(&folder)?
        .iter()
        .all(|name| locks.iter().any(|lock| lock.ends_with(name)));
    if layout.project(project).exists() || !only_locks {
        return Ok(false);
    }
    for (_, lock) in &held {
        remove_any(lock)?;
    }
    match fs::remove_dir(&folder) {
        Ok(()) => Ok(true),
        // Somebody has begun to make them anew, or has swept these already.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
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
    fn locks_go_with_the_project_and_stay_while_one_is_held() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let held = Lock::acquire(&layout.project_lock("p")).unwrap();
        assert!(!sweep_locks(&layout, "p").unwrap());
        drop(held);
        fs::create_dir_all(layout.project("p")).unwrap();
        assert!(!sweep_locks(&layout, "p").unwrap());
        fs::remove_dir(layout.project("p")).unwrap();
        write(&layout.exit_journal("p"), "");
        assert!(!sweep_locks(&layout, "p").unwrap());
        fs::remove_file(layout.exit_journal("p")).unwrap();
        assert!(sweep_locks(&layout, "p").unwrap());
        assert!(!layout.run_project("p").exists());
        assert!(!sweep_locks(&layout, "p").unwrap());
    }

    /// Those who take turns with a lock whose file is swept again and again.
    #[test]
    fn a_swept_lock_is_still_one_lock() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let lock = Lock::acquire(&layout.project_lock("p")).unwrap();
                        let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(before, 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                        sweep_locks(&layout, "p").unwrap();
                    }
                });
            }
        });
        sweep_locks(&layout, "p").unwrap();
        assert!(!layout.run_project("p").exists());
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
        let swept = sweep_files(&layout, "now", None).unwrap();
        assert_eq!(
            swept,
            SweptFiles {
                trash: 1,
                ..SweptFiles::default()
            }
        );
        drop(locked);

        let swept = sweep_files(&layout, "now", None).unwrap();
        assert_eq!(swept.containers, [bare.to_string()]);
        assert_eq!(swept.run_files, [old.to_string()]);
        // Its supervisor may be writing it.
        assert!(layout.container("p", &good).join(".new-x").exists());
        assert!(layout.run_record("p", &good).exists());
        assert!(!layout.spool("p", &old).exists());
        let living = BTreeSet::from([good, old]);
        let left = container_ids(&layout.project("p").join("containers")).unwrap();
        assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), living);
        assert_eq!(
            sweep_files(&layout, "now", None).unwrap(),
            SweptFiles::default()
        );
    }
}
