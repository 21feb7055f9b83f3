//! From a Compose project to what runs: observe, plan, execute.
//!
//! [`planner`] is pure and makes a [`plan::Plan`] from [`desired::Desired`] and
//! [`observed::Observed`]; [`executor`] walks it over a [`backend::Backend`].
//! [`translate`] turns a service into a container's record.

pub mod backend;
pub mod cancel;
pub mod desired;
pub mod diff;
pub mod executor;
pub mod observed;
pub mod plan;
pub mod planner;
pub mod translate;
pub mod words;
