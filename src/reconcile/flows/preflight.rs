//! What is tried before the first operation, so that nothing is started where
//! something could not be: the published ports.

use std::collections::BTreeMap;

use crate::net::ports;
use crate::net::spec::PortSpec;
use crate::supervise::record::ContainerRecord;

use super::super::observe::Sight;
use super::super::plan::{Op, Plan, Target};
use super::super::session::{ReconcileError, Session};

/// Binds every port that the plan's starts will publish, and lets go of them.
/// Those that the project's own containers hold are left out: a recreation
/// frees them first, and a conflict among them shows at the start.
///
/// # Errors
/// The first port that cannot be had, with its holder.
pub(super) fn published_ports(
    session: &Session<'_>,
    plan: &Plan,
    records: &BTreeMap<String, ContainerRecord>,
    sight: &Sight,
) -> Result<(), ReconcileError> {
    let own: Vec<(u16, _)> = sight
        .views
        .iter()
        .filter(|view| view.is_live())
        .filter_map(|view| view.run.as_ref())
        .flat_map(|run| &run.ports)
        .map(|port| (port.host_port, port.protocol))
        .collect();
    for (_, step) in plan.steps() {
        let Op::StartContainer { target } = &step.op else {
            continue;
        };
        let Some(record) = record_of(target, records, sight) else {
            continue;
        };
        let wanted: Vec<PortSpec> = record
            .launch
            .ports
            .iter()
            .filter(|port| !own.contains(&(port.host_port, port.protocol)))
            .cloned()
            .collect();
        ports::bind(session.layout, &wanted).map_err(|source| ReconcileError::Port {
            service: target.service.clone(),
            source,
        })?;
    }
    Ok(())
}

fn record_of<'a>(
    target: &Target,
    records: &'a BTreeMap<String, ContainerRecord>,
    sight: &'a Sight,
) -> Option<&'a ContainerRecord> {
    records.get(&target.name).or_else(|| {
        sight
            .views
            .iter()
            .map(|view| &view.record)
            .find(|record| record.name == target.name)
    })
}
