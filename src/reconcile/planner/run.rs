//! `run`: what a one-off needs before it is created.

use super::super::desired::Desired;
use super::super::observed::Observed;
use super::super::plan::{Plan, Target};
use super::PlanError;
use super::up::{UpChoices, plan_services};

/// Plans the networks and volumes of a one-off, its service's dependencies
/// (unless `no_deps`) with their gates, and its creation. It is not started
/// here: whoever runs it wants its streams first. The service's own containers
/// are left alone.
pub fn plan_run(
    desired: &Desired,
    observed: &Observed,
    oneoff: &Target,
    choices: &UpChoices,
) -> Result<Plan, PlanError> {
    let choices = UpChoices {
        services: vec![oneoff.service.clone()],
        ..choices.clone()
    };
    plan_services(desired, observed, &choices, Some(oneoff))
}
