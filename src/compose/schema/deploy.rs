//! `deploy`, `gpus` and what they share. Facts of the Compose specification.

use super::common::{INTEGER_OR_TEXT, LIST_OF_STRINGS, LIST_OR_DICT, NULL, NUMBER_OR_TEXT, TEXT};
use super::shape::{Object, Shape};

pub(super) const DEPLOYMENT: &Shape = &Shape::Either(&[NULL, DEPLOYMENT_MAPPING]);

pub(super) const DEPLOYMENT_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("endpoint_mode", TEXT),
        ("labels", LIST_OR_DICT),
        ("mode", TEXT),
        ("placement", PLACEMENT),
        ("replicas", INTEGER_OR_TEXT),
        ("resources", RESOURCES),
        ("restart_policy", RESTART_POLICY),
        ("rollback_config", UPDATE_CONFIG),
        ("update_config", UPDATE_CONFIG),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const UPDATE_CONFIG: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("delay", TEXT),
        ("failure_action", TEXT),
        ("max_failure_ratio", NUMBER_OR_TEXT),
        ("monitor", TEXT),
        ("order", &Shape::OneOf(&["start-first", "stop-first"])),
        ("parallelism", INTEGER_OR_TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const RESOURCES: &Shape = &Shape::Object(&Object {
    attributes: &[("limits", LIMITS), ("reservations", RESERVATIONS)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const LIMITS: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("cpus", NUMBER_OR_TEXT),
        ("memory", TEXT),
        ("pids", INTEGER_OR_TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const RESERVATIONS: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("cpus", NUMBER_OR_TEXT),
        ("devices", DEVICES),
        ("generic_resources", GENERIC_RESOURCES),
        ("memory", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const RESTART_POLICY: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("condition", TEXT),
        ("delay", TEXT),
        ("max_attempts", INTEGER_OR_TEXT),
        ("window", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const PLACEMENT: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("constraints", &Shape::List(TEXT)),
        ("max_replicas_per_node", INTEGER_OR_TEXT),
        ("preferences", &Shape::List(PLACEMENT_PREFERENCE)),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const PLACEMENT_PREFERENCE: &Shape = &Shape::Object(&Object {
    attributes: &[("spread", TEXT)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const DISCRETE_RESOURCE_SPEC: &Shape = &Shape::Object(&Object {
    attributes: &[("kind", TEXT), ("value", NUMBER_OR_TEXT)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const GENERIC_RESOURCE: &Shape = &Shape::Object(&Object {
    attributes: &[("discrete_resource_spec", DISCRETE_RESOURCE_SPEC)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const GENERIC_RESOURCES: &Shape = &Shape::List(GENERIC_RESOURCE);

pub(super) const DEVICE_REQUEST: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("capabilities", LIST_OF_STRINGS),
        ("count", INTEGER_OR_TEXT),
        ("device_ids", LIST_OF_STRINGS),
        ("driver", TEXT),
        ("options", LIST_OR_DICT),
    ],
    required: &["capabilities"],
    extensions: true,
    open: false,
});

pub(super) const DEVICES: &Shape = &Shape::List(DEVICE_REQUEST);

pub(super) const GPU_REQUEST: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("capabilities", LIST_OF_STRINGS),
        ("count", INTEGER_OR_TEXT),
        ("device_ids", LIST_OF_STRINGS),
        ("driver", TEXT),
        ("options", LIST_OR_DICT),
    ],
    required: &[],
    extensions: false,
    open: true,
});

pub(super) const GPUS: &Shape =
    &Shape::Either(&[&Shape::OneOf(&["all"]), &Shape::List(GPU_REQUEST)]);
