//! Mounts of what the host does not have, and over the folder that an image has its
//! code in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Linter;
use super::dockerfile::{Folder, image_of};
use crate::compose::diag::Position;
use crate::compose::diag::{Diagnostic, Step};
use crate::compose::files::FileSystem;
use crate::compose::model::{Mount, MountKind};

/// Both, a mount in one hint.
pub(super) fn hints(linter: &Linter<'_>, files: &dyn FileSystem) -> Vec<Diagnostic> {
    let hidden = hidden_code(linter, files);
    let told: BTreeSet<String> = hidden.iter().map(|hint| hint.path.clone()).collect();
    let mut hints = missing_sources(linter, files);
    hints.retain(|hint| !told.contains(&hint.path));
    hints.extend(hidden);
    hints
}

/// Mounts of files and folders that the host does not have.
fn missing_sources(linter: &Linter<'_>, files: &dyn FileSystem) -> Vec<Diagnostic> {
    let mut hints = Vec::new();
    for (name, service) in &linter.project.services {
        for (at, mount) in service.volumes.iter().enumerate() {
            let Some(source) = mount
                .source
                .as_deref()
                .filter(|_| mount.kind == MountKind::Bind)
            else {
                continue;
            };
            if files.exists(Path::new(source)) {
                continue;
            }
            if hints.len() >= super::MOST {
                return hints;
            }
            let path = format!("services.{name}.volumes[{at}]");
            let node = linter.attribute(name, &format!("volumes[{at}]"));
            let mark = node.map_or_else(Default::default, |node| node.mark);
            let message = format!("the host has no `{source}`");
            let is_made = mount.bind.as_ref().is_none_or(|bind| bind.create_host_path);
            let help = if is_made {
                "`up` makes an empty folder there; correct the path if something else is meant"
            } else {
                "`up` refuses that; correct the path, or let it be made: `create_host_path: true`"
            };
            hints.push(linter.hint(mark, &path, message).suggest(help));
        }
    }
    hints
}

/// Mounts that hide what the service's Dockerfile puts into the image.
fn hidden_code(linter: &Linter<'_>, files: &dyn FileSystem) -> Vec<Diagnostic> {
    let mut hints = Vec::new();
    for (name, service) in &linter.project.services {
        let Some((file, image)) = image_of(service, files) else {
            continue;
        };
        // By path with a slash behind it: what is below something follows it.
        let by_path = |folder: Folder| (format!("{}/", folder.path), folder);
        let folders: BTreeMap<String, Folder> =
            image.folders.into_iter().rev().map(by_path).collect();
        let targets = service.volumes.iter();
        let targets: BTreeSet<String> = targets.map(|mount| below(&mount.target)).collect();
        for (at, mount) in service.volumes.iter().enumerate() {
            if hints.len() >= super::MOST {
                return hints;
            }
            let start = below(&mount.target);
            let hidden = folders.range(start.clone()..).next();
            let hidden = hidden.filter(|(path, _)| path.starts_with(&start));
            let Some((_, folder)) = hidden.filter(|(_, folder)| can_hide(mount, folder)) else {
                continue;
            };
            // A file over a file is meant; what is not there yet becomes a folder.
            let source = mount.source.as_deref().map(Path::new);
            let is_bind = mount.kind == MountKind::Bind;
            let is_missing = is_bind && !source.is_some_and(|path| files.exists(path));
            if is_bind && !is_missing && !source.is_some_and(|path| files.is_dir(path)) {
                continue;
            }
            // Whoever keeps a folder of the image by a mount below knows of it.
            let mut behind = targets.range(start.clone()..);
            if behind
                .find(|path| **path != start)
                .is_some_and(|path| path.starts_with(&start))
            {
                continue;
            }
            let path = format!("services.{name}.volumes[{at}]");
            let mark = linter.attribute(name, &format!("volumes[{at}]"));
            let mark = mark.map_or_else(Default::default, |node| node.mark);
            let message = format!("this hides what the image has at `{}`", folder.path);
            let help = match mount.kind {
                MountKind::Bind if is_missing => {
                    "the host's folder does not exist: where it is made, it is empty, and so is \
                     what the container sees; correct the path, or remove the mount"
                }
                MountKind::Bind => {
                    "the container sees the host's folder alone, not what the build made there \
                     (installed packages, compiled files); mount a volume over that, \
                     or use `develop.watch`"
                }
                _ => {
                    "a volume is filled from the image once, and has the old files after a new build"
                }
            };
            let mut hint = linter.hint(mark, &path, message).suggest(help);
            hint.chain.push(Step {
                what: "the Dockerfile puts files there".to_owned(),
                position: file.as_ref().map(|file| Position {
                    file: file.clone(),
                    line: folder.line,
                    column: 1,
                }),
            });
            hints.push(hint);
        }
    }
    hints
}

/// How the paths of what is below a path begin, its own included.
fn below(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

fn can_hide(mount: &Mount, folder: &Folder) -> bool {
    let is_storage = matches!(mount.kind, MountKind::Bind | MountKind::Volume);
    is_storage && folder.path != "/"
}
