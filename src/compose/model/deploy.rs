//! `deploy`: the Compose Deploy Specification, and the device requests that it
//! shares with `gpus`.

use super::record::{Cx, Emit, Form, Parse, record};
use super::{Labels, Shown, shown};
use crate::compose::printed::Printed;
use crate::compose::tree::{Node, Value};
use crate::compose::units::{Bytes, Period, PeriodOrZero};

record! {
    /// How a service is deployed.
    Deploy {
        /// `replicated`, `global`, `replicated-job`, `global-job`.
        mode: Option<String>,
        /// How many containers.
        replicas: Option<i64>,
        /// Labels of the service (not of its containers).
        labels: Labels,
        /// How updates go.
        update_config: Option<UpdateConfig>,
        /// How rollbacks go.
        rollback_config: Option<UpdateConfig>,
        /// Limits and reservations.
        resources: Resources,
        /// When containers are started again.
        restart_policy: Option<RestartCondition>,
        /// On which nodes.
        placement: Placement,
        /// `vip` or `dnsrr`.
        endpoint_mode: Option<String>,
    }
}

record! {
    /// How a service is updated or rolled back.
    UpdateConfig {
        /// Containers at a time.
        parallelism: Option<u64>,
        /// Wait between two groups.
        delay: PeriodOrZero,
        /// `continue`, `rollback`, `pause`.
        failure_action: Option<String>,
        /// How long a container is watched after its start.
        monitor: PeriodOrZero,
        /// Share of failures that is borne.
        max_failure_ratio: f64,
        /// `start-first` or `stop-first`.
        order: Option<String>,
    }
}

record! {
    /// Limits and reservations.
    Resources {
        /// The most a container may take.
        limits: Option<Resource>,
        /// What a container is assured of.
        reservations: Option<Resource>,
    }
}

record! {
    /// Amounts of resources; limits have `pids`, reservations have `devices`
    /// and `generic_resources`.
    Resource {
        /// Processors; 0 when absent.
        cpus: f64,
        /// Memory.
        memory: Option<Bytes>,
        /// Processes; 0 when absent.
        pids: i64,
        /// Devices.
        devices: Vec<DeviceRequest>,
        /// Resources that the user defined.
        generic_resources: Vec<GenericResource>,
    }
}

record! {
    /// A request for devices, usually GPUs.
    DeviceRequest {
        /// Capabilities, `gpu` for example.
        capabilities: Vec<String>,
        /// Driver.
        driver: Option<String>,
        /// How many; -1 for all.
        count: Option<DeviceCount>,
        /// Which ones.
        device_ids: Vec<String>,
        /// Driver options.
        options: DeviceOptions,
    }
}

/// Options of a device request.
type DeviceOptions = Labels;

/// A number of devices, -1 for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceCount(pub i64);

impl Parse for DeviceCount {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let count = match &node.value {
            Value::Int(value) => i64::try_from(*value).ok(),
            Value::Str(text) if text.eq_ignore_ascii_case("all") => Some(-1),
            Value::Str(text) => text.parse().ok(),
            _ => None,
        };
        match count {
            Some(count) => Some(Self(count)),
            None => cx.fail(node, shown(node, "is not a count"), "a number or `all`"),
        }
    }

    fn is_unset(&self) -> bool {
        self.0 == 0
    }
}

impl Emit for DeviceCount {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(self.0)
    }
}

record! {
    /// A resource that the user defined.
    GenericResource {
        /// Counted in whole numbers.
        discrete_resource_spec: Option<DiscreteResource>,
    }
}

record! {
    /// Kind and number of a resource.
    DiscreteResource {
        /// Its name.
        kind: Shown<String>,
        /// How many.
        value: Shown<i64>,
    }
}

record! {
    /// `deploy.restart_policy`.
    RestartCondition {
        /// `none`, `on-failure`, `any`.
        condition: Option<String>,
        /// Wait before a restart.
        delay: Option<Period>,
        /// Most restarts.
        max_attempts: Option<u64>,
        /// How long a start is watched.
        window: Option<Period>,
    }
}

record! {
    /// Where containers go.
    Placement {
        /// Conditions.
        constraints: Vec<String>,
        /// Strategies.
        preferences: Vec<PlacementPreference>,
        /// Most containers on one node; 0 when absent.
        max_replicas_per_node: u64,
    }
}

record! {
    /// A strategy of placement.
    PlacementPreference {
        /// Spread over the values of this label.
        spread: Option<String>,
    }
}
