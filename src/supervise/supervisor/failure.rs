//! Errors of the other layers as [`Failure`]s: one text with all causes, and a
//! hint where there is one.

use std::error::Error;

use crate::causes::with_causes;
use crate::engine::cgroup::CgroupError;
use crate::net::NetError;
use crate::net::ports::PortError;
use crate::supervise::wire::Failure;

/// Any error.
pub(super) fn other(error: &dyn Error) -> Failure {
    Failure::Other {
        message: with_causes(error),
        hint: None,
    }
}

/// A text.
pub(super) fn text(message: impl Into<String>) -> Failure {
    Failure::Other {
        message: message.into(),
        hint: None,
    }
}

/// An error of a network.
#[expect(
    clippy::needless_pass_by_value,
    reason = "called by `map_err`, which has it by value"
)]
pub(super) fn net(error: NetError) -> Failure {
    let (message, hint) = (with_causes(&error), error.hint());
    match error {
        NetError::AddressTaken { address, .. } | NetError::AddressOutside { address, .. } => {
            Failure::Address {
                address,
                message,
                hint,
            }
        }
        _ => Failure::Other { message, hint },
    }
}

/// An error of a control group.
#[expect(
    clippy::needless_pass_by_value,
    reason = "called by `map_err`, which has it by value"
)]
pub(super) fn cgroup(error: CgroupError) -> Failure {
    let (message, hint) = (with_causes(&error), error.hint());
    match error.limit() {
        Some(limit) => Failure::Limit {
            limit: limit.to_owned(),
            message,
            hint,
        },
        None => Failure::Other { message, hint },
    }
}

/// An error of a published port.
pub(super) fn port(error: PortError) -> Failure {
    match error {
        PortError::Taken { address, holder } => Failure::PortTaken { address, holder },
        error @ (PortError::NoAddress { .. } | PortError::Failed { .. }) => other(&error),
    }
}
