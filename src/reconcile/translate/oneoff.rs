//! What `run` changes in a service before it becomes a container.

use crate::compose::{Argv, Mount, Port, Service};

/// A one-off's own facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOff {
    /// 64 hexadecimal digits; the name has the first twelve.
    pub slug: String,
    /// Remove it when it ends (`--rm`).
    pub auto_remove: bool,
    /// It answers to the service's name (`--use-aliases`).
    pub use_aliases: bool,
}

/// Flags of `run`.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag of the command"
)]
pub struct Overrides {
    /// Arguments after the service; empty: the service's own command.
    pub command: Vec<String>,
    /// `--entrypoint`; a present one clears the command, too.
    pub entrypoint: Option<Vec<String>>,
    /// `-e`; without a value: taken from the environment, or unset.
    pub environment: Vec<(String, Option<String>)>,
    /// `-v`, read.
    pub volumes: Vec<Mount>,
    /// `-p`, read.
    pub ports: Vec<Port>,
    /// Publish the service's own ports, too.
    pub service_ports: bool,
    /// `-l`
    pub labels: Vec<(String, String)>,
    /// `-u`
    pub user: Option<String>,
    /// `-w`
    pub working_dir: Option<String>,
    /// `--name`
    pub name: Option<String>,
    /// `--cap-add`
    pub cap_add: Vec<String>,
    /// `--cap-drop`
    pub cap_drop: Vec<String>,
    /// A terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub interactive: bool,
    /// `--rm`
    pub auto_remove: bool,
    /// `--use-aliases`
    pub use_aliases: bool,
}

impl Overrides {
    /// The service as the one-off has it: its own name, no restarts, and the
    /// service's ports only where asked for, because its containers have them.
    pub fn apply(&self, service: &Service) -> Service {
        let mut service = service.clone();
        if let Some(entrypoint) = &self.entrypoint {
            service.entrypoint = Some(Argv(entrypoint.clone()));
            service.command = None;
        }
        if !self.command.is_empty() {
            service.command = Some(Argv(self.command.clone()));
        }
        for (key, value) in &self.environment {
            service.environment.0.insert(key.clone(), value.clone());
        }
        if !self.service_ports {
            service.ports.clear();
        }
        service.ports.extend(self.ports.iter().cloned());
        for mount in &self.volumes {
            service.volumes.retain(|other| other.target != mount.target);
            service.volumes.push(mount.clone());
        }
        for (key, value) in &self.labels {
            service.labels.0.insert(key.clone(), value.clone());
        }
        service.cap_drop.retain(|name| !self.cap_add.contains(name));
        service.cap_add.retain(|name| !self.cap_drop.contains(name));
        service.cap_add.extend(self.cap_add.iter().cloned());
        service.cap_drop.extend(self.cap_drop.iter().cloned());
        service.user = self.user.clone().or(service.user);
        service.working_dir = self.working_dir.clone().or(service.working_dir);
        service.tty = self.tty;
        service.stdin_open = self.interactive;
        service.container_name = None;
        service.restart = None;
        service.scale = None;
        if let Some(deploy) = &mut service.deploy {
            deploy.restart_policy = None;
            deploy.replicas = None;
        }
        service
    }
}
