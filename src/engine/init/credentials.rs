//! Giving up privilege, in the order that works: credentials(7),
//! capabilities(7), seccomp(2).

use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;
use rustix::thread::{set_keep_capabilities, set_no_new_privs};

use super::error::{Step, StepResult, plain};
use super::identity::Identity;
use crate::engine::caps::{self, CapSet, CapsError, Sets};
use crate::engine::sys;

/// `CAP_SYS_ADMIN`, which a filter without `no_new_privs` needs.
const SYS_ADMIN: u32 = 21;

/// What [`drop_privileges`] needs of a process.
#[derive(Debug)]
pub(super) struct Credentials {
    sets: Sets,
    no_new_privileges: bool,
    filter: Option<Vec<u8>>,
}

impl Credentials {
    /// Reads the filter, so that no descriptor is needed later.
    pub(super) fn of(process: &Process, filter: Option<&OwnedFd>) -> StepResult<Self> {
        let filter = filter
            .map(|fd| super::read_all(std::os::fd::AsFd::as_fd(fd)))
            .transpose()
            .doing("read the seccomp filter")?;
        Ok(Self {
            sets: process
                .capabilities()
                .as_ref()
                .map(Sets::from_oci)
                .unwrap_or_default(),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            filter,
        })
    }

    /// Becomes the user with these capabilities and this filter. After it only
    /// an exec may follow: the filter is in force.
    ///
    /// `between` runs as the user, before the filter.
    pub(super) fn assume(
        &self,
        identity: &Identity,
        between: impl FnOnce() -> StepResult<()>,
    ) -> StepResult<()> {
        caps::limit_bounding(self.sets.bounding).map_err(|error| from_caps(&error))?;
        set_keep_capabilities(true).doing("keep capabilities over the change of user")?;
        identity.assume()?;
        set_keep_capabilities(false).doing("keep capabilities over the change of user")?;
        let mut sets = self.sets;
        if self.filter.is_some() && !self.no_new_privileges {
            // It goes with the exec: a program of root gets what the bounding
            // set has, one of another user only what is ambient.
            let admin: CapSet = std::iter::once(SYS_ADMIN).collect();
            sets.effective = sets.effective.with(admin);
            sets.permitted = sets.permitted.with(admin);
        }
        caps::apply(&sets).map_err(|error| from_caps(&error))?;
        between()?;
        if self.no_new_privileges {
            set_no_new_privs(true).doing("set no_new_privs")?;
        }
        if let Some(filter) = &self.filter {
            sys::set_seccomp_filter(filter).doing("install the seccomp filter")?;
        }
        Ok(())
    }
}

fn from_caps(error: &CapsError) -> crate::engine::spec::InitError {
    let why = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    plain("set capabilities", error, why)
}
