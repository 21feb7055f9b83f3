//! Making a container vanish from disk.

use std::io;

use fs_err as fs;

use super::failure;
use crate::state::Layout;
use crate::state::names::Names;
use crate::state::volume::{VolumeError, Volumes, discard as to_trash};
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
    to_trash(layout, &layout.container(&record.project, &record.id)).map_err(io)?;
    let all = Volumes::new(layout);
    for one in &record.launch.volumes {
        let gone = all.remove_user(&one.name, &record.id).and_then(|()| {
            if volumes && one.anonymous {
                all.remove(&one.name).map(|_| ())
            } else {
                Ok(())
            }
        });
        match gone {
            Ok(()) | Err(VolumeError::InUse { .. }) => {}
            Err(error) => return Err(failure::other(&error)),
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
