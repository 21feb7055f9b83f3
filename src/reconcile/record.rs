//! `project.json`: the model as last applied, for whoever looks at a project
//! without its file. Nothing is decided by it.

use std::io;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::compose::Project;
use crate::state::atomic::{self, Durability};

use super::session::{ReconcileError, Session};

/// Raised when the record changes its meaning.
const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ProjectRecord {
    version: u32,
    name: String,
    working_dir: String,
    config_files: Vec<String>,
    model: serde_json::Value,
}

/// Writes the record where it is not as it was.
pub(super) fn remember(session: &Session<'_>, project: &Project) -> Result<(), ReconcileError> {
    let path = session.layout.project(session.project).join("project.json");
    let record = ProjectRecord {
        version: VERSION,
        name: project.name.clone(),
        working_dir: project.working_dir.display().to_string(),
        config_files: project
            .compose_files
            .iter()
            .map(|file| file.display().to_string())
            .collect(),
        model: project.canonical_json(),
    };
    // A record that cannot be read is written anew.
    if atomic::read_json::<ProjectRecord>(&path)
        .ok()
        .flatten()
        .as_ref()
        == Some(&record)
    {
        return Ok(());
    }
    atomic::write_json(&path, &record, Durability::ThisBoot).map_err(|source| {
        ReconcileError::State {
            action: format!("write the record of project `{}`", session.project),
            source,
        }
    })
}

/// Removes the project's folder once it has no container.
pub(super) fn forget(session: &Session<'_>) -> Result<(), ReconcileError> {
    let folder = session.layout.project(session.project);
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let fail = |source| ReconcileError::State {
        action: format!("remove the record of project `{}`", session.project),
        source,
    };
    let left = match fs::read_dir(folder.join("containers")) {
        Ok(entries) => entries.count(),
        Err(error) if gone(&error) => 0,
        Err(error) => return Err(fail(error)),
    };
    if left > 0 {
        return Ok(());
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if !gone(&error) => Err(fail(error)),
        _ => Ok(()),
    }
}
