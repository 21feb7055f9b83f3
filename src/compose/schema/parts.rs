//! The mappings inside of a service. Facts of the Compose specification.

use super::common::{
    BOOL, BOOL_OR_NUMBER_OR_TEXT, BOOL_OR_TEXT, COMMAND, EXTRA_HOSTS, FILE_MOUNTS, INTEGER_OR_TEXT,
    LIST_OF_STRINGS, LIST_OR_DICT, NULL, NULL_OR_NUMBER_OR_TEXT, NUMBER, NUMBER_OR_TEXT,
    SERVICE_HOOK, STRING_OR_LIST, TEXT, ULIMITS,
};
use super::shape::{Names, Object, Shape};

pub(super) const BUILD: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("additional_contexts", LIST_OR_DICT),
        ("args", LIST_OR_DICT),
        ("cache_from", &Shape::List(TEXT)),
        ("cache_to", &Shape::List(TEXT)),
        ("context", TEXT),
        ("dockerfile", TEXT),
        ("dockerfile_inline", TEXT),
        ("entitlements", &Shape::List(TEXT)),
        ("extra_hosts", EXTRA_HOSTS),
        ("isolation", TEXT),
        ("labels", LIST_OR_DICT),
        ("network", TEXT),
        ("no_cache", BOOL_OR_TEXT),
        ("no_cache_filter", STRING_OR_LIST),
        ("platforms", &Shape::List(TEXT)),
        ("privileged", BOOL_OR_TEXT),
        ("provenance", BOOL_OR_TEXT),
        ("pull", BOOL_OR_TEXT),
        ("sbom", BOOL_OR_TEXT),
        ("secrets", FILE_MOUNTS),
        ("shm_size", INTEGER_OR_TEXT),
        ("ssh", LIST_OR_DICT),
        ("tags", &Shape::List(TEXT)),
        ("target", TEXT),
        ("ulimits", ULIMITS),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const BLKIO_CONFIG: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("device_read_bps", &Shape::List(BLKIO_LIMIT)),
        ("device_read_iops", &Shape::List(BLKIO_LIMIT)),
        ("device_write_bps", &Shape::List(BLKIO_LIMIT)),
        ("device_write_iops", &Shape::List(BLKIO_LIMIT)),
        ("weight", INTEGER_OR_TEXT),
        ("weight_device", &Shape::List(BLKIO_WEIGHT)),
    ],
    required: &[],
    extensions: false,
    open: false,
});

