//! Which services a command about images is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::Project;

use super::planner::{PlanError, select};
use super::translate::identity::Contents;
use super::translate::project;

/// The named services, all where none is named; with what they depend on, where that
/// is wanted.
///
/// # Errors
/// An unknown service, with the nearest known one.
pub(super) fn services(
    declared: &Project,
    named: &[String],
    with_dependencies: bool,
) -> Result<BTreeSet<String>, PlanError> {
    let known = declared.services.keys();
    select::check_names(named, known.clone().map(String::as_str))?;
    Ok(if named.is_empty() {
        known.cloned().collect()
    } else if with_dependencies {
        let desired = project::desired(declared, &BTreeMap::new(), &Contents::default());
        select::with_dependencies(named, &select::edges_of_desired(&desired))
    } else {
        named.iter().cloned().collect()
    })
}
