//! `RUN --mount`: what a command sees beside its root.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::cache::Cache;
use super::copy::Looks;
use super::error::BuildError;
use super::files::{SourceFiles, open};
use super::hashes::{Hash, hex};
use super::kept_folders::Use;
use super::run::Mounts;
use super::solver::Outcome;
use crate::build::graph::{self, Access, Mount, MountKind, Run, Sharing, StepId};
use crate::engine::oci_default;
use crate::engine::spec::InlineFile;
use crate::image::Store;
use crate::state::lock::Lock;
use crate::supervise::launch::TreeUse;

/// Where agents' sockets are seen.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What mounts are made from.
pub(super) struct Place<'a> {
    pub(super) store: &'a Store,
    pub(super) cache: &'a Cache,
    pub(super) secrets: &'a BTreeMap<String, Vec<u8>>,
    pub(super) agents: &'a BTreeMap<String, PathBuf>,
}

/// Mounts as a command's container takes them.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) mounts: Mounts,
    /// Variables that come of them, `NAME=value`.
    pub(super) env: Vec<String>,
}

/// The files that each of a command's mounts shows, where it shows any.
pub(super) fn sources(
    run: &Run,
    inputs: &BTreeMap<StepId, std::sync::Arc<Outcome>>,
    store: &Store,
) -> Vec<Option<SourceFiles>> {
    let one = |mount: &Mount| match &mount.kind {
        MountKind::Bind { from, source, .. } => Some(files(*from, source, inputs, store)),
        _ => None,
    };
    run.mounts.iter().map(one).collect()
}

fn files(
    from: graph::Root,
    source: &str,
    inputs: &BTreeMap<StepId, std::sync::Arc<Outcome>>,
    store: &Store,
) -> SourceFiles {
    let outcome = from.and_then(|id| inputs.get(&id));
    let from = outcome.map(|outcome| (&outcome.files, outcome.key));
    SourceFiles::mounted(source, from, store)
}

/// Makes everything ready.
///
/// # Errors
/// A secret or an agent is missing, or a folder cannot be made.
pub(super) async fn prepare(
    run: &Run,
    inputs: &BTreeMap<StepId, std::sync::Arc<Outcome>>,
    place: &Place<'_>,
) -> Result<Prepared, BuildError> {
    let mut prepared = Prepared::default();
    if let Some(script) = &run.script {
        prepared.mounts.files.push(InlineFile {
            destination: script.path.clone(),
            content: script.content.clone().into_bytes(),
            mode: 0o755,
            uid: "0".to_owned(),
            gid: "0".to_owned(),
        });
    }
    for mount in &run.mounts {
        prepared.add(mount, inputs, place).await?;
    }
    Ok(prepared)
}

impl Prepared {
    async fn add(
        &mut self,
        mount: &Mount,
        inputs: &BTreeMap<StepId, std::sync::Arc<Outcome>>,
        place: &Place<'_>,
    ) -> Result<(), BuildError> {
        let target = mount.target.clone().unwrap_or_default();
        match &mount.kind {
            MountKind::Bind {
                from,
                source,
                is_read_only,
            } => {
                let shown = files(*from, source, inputs, place.store);
                bind(self, &shown, target, *is_read_only).await?;
            }
            MountKind::Cache {
                id,
                sharing,
                from,
                source,
                access,
                is_read_only,
            } => {
                let first = from.map(|id| files(Some(id), source, inputs, place.store));
                let (folder, lock) = cache(place.cache, id, *sharing, first, *access).await?;
                self.mounts.held.push((Use::of(&folder), lock));
                let mode = if *is_read_only { "ro" } else { "rw" };
                self.mounts.oci.push(host(&folder, &target, mode));
            }
            MountKind::Tmpfs { size, is_read_only } => {
                let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
                options.extend(size.map(|size| format!("size={size}")));
                options.extend(is_read_only.then(|| "ro".to_owned()));
                let mount = oci_default::mount(&target, "tmpfs", "tmpfs", options);
                self.mounts.oci.push(mount);
            }
            MountKind::Secret {
                id,
                variable,
                is_required,
                access,
            } => match place.secrets.get(id) {
                Some(content) => {
                    let shown = mount
                        .target
                        .as_ref()
                        .map(|target| file(target.clone(), content.clone(), *access));
                    self.mounts.files.extend(shown);
                    let text = String::from_utf8_lossy(content);
                    let variable = variable.as_ref();
                    self.env
                        .extend(variable.map(|name| format!("{name}={text}")));
                }
                None if *is_required => return Err(no("the secret", id)),
                None => {}
            },
            MountKind::Ssh {
                id,
                is_required,
                access,
            } => match place.agents.get(id) {
                Some(agent) => {
                    let (socket, relay) = super::agent::relay(agent, *access)?;
                    self.mounts.oci.push(host(&socket, &target, "rw"));
                    self.mounts.relays.push(relay);
                    // The first one is the one that programs ask.
                    if !self.env.iter().any(|one| one.starts_with(AGENT_VARIABLE)) {
                        self.env.push(format!("{AGENT_VARIABLE}={target}"));
                    }
                }
                None if *is_required => return Err(no("the SSH agent", id)),
                None => {}
            },
        }
        Ok(())
    }
}

fn no(what: &'static str, id: &str) -> BuildError {
    BuildError::NoSecret {
        what,
        id: id.to_owned(),
    }
}

