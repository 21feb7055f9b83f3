//! Making a container vanish from disk.

use std::io;

use fs_err as fs;

use super::failure;
use crate::state::Layout;
use crate::state::names::Names;
use crate::state::volume;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::Failure;

/// Removes a container's folders, name and references; with `volumes` its
/// anonymous volumes, too, where nobody else uses them.
pub(super) fn discard(
    layout: &Layout,
    record: &ContainerRecord,
    volumes: bool,
) -> Result<(), Failure> {
    let io = |error: io::Error| failure::other(&error);
    volume::discard(layout, &layout.container(&record.project, &record.id)).map_err(io)?;
    for one in &record.launch.volumes {
        volume::remove_user(layout, &one.name, &record.id).map_err(io)?;
        if volumes && one.anonymous {
            match volume::remove(layout, &one.name) {
                Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(io(error)),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Names::new(layout)
        .release(&record.name, &record.id)
        .map_err(|error| failure::other(&error))?;
    let run = layout.run_record(&record.project, &record.id);
    missing_is_fine(fs::remove_file(run)).map_err(io)?;
    for folder in [
        layout.run_container(&record.project, &record.id),
        layout.spool(&record.project, &record.id),
    ] {
        missing_is_fine(fs::remove_dir_all(folder)).map_err(io)?;
    }
    Ok(())
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
