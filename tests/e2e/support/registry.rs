//! Debian's docker-registry on the test's own loopback.

use std::path::Path;

use fs_err as fs;

use super::process::{Background, Invocation};
use super::sandbox::{Sandbox, program};

/// A running registry. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Registry {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    server: Option<Background>,
}

impl Registry {
    /// Starts one with an empty store; it answers when this returns.
    pub(crate) fn start(sandbox: &Sandbox, port: u16) -> Self {
        let home = sandbox.work().join(format!("registry-{port}"));
        fs::create_dir_all(&home).expect("a folder");
        Self::serve(sandbox.command(&program("docker-registry")), &home, port)
    }

    /// Starts `server` with its store in `home/store`.
    pub(crate) fn serve(server: Invocation, home: &Path, port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp: {{addr: \"{address}\"}}\n",
            home.join("store").display()
        );
        let config = home.join(format!("registry-{port}.yml"));
        fs::write(&config, text).expect("a configuration file");
        let mut server = server.args(["serve".as_ref(), config.as_os_str()]).spawn();
        server.wait_line("listening on");
        Self {
            address,
            server: Some(server),
        }
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        drop(self.server.take());
    }
}
