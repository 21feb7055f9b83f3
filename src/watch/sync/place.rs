//! The files of a container, as its program sees them.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, openat};

use crate::causes::with_causes;
use crate::engine::identity::Accounts;
use crate::engine::inroot::Root;
use crate::engine::process::ProcessIdentity;
use crate::engine::rootfs;
use crate::state::lock::Lock;
use crate::state::{Layout, volume};
use crate::supervise::inspect::{self, ContainerView};
use crate::supervise::record::ContainerRecord;
use crate::supervise::roots;

/// A container's files.
#[derive(Debug)]
pub(in crate::watch) struct Place {
    root: Root,
    /// What will be mounted where when it starts, absolute; `None`: what is written
    /// there is seen by nobody. Empty for a container that runs.
    mounts: Vec<(PathBuf, Option<Root>)>,
    owner: Option<(Uid, Gid)>,
    /// Nobody starts it meanwhile.
    _lock: Option<Lock>,
}

impl Place {
    /// Opens the files of a container: those that its process sees where it runs, else
    /// its layers and volumes. Blocks, for as long as another command changes the
    /// project where the container does not run.
    ///
    /// # Errors
    /// It ended just now; a layer or a volume is gone.
    pub(in crate::watch) fn open(layout: &Layout, view: &ContainerView) -> io::Result<Self> {
        let mut place = match Self::running(view) {
            Some(place) => place?,
            None => Self::at_rest(layout, view)?,
        };
        // As docker compose has it: files belong to the user that the container runs
        // as, and where that is not said, to whom they belong here.
        if let Some(user) = view
            .record
            .launch
            .user
            .as_deref()
            .filter(|it| !it.is_empty())
        {
            let identity = Accounts::read(&place.root)
                .and_then(|accounts| accounts.identity(user, &[]))
                .map_err(|error| io::Error::other(error.to_string()))?;
            place.owner = Some((Uid::from_raw(identity.uid), Gid::from_raw(identity.gid)));
        }
        Ok(place)
    }

    /// `None` where it does not run.
    fn running(view: &ContainerView) -> Option<io::Result<Self>> {
        let run = view.run.as_ref().filter(|_| view.is_live())?;
        let root = openat(
            CWD,
            format!("/proc/{}/root", run.pid),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        // The number may be another process's by now.
        let identity = ProcessIdentity {
            pid: run.pid,
            start_time: run.start_time,
        };
        Some(match root {
            Ok(root) if identity.still_running() => Ok(Self {
                root: Root::new(root),
                mounts: Vec::new(),
                owner: None,
                _lock: None,
            }),
            Ok(_) => Err(io::Error::new(io::ErrorKind::NotFound, "it has just ended")),
            Err(errno) => Err(errno.into()),
        })
    }

    /// Where it was started while the lock was waited for, what it sees then.
    fn at_rest(layout: &Layout, view: &ContainerView) -> io::Result<Self> {
        let record = &view.record;
        let lock = Lock::acquire(&layout.project_lock(&record.project))?;
        let boot_id = inspect::boot_id()?;
        let now = inspect::container(layout, &record.project, &record.id, &boot_id)?;
        let now = now.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has gone"))?;
        match Self::running(&now) {
            Some(place) => place,
            None => Self::stopped(layout, record, lock),
        }
    }

    fn stopped(layout: &Layout, record: &ContainerRecord, lock: Lock) -> io::Result<Self> {
        let other = |error: &dyn std::error::Error| io::Error::other(with_causes(error));
        let spec = roots::root(layout, record, false).map_err(|error| other(&error))?;
        let root = rootfs::open(&spec).map_err(|error| other(&error))?;
        let mut mounts = Vec::new();
        for one in record.launch.oci.mounts().iter().flatten() {
            let is_bind = one.typ().as_deref() == Some("bind");
            let source = one.source().as_ref().filter(|_| is_bind);
            // A file that is mounted is not written through a folder.
            let shown = source
                .filter(|source| source.is_dir())
                .map(|path| Root::at(path));
            mounts.push((one.destination().clone(), shown.transpose()?));
        }
        for one in &record.launch.volumes {
            let mut source = volume::folder(layout, &one.name)?;
            if let Some(below) = &one.subpath {
                source.push(below);
            }
            mounts.push((PathBuf::from(&one.destination), Root::at(&source).ok()));
        }
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        Ok(Self {
            root,
            mounts,
            owner: None,
            _lock: Some(lock),
        })
    }

    /// The root that has a path of the container, and the path in it; `None` where what
    /// is written there does not last until it starts.
    pub(super) fn find<'p>(&self, path: &'p Path) -> Option<(&Root, &'p Path)> {
        for (mount, root) in &self.mounts {
            if let Ok(below) = path.strip_prefix(mount) {
                return root.as_ref().map(|root| (root, below));
            }
        }
        Some((&self.root, path))
    }

    /// Who owns what is written; `None`: whoever owns the original.
    pub(super) const fn owner(&self) -> Option<(Uid, Gid)> {
        self.owner
    }

    #[cfg(test)]
    pub(super) fn of(root: Root, owner: Option<(Uid, Gid)>) -> Self {
        Self {
            root,
            mounts: Vec::new(),
            owner,
            _lock: None,
        }
    }
}
