//! From a Dockerfile and options to a plan: which steps there are, what each
//! needs, and the config of the image that comes out. Pure: nothing is read,
//! nothing is run.

mod step;

pub use step::*;

use crate::image::ConfigFile;

/// What has to be done for a target, and what comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Each behind those that it needs; only those that the target needs.
    pub steps: Vec<Step>,
    /// The step whose files are the image's; `None` is an image without a file.
    pub result: Root,
    /// The result's config: all but its `rootfs` and `created`, which follow from the
    /// layers. Its history has the base's entries first; those that are not
    /// `empty_layer` are as many as the base's layers and the steps on the way from
    /// it to the result.
    pub config: ConfigFile,
    /// A `CMD` was given: `ArgsEscaped` is set as `BuildKit` sets it.
    pub has_escaped_args: bool,
    /// Seconds since 1970 that all times of the result are (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}