fn file(destination: String, content: Vec<u8>, access: Access) -> InlineFile {
    InlineFile {
        destination,
        content,
        mode: access.mode,
        uid: access.uid.to_string(),
        gid: access.gid.to_string(),
    }
}

fn host(source: &Path, destination: &str, access: &str) -> oci_spec::runtime::Mount {
    let options = ["rbind", "rprivate", access].map(str::to_owned).into();
    oci_default::mount(destination, "bind", &source.to_string_lossy(), options)
}

/// Files of a stage come with its layers; those of a context are the folder
/// itself where all of it takes part and nothing is written, else a copy.
async fn bind(
    prepared: &mut Prepared,
    shown: &SourceFiles,
    target: String,
    is_read_only: bool,
) -> Result<(), BuildError> {
    if let Some((layers, path)) = shown.in_layers() {
        prepared.mounts.trees.push(TreeUse {
            layers: layers.iter().map(ToString::to_string).collect(),
            source: PathBuf::from(path),
            destination: target,
            read_only: is_read_only,
        });
        return Ok(());
    }
    if let Some((context, path)) = shown.in_context()
        && context.is_whole()
        && is_read_only
    {
        // Resolved inside the context: no symlink leads out of it.
        let inner = path.trim_start_matches('/');
        let inside = if inner.is_empty() { "." } else { inner };
        context.root().open(Path::new(inside)).map_err(|errno| {
            BuildError::files("open", context.folder().join(inner))(errno.into())
        })?;
        let real = fs::canonicalize(context.folder().join(inner))
            .map_err(BuildError::files("open", context.folder().join(inner)))?;
        if real.starts_with(context.folder()) {
            prepared.mounts.oci.push(host(&real, &target, "ro"));
            return Ok(());
        }
    }
    let shown = shown.clone();
    let copied = tokio::task::spawn_blocking(move || copied(&shown));
    let (folder, path) = copied
        .await
        .map_err(|error| BuildError::Pipe(std::io::Error::other(error)))??;
    let access = if is_read_only { "ro" } else { "rw" };
    prepared.mounts.oci.push(host(&path, &target, access));
    prepared.mounts.folders.push(folder);
    Ok(())
}

/// A copy of what is shown: its folder, and where in it the thing itself is.
fn copied(shown: &SourceFiles) -> Result<(tempfile::TempDir, PathBuf), BuildError> {
    let folder = tempfile::tempdir().map_err(BuildError::files("make a folder in", "/tmp"))?;
    let root = open(folder.path())?;
    let looks = Looks {
        owner: Some((0, 0)),
        mode: None,
    };
    // A folder's content, or the one file.
    shown.put(&root, Path::new("/shown"), false, &looks)?;
    let path = folder.path().join("shown");
    Ok((folder, path))
}

/// The folder of a cache, and what holds it for one command.
async fn cache(
    cache: &Cache,
    id: &str,
    sharing: Sharing,
    first: Option<SourceFiles>,
    access: Access,
) -> Result<(PathBuf, Option<Lock>), BuildError> {
    let hash: Hash = Sha256::digest(id).into();
    let home = cache.mounts().join(hex(&hash));
    let work = move || {
        let lock_at = |home: &Path| home.with_extension("lock");
        match sharing {
            Sharing::Shared => {
                let _making =
                    Lock::acquire(&lock_at(&home)).map_err(BuildError::files("lock", &home))?;
                make_cache(&home, first.as_ref(), access)?;
                Ok((home, None))
            }
            Sharing::Locked => {
                let held =
                    Lock::acquire(&lock_at(&home)).map_err(BuildError::files("lock", &home))?;
                make_cache(&home, first.as_ref(), access)?;
                Ok((home, Some(held)))
            }
            Sharing::Private => {
                for number in 0.. {
                    let own = if number == 0 {
                        home.clone()
                    } else {
                        home.with_extension(number.to_string())
                    };
                    let lock_file = PathBuf::from(format!("{}.lock", own.display()));
                    let held =
                        Lock::try_acquire(&lock_file).map_err(BuildError::files("lock", &own))?;
                    if let Some(held) = held {
                        make_cache(&own, first.as_ref(), access)?;
                        return Ok((own, Some(held)));
                    }
                }
                Err(BuildError::Cancelled)
            }
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| BuildError::Pipe(std::io::Error::other(error)))?
}

/// Makes the folder where it is missing; whole, or not at all.
fn make_cache(home: &Path, first: Option<&SourceFiles>, access: Access) -> Result<(), BuildError> {
    if home.is_dir() {
        return Ok(());
    }
    let above = home.parent().unwrap_or_else(|| Path::new("/"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(above)
        .map_err(BuildError::files("make", above))?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(above)
        .map_err(BuildError::files("make a folder in", above))?;
    if let Some(first) = first {
        let looks = Looks::default();
        first.put(&open(new.path())?, Path::new("/"), false, &looks)?;
    }
    let failed = |error| BuildError::files("make", home)(error);
    std::os::unix::fs::chown(new.path(), Some(access.uid), Some(access.gid)).map_err(failed)?;
    fs::set_permissions(new.path(), std::fs::Permissions::from_mode(access.mode))
        .map_err(failed)?;
    fs::rename(new.keep(), home).map_err(failed)
}
