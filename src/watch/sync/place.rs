//! The files of a container, as its program sees them.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, openat};
use rustix::io::Errno;

use crate::causes::with_causes;
use crate::engine::identity::Accounts;
use crate::engine::inroot::Root;
use crate::engine::mounts;
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
    /// The root is to be read-only once it runs; known by the kernel where it does.
    read_only: bool,
    /// What will be mounted when it starts; empty for a container that runs.
    mounts: Vec<Mount>,
    owner: Option<(Uid, Gid)>,
    /// Nobody starts it meanwhile.
    _lock: Option<Lock>,
}

/// A mount of a container that does not run.
#[derive(Debug)]
struct Mount {
    /// Where, absolute.
    path: PathBuf,
    /// Its folder; `None`: what is written there is seen by nobody.
    root: Option<Root>,
    read_only: bool,
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
                read_only: false,
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
        let mut shown_at = Vec::new();
        for one in record.launch.oci.mounts().iter().flatten() {
            let is_bind = one.typ().as_deref() == Some("bind");
            let source = one.source().as_ref().filter(|_| is_bind);
            // A file that is mounted is not written through a folder.
            let shown = source
                .filter(|source| source.is_dir())
                .map(|path| Root::at(path));
            shown_at.push(Mount {
                path: one.destination().clone(),
                root: shown.transpose()?,
                read_only: mounts::is_read_only(one),
            });
        }
        for one in &record.launch.volumes {
            let volume = Root::at(&volume::folder(layout, &one.name)?)?;
            // As at the start: nothing that is in the volume leads out of it. What is not
            // there makes the start fail, so nobody sees what is written.
            let root = match &one.subpath {
                None => Some(volume),
                Some(below) => volume.open(Path::new(below)).ok().map(Root::new),
            };
            shown_at.push(Mount {
                path: PathBuf::from(&one.destination),
                root,
                read_only: one.read_only,
            });
        }
        shown_at.sort_by_key(|mount| std::cmp::Reverse(mount.path.components().count()));
        let declared = record.launch.oci.root().as_ref();
        Ok(Self {
            root,
            read_only: declared.is_some_and(|root| root.readonly() == Some(true)),
            mounts: shown_at,
            owner: None,
            _lock: Some(lock),
        })
    }

    /// The root that has a path of the container, and the path in it; `None` where what
    /// is written there does not last until it starts.
    ///
    /// # Errors
    /// `EROFS` where the container will have it read-only.
    pub(super) fn find<'p>(&self, path: &'p Path) -> rustix::io::Result<Option<(&Root, &'p Path)>> {
        let mut mounts = self.mounts.iter();
        let mounted = mounts.find_map(|mount| Some((mount, path.strip_prefix(&mount.path).ok()?)));
        let (root, read_only, below) = match mounted {
            Some((mount, below)) => (mount.root.as_ref(), mount.read_only, below),
            None => (Some(&self.root), self.read_only, path),
        };
        match root {
            Some(_) if read_only => Err(Errno::ROFS),
            root => Ok(root.map(|root| (root, below))),
        }
    }

    /// Who owns what is written; `None`: whoever owns the original.
    pub(super) const fn owner(&self) -> Option<(Uid, Gid)> {
        self.owner
    }

    #[cfg(test)]
    pub(super) fn of(root: Root, owner: Option<(Uid, Gid)>) -> Self {
        Self {
            root,
            read_only: false,
            mounts: Vec::new(),
            owner,
            _lock: None,
        }
    }
}
