//! Debian's docker-registry, the reference implementation.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fs_err as fs;

use super::world::World;

/// An htpasswd file with user `me` and password `secret` (bcrypt, the one kind
/// that the registry takes).
pub(crate) const HTPASSWD: &str =
    "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry; ends with this value.
pub(crate) struct Registry {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Registry {
    /// Starts one on an address, with its content in a folder of the world,
    /// in plain HTTP.
    pub(crate) fn start(world: &World, address: &str) -> Self {
        Self::start_with(world, address, "storage", "", "")
    }

    /// Starts one with further settings: lines below `http:`, and lines at the
    /// top level.
    pub(crate) fn start_with(
        world: &World,
        address: &str,
        storage: &str,
        http: &str,
        top: &str,
    ) -> Self {
        let program = super::program("docker-registry", "docker-registry");
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: {address}\n{http}{top}",
            world.path(storage).display()
        );
        let path = world.path(&format!("registry-{}.yml", address.replace(':', "-")));
        fs::write(&path, config).unwrap();
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&path)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until_listening(&mut child, &path);
        Self {
            child,
            address: address.parse().unwrap(),
        }
    }
}

/// Reads the log until the line that says so; the rest is read away.
fn wait_until_listening(child: &mut Child, config: &Path) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("listening on") {
        let count = log.read_line(&mut seen).unwrap();
        assert!(
            count > 0,
            "the registry of {} ended:\n{seen}",
            config.display()
        );
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
