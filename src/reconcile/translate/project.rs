//! From the Compose model to what the planner wants to know of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::compose::{self, Network, Project, Service, Volume};
use crate::net::spec::{NetworkSpec, PoolSpec};

use super::super::desired::{
    Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume, Gate, VolumeSpec,
};
use super::identity::{Contents, Identity};
use super::names::{self, Separator};

/// The image that a service runs: `image:`, or the name of what it builds.
pub fn image_name(project: &Project, name: &str, service: &Service) -> String {
    service
        .image
        .clone()
        .unwrap_or_else(|| names::built_image(project, name))
}

/// Projects the model. `images` has the ids of the images that are here, by
/// service; `contents` those of configs and secrets. Both may be empty where
/// only names and edges matter.
pub fn desired(
    project: &Project,
    images: &BTreeMap<String, String>,
    contents: &Contents,
) -> Desired {
    let services = project
        .services
        .iter()
        .map(|(name, service)| {
            (
                name.clone(),
                desired_service(project, name, service, images.get(name), contents),
            )
        })
        .collect();
    let networks = project
        .networks
        .iter()
        .map(|(key, network)| {
            let spec = network_spec(project, key, network);
            let external = network.external;
            (spec.name.clone(), DesiredNetwork { spec, external })
        })
        .collect();
    let volumes = project
        .volumes
        .iter()
        .map(|(key, volume)| {
            let spec = volume_spec(project, key, volume);
            let external = volume.external;
            (spec.name.clone(), DesiredVolume { spec, external })
        })
        .chain(undeclared_volumes(project))
        .collect();
    Desired {
        project: project.name.clone(),
        separator: Separator::of(project),
        services,
        disabled: project.disabled_services.keys().cloned().collect(),
        networks,
        volumes,
    }
}

fn desired_service(
    project: &Project,
    name: &str,
    service: &Service,
    image_id: Option<&String>,
    contents: &Contents,
) -> DesiredService {
    let identity = Identity::of(service, contents);
    let networks = if service.network_mode.is_some() {
        Vec::new()
    } else {
        service
            .networks
            .keys()
            .map(|key| network_name(project, key))
            .collect()
    };
    let volumes = service
        .volumes
        .iter()
        .filter(|mount| mount.kind == compose::MountKind::Volume)
        .filter_map(|mount| mount.source.as_ref())
        .map(|key| volume_name(project, key))
        .collect();
    DesiredService {
        name: name.to_owned(),
        replicas: service.replicas(),
        container_name: service.container_name.clone(),
        config_hash: identity.hash,
        canonical: identity.canonical,
        image: image_name(project, name, service),
        image_id: image_id.cloned(),
        depends_on: dependencies(service),
        joins: joined_service(service)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        networks,
        volumes,
    }
}

/// Volumes that only the command line names (`run -v NAME:/x`): made under just
/// that name and without labels, so that no project takes them along when it goes.
fn undeclared_volumes(project: &Project) -> impl Iterator<Item = (String, DesiredVolume)> {
    let mounts = project.services.values().flat_map(|one| &one.volumes);
    mounts
        .filter(|mount| mount.kind == compose::MountKind::Volume)
        .filter_map(|mount| mount.source.as_ref())
        .filter(|key| !key.is_empty() && !project.volumes.contains_key(*key))
        .map(|name| {
            let spec = VolumeSpec {
                name: name.clone(),
                driver: "local".to_owned(),
                ..VolumeSpec::default()
            };
            let external = false;
            (name.clone(), DesiredVolume { spec, external })
        })
}

/// `depends_on`, as its label has it.
pub fn explicit_dependencies(service: &Service) -> Vec<Dependency> {
    service
        .depends_on
        .iter()
        .map(|(name, dependency)| Dependency {
            service: name.clone(),
            gate: match dependency.condition {
                compose::Condition::Started => Gate::Started,
                compose::Condition::Healthy => Gate::Healthy,
                compose::Condition::CompletedSuccessfully => Gate::Completed,
            },
            restart: dependency.restart,
            required: dependency.required,
        })
        .collect()
}