pub(super) const CREDENTIAL_SPEC: &Shape = &Shape::Object(&Object {
    attributes: &[("config", TEXT), ("file", TEXT), ("registry", TEXT)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const DEPENDENCY: &Shape = &Shape::Object(&Object {
    attributes: &[
        (
            "condition",
            &Shape::OneOf(&[
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]),
        ),
        ("required", BOOL),
        ("restart", BOOL_OR_TEXT),
    ],
    required: &["condition"],
    extensions: true,
    open: false,
});

pub(super) const DEVICE: &Shape = &Shape::Object(&Object {
    attributes: &[("permissions", TEXT), ("source", TEXT), ("target", TEXT)],
    required: &["source"],
    extensions: true,
    open: false,
});

pub(super) const EXTENDS: &Shape = &Shape::Object(&Object {
    attributes: &[("file", TEXT), ("service", TEXT)],
    required: &["service"],
    extensions: false,
    open: false,
});

pub(super) const PROVIDER: &Shape = &Shape::Object(&Object {
    attributes: &[
        (
            "options",
            &Shape::Map(
                Names::AnyOrUnseen,
                &Shape::Either(&[BOOL_OR_NUMBER_OR_TEXT, &Shape::List(BOOL_OR_NUMBER_OR_TEXT)]),
            ),
        ),
        ("type", TEXT),
    ],
    required: &["type"],
    extensions: true,
    open: false,
});

pub(super) const LOGGING: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("driver", TEXT),
        (
            "options",
            &Shape::Map(Names::AnyOrUnseen, NULL_OR_NUMBER_OR_TEXT),
        ),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const SERVICE_MODEL: &Shape = &Shape::Object(&Object {
    attributes: &[("endpoint_var", TEXT), ("model_var", TEXT)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const SERVICE_NETWORK: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("aliases", LIST_OF_STRINGS),
        (
            "driver_opts",
            &Shape::Map(Names::AnyOrUnseen, NUMBER_OR_TEXT),
        ),
        ("gw_priority", NUMBER),
        ("interface_name", TEXT),
        ("ipv4_address", TEXT),
        ("ipv6_address", TEXT),
        ("link_local_ips", LIST_OF_STRINGS),
        ("mac_address", TEXT),
        ("priority", NUMBER),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const PORT: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("app_protocol", TEXT),
        ("host_ip", TEXT),
        ("mode", TEXT),
        ("name", TEXT),
        ("protocol", TEXT),
        ("published", INTEGER_OR_TEXT),
        ("target", INTEGER_OR_TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MOUNT_BIND: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("create_host_path", BOOL_OR_TEXT),
        ("propagation", TEXT),
        (
            "recursive",
            &Shape::OneOf(&["enabled", "disabled", "writable", "readonly"]),
        ),
        ("selinux", &Shape::OneOf(&["z", "Z"])),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MOUNT_VOLUME: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("labels", LIST_OR_DICT),
        ("nocopy", BOOL_OR_TEXT),
        ("subpath", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MOUNT_TMPFS: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("mode", NUMBER_OR_TEXT),
        ("size", &Shape::Either(&[&Shape::Range(0, i128::MAX), TEXT])),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MOUNT_IMAGE: &Shape = &Shape::Object(&Object {
    attributes: &[("subpath", TEXT)],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MOUNT: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("bind", MOUNT_BIND),
        ("consistency", TEXT),
        ("image", MOUNT_IMAGE),
        ("read_only", BOOL_OR_TEXT),
        ("source", TEXT),
        ("target", TEXT),
        ("tmpfs", MOUNT_TMPFS),
        (
            "type",
            &Shape::OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
        ),
        ("volume", MOUNT_VOLUME),
    ],
    required: &["type"],
    extensions: true,
    open: false,
});

pub(super) const HEALTHCHECK: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("disable", BOOL_OR_TEXT),
        ("interval", TEXT),
        ("retries", NUMBER_OR_TEXT),
        ("start_interval", TEXT),
        ("start_period", TEXT),
        ("test", &Shape::Either(&[TEXT, &Shape::List(TEXT)])),
        ("timeout", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const WATCH: &Shape = &Shape::Object(&Object {
    attributes: &[
        (
            "action",
            &Shape::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
        ),
        ("exec", SERVICE_HOOK),
        ("ignore", STRING_OR_LIST),
        ("include", STRING_OR_LIST),
        ("initial_sync", BOOL),
        ("path", TEXT),
        ("target", TEXT),
    ],
    required: &["path", "action"],
    extensions: true,
    open: false,
});

pub(super) const DEVELOPMENT_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[("watch", &Shape::List(WATCH))],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const DEVELOPMENT: &Shape = &Shape::Either(&[NULL, DEVELOPMENT_MAPPING]);

pub(super) const PRE_START_HOOK: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("command", COMMAND),
        ("environment", LIST_OR_DICT),
        ("image", TEXT),
        ("per_replica", BOOL_OR_TEXT),
        ("privileged", BOOL_OR_TEXT),
        ("user", TEXT),
        ("working_dir", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const ENV_FILE_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[("format", TEXT), ("path", TEXT), ("required", BOOL_OR_TEXT)],
    required: &["path"],
    extensions: false,
    open: false,
});

pub(super) const ENV_FILE: &Shape = &Shape::Either(&[
    TEXT,
    &Shape::List(&Shape::Either(&[TEXT, ENV_FILE_MAPPING])),
]);

pub(super) const BLKIO_LIMIT: &Shape = &Shape::Object(&Object {
    attributes: &[("path", TEXT), ("rate", INTEGER_OR_TEXT)],
    required: &[],
    extensions: false,
    open: false,
});

pub(super) const BLKIO_WEIGHT: &Shape = &Shape::Object(&Object {
    attributes: &[("path", TEXT), ("weight", INTEGER_OR_TEXT)],
    required: &[],
    extensions: false,
    open: false,
});
