//! Making a container vanish from disk. Any step may be the last one before a
//! kill: the first names the record anew, so that nothing counts the container
//! any longer and whoever comes next knows what is left to be done.

use std::io;

use fs_err as fs;

use super::inspect::{CONFIG_FILE, container_ids};
use super::record::ContainerRecord;
use crate::state::atomic::read_json;
use crate::state::names::Names;
use crate::state::volume;
use crate::state::{ContainerId, Layout};

/// What the record is called in the course of a removal, and whether that is to
/// take the anonymous volumes along.
const MARKS: [(bool, &str); 2] = [(false, "removed.json"), (true, "removed-with-volumes.json")];

/// Removes a container's folders, name and references; with `volumes` its
/// anonymous volumes, too, where nobody else uses them.
///
/// # Errors
/// The file system refuses. What is left is done by [`finish_all`].
pub(super) fn remove(layout: &Layout, record: &ContainerRecord, volumes: bool) -> io::Result<()> {
    let folder = layout.container(&record.project, &record.id);
    for (with_volumes, mark) in MARKS {
        if with_volumes == volumes {
            // One that does not come to be has no record, perhaps.
            missing_is_fine(fs::rename(folder.join(CONFIG_FILE), folder.join(mark)))?;
        }
    }
    finish(layout, record, volumes)
}

/// Does what removals of a project's containers left undone that were cut
/// short; nobody else may be removing any. Returns which containers those were.
///
/// # Errors
/// The first failure.
pub(super) fn finish_all(layout: &Layout, project: &str) -> io::Result<Vec<ContainerId>> {
    let mut finished = Vec::new();
    for id in container_ids(layout, project)? {
        let folder = layout.container(project, &id);
        for (volumes, mark) in MARKS {
            if let Some(record) = read_json::<ContainerRecord>(&folder.join(mark))? {
                finish(layout, &record, volumes)?;
                finished.push(record.id);
            }
        }
    }
    Ok(finished)
}

/// The folder with the mark goes last.
fn finish(layout: &Layout, record: &ContainerRecord, volumes: bool) -> io::Result<()> {
    for one in &record.launch.volumes {
        volume::remove_user(layout, &one.name, &record.id)?;
        if volumes && one.anonymous {
            match volume::remove(layout, &one.name) {
                Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Names::new(layout)
        .release(&record.name, &record.id)
        .map_err(io::Error::other)?;
    missing_is_fine(fs::remove_file(
        layout.run_record(&record.project, &record.id),
    ))?;
    for folder in [
        layout.run_container(&record.project, &record.id),
        layout.spool(&record.project, &record.id),
    ] {
        missing_is_fine(fs::remove_dir_all(folder))?;
    }
    volume::discard(layout, &layout.container(&record.project, &record.id))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
