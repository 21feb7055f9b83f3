//! The user whose files and programs these are.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use tokio::process::Command;

/// A user of this machine: the one who called sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Home folder; `None` where nothing tells it.
    pub home: Option<PathBuf>,
}

impl Account {
    /// Does file work with this user's rights, so that it reaches a home that
    /// root cannot enter (NFS) and nothing that the user could not: on a
    /// thread of its own, whose ids for files are theirs (setfsuid(2)).
    pub(super) fn run<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
                setfsgid(gid);
                setfsuid(uid);
                // Neither call can fail visibly; asked again, they tell who it is.
                if setfsgid(gid) != gid || setfsuid(uid) != uid {
                    return Err(io::Error::from(io::ErrorKind::PermissionDenied));
                }
                work()
            });
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the work was broken off")))
        })
    }

    /// Lets a program run as this user, as it would from their shell: sudo has
    /// put root's names and its own search path into our environment.
    pub(crate) fn become_in(&self, command: &mut Command, path: &str) {
        command.uid(self.uid).gid(self.gid);
        command.env("USER", &self.name).env("LOGNAME", &self.name);
        let runtime = format!("/run/user/{}", self.uid);
        // Keyrings are asked over the session's bus.
        command.env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={runtime}/bus"),
        );
        command.env("XDG_RUNTIME_DIR", runtime);
        let Some(home) = &self.home else { return };
        command.env("HOME", home);
        let own = [home.join("bin"), home.join(".local/bin")];
        if let Ok(joined) = std::env::join_paths(std::env::split_paths(path).chain(own)) {
            command.env("PATH", joined);
        }
    }
}