/// `depends_on`, and what links and joined namespaces imply.
fn dependencies(service: &Service) -> Vec<Dependency> {
    let mut list = explicit_dependencies(service);
    let links = service
        .links
        .iter()
        .map(|link| link.split(':').next().unwrap_or(link));
    for name in links.chain(joined_service(service)) {
        if !list.iter().any(|dependency| dependency.service == name) {
            list.push(Dependency {
                service: name.to_owned(),
                gate: Gate::Started,
                restart: false,
                required: true,
            });
        }
    }
    list
}

/// The service whose network it shares.
pub(super) fn joined_service(service: &Service) -> Option<&str> {
    service
        .network_mode
        .as_deref()
        .and_then(|mode| mode.strip_prefix("service:"))
}

/// Full name of one of the project's networks.
pub(in super::super) fn network_name(project: &Project, key: &str) -> String {
    project
        .networks
        .get(key)
        .and_then(|network| network.name.clone())
        .unwrap_or_else(|| format!("{}_{key}", project.name))
}

/// Full name of a volume: the project's where it declares one, else as given.
pub(in super::super) fn volume_name(project: &Project, key: &str) -> String {
    match project.volumes.get(key) {
        Some(volume) => volume
            .name
            .clone()
            .unwrap_or_else(|| format!("{}_{key}", project.name)),
        None => key.to_owned(),
    }
}

/// A network as `net` wants it.
pub(in super::super) fn network_spec(
    project: &Project,
    key: &str,
    network: &Network,
) -> NetworkSpec {
    let address = |text: &String| text.parse::<IpAddr>().ok();
    let pools = network
        .ipam
        .config
        .iter()
        .map(|pool| PoolSpec {
            subnet: pool.subnet.clone(),
            ip_range: pool.ip_range.clone(),
            gateway: pool.gateway.as_ref().and_then(address),
            reserved: pool.aux_addresses.values().filter_map(address).collect(),
        })
        .collect();
    NetworkSpec {
        name: network_name(project, key),
        driver: network
            .driver
            .clone()
            .unwrap_or_else(|| "bridge".to_owned()),
        driver_opts: plain(&network.driver_opts),
        pools,
        internal: network.internal,
        ipv6: network.enable_ipv6.unwrap_or(false),
        ipv4: network.enable_ipv4.unwrap_or(true),
        labels: resource_labels(project, names::LABEL_NETWORK, key, plain(&network.labels)),
    }
}

fn volume_spec(project: &Project, key: &str, volume: &Volume) -> VolumeSpec {
    VolumeSpec {
        name: volume_name(project, key),
        driver: volume.driver.clone().unwrap_or_else(|| "local".to_owned()),
        driver_opts: plain(&volume.driver_opts),
        labels: resource_labels(project, names::LABEL_VOLUME, key, plain(&volume.labels)),
    }
}

fn plain(map: &indexmap::IndexMap<String, String>) -> BTreeMap<String, String> {
    map.iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn resource_labels(
    project: &Project,
    kind: &str,
    key: &str,
    mut labels: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    labels.insert(names::LABEL_PROJECT.to_owned(), project.name.clone());
    labels.insert(kind.to_owned(), key.to_owned());
    labels.insert(
        names::LABEL_VERSION.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    labels
}

/// Whether a network names an IPv6 subnet and has no IPv6: Docker has a
/// container start without its `ipv6_address` then.
pub(in crate::reconcile) fn ignores_ipv6(network: &Network) -> bool {
    let mut subnets = network
        .ipam
        .config
        .iter()
        .filter_map(|pool| pool.subnet.as_deref());
    network.enable_ipv6 != Some(true) && subnets.any(|text| text.contains(':'))
}
