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

    /// Starts one that lets user `me` in, with password `secret`, and nobody else.
    pub(crate) fn start_private(sandbox: &Sandbox, port: u16) -> Self {
        let home = sandbox.work().join(format!("registry-{port}"));
        fs::create_dir_all(&home).expect("a folder");
        let users = home.join("htpasswd");
        // By bcrypt, the one kind that the registry takes.
        let line = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
        fs::write(&users, line).expect("a file of users");
        let auth = format!(
            "auth: {{htpasswd: {{realm: here, path: {}}}}}\n",
            users.display()
        );
        Self::serve_with(
            sandbox.command(&program("docker-registry")),
            &home,
            port,
            &auth,
        )
    }

    /// Starts `server` with its store in `home/store`.
    pub(crate) fn serve(server: Invocation, home: &Path, port: u16) -> Self {
        Self::serve_with(server, home, port, "")
    }

    fn serve_with(server: Invocation, home: &Path, port: u16, further: &str) -> Self {
        let address = format!("127.0.0.1:{port}");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp: {{addr: \"{address}\"}}\n{further}",
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
