//! What a service uses of the project's resources, and amounts that contradict
//! each other.

use super::super::model::{Mount, MountKind, Service};
use super::Checker;

impl Checker<'_> {
    pub(super) fn resources(&mut self, path: &str, service: &Service) {
        let project = self.project;
        for (index, mount) in service.volumes.iter().enumerate() {
            let path = format!("{path}.volumes[{index}]");
            if self.report.is_broken(&path) {
                continue;
            }
            let Mount { kind, source, .. } = mount;
            if let (MountKind::Volume, Some(name)) = (kind, source)
                && !project.volumes.contains_key(name)
            {
                self.undefined(&path, ("volume", "volumes"), name, project.volumes.keys());
            }
        }
        for (index, config) in service.configs.iter().enumerate() {
            let Some(name) = config.source.as_deref() else {
                self.sourceless(&format!("{path}.configs[{index}]"), "config");
                continue;
            };
            if !project.configs.contains_key(name) {
                let path = format!("{path}.configs[{index}]");
                self.undefined(&path, ("config", "configs"), name, project.configs.keys());
            }
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let Some(name) = secret.source.as_deref() else {
                self.sourceless(&format!("{path}.secrets[{index}]"), "secret");
                continue;
            };
            if !project.secrets.contains_key(name) {
                let path = format!("{path}.secrets[{index}]");
                self.undefined(&path, ("secret", "secrets"), name, project.secrets.keys());
            }
        }
        for name in service.models.keys() {
            if !project.models.contains_key(name) {
                let path = format!("{path}.models.{name}");
                self.undefined(&path, ("model", "models"), name, project.models.keys());
            }
        }
    }

    /// Amounts that can be said in two places must be the same in both.
    pub(super) fn amounts(&mut self, path: &str, service: &Service) {
        let Some(deploy) = &service.deploy else {
            return;
        };
        let limits = deploy.resources.limits.as_ref();
        let reservations = deploy.resources.reservations.as_ref();
        let mut differ = |here: &str, there: &str, differs: bool| {
            if differs {
                let message = format!("`{here}` and `deploy.resources.{there}` differ");
                let there = format!("{path}.deploy.resources.{there}");
                self.clash(&format!("{path}.{here}"), &there, message);
            }
        };
        if let Some(limits) = limits {
            // Single precision, as the reference compares them.
            #[expect(clippy::cast_possible_truncation, reason = "a number of processors")]
            let same = (limits.cpus as f32).to_bits() == (service.cpus as f32).to_bits();
            differ("cpus", "limits.cpus", service.cpus != 0.0 && !same);
            let memory = service.mem_limit.is_some() && service.mem_limit != limits.memory;
            differ("mem_limit", "limits.memory", memory);
            let pids = service.pids_limit != 0 && service.pids_limit != limits.pids;
            differ("pids_limit", "limits.pids", pids);
        }
        if let Some(reservations) = reservations {
            let memory =
                service.mem_reservation.is_some() && service.mem_reservation != reservations.memory;
            differ("mem_reservation", "reservations.memory", memory);
        }
    }

    pub(super) fn scale(&mut self, path: &str, service: &Service) {
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            self.clash(
                &format!("{path}.scale"),
                &format!("{path}.deploy.replicas"),
                "`scale` and `deploy.replicas` differ",
            );
        }
        for (attribute, count) in [("scale", service.scale), ("deploy.replicas", replicas)] {
            if count.is_some_and(|count| count < 0) {
                let path = format!("{path}.{attribute}");
                let diagnostic = self
                    .at(&path, "a number of containers cannot be negative")
                    .expected("a whole number from 0");
                self.report.push(diagnostic);
            }
        }
        if service.replicas() > 1 && service.container_name.is_some() {
            let path = format!("{path}.container_name");
            let count = service.replicas();
            let mut diagnostic = self
                .at(&path, format!("{count} containers cannot have one name"))
                .suggest("remove `container_name`, or run one container alone");
            let base = path.trim_end_matches(".container_name").to_owned();
            let places = ["scale", "deploy.replicas"].map(|key| (key, format!("{base}.{key}")));
            let number = places
                .iter()
                .find(|(_, place)| self.tree.lookup(place).is_some());
            if let Some((key, place)) = number {
                let mark = self.mark(place);
                self.report
                    .also(&mut diagnostic, &format!("`{key}` is"), mark);
            }
            self.report.push(diagnostic);
        }
    }
}
