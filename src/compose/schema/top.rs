//! The top level: `include`, networks, volumes, configs, secrets, models. Facts of the Compose specification.

use super::common::{
    BOOL_OR_TEXT, EXTERNAL, EXTERNAL_OPEN, INTEGER, LIST_OR_DICT, NULL, NUMBER_OR_TEXT,
    STRING_OR_LIST, TEXT,
};
use super::service::SERVICE;
use super::shape::{Names, Object, Shape};

pub(super) const TOP: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("configs", &Shape::Map(Names::Resource, CONFIG)),
        ("include", &Shape::List(INCLUDE)),
        ("models", &Shape::Map(Names::ResourceOrUnseen, MODEL)),
        ("name", TEXT),
        ("networks", &Shape::Map(Names::ResourceOrUnseen, NETWORK)),
        ("secrets", &Shape::Map(Names::Resource, SECRET)),
        ("services", &Shape::Map(Names::Resource, SERVICE)),
        ("version", TEXT),
        ("volumes", &Shape::Map(Names::Resource, VOLUME)),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const INCLUDE_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("env_file", STRING_OR_LIST),
        ("path", STRING_OR_LIST),
        ("project_directory", TEXT),
    ],
    required: &[],
    extensions: false,
    open: false,
});

pub(super) const INCLUDE: &Shape = &Shape::Either(&[TEXT, INCLUDE_MAPPING]);

pub(super) const IPAM_POOL: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("aux_addresses", &Shape::Map(Names::Any, TEXT)),
        ("gateway", TEXT),
        ("ip_range", TEXT),
        ("subnet", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const IPAM: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("config", &Shape::List(IPAM_POOL)),
        ("driver", TEXT),
        ("options", &Shape::Map(Names::Any, TEXT)),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const NETWORK_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("attachable", BOOL_OR_TEXT),
        ("driver", TEXT),
        (
            "driver_opts",
            &Shape::Map(Names::AnyOrUnseen, NUMBER_OR_TEXT),
        ),
        ("enable_ipv4", BOOL_OR_TEXT),
        ("enable_ipv6", BOOL_OR_TEXT),
        ("external", &Shape::Either(&[BOOL_OR_TEXT, EXTERNAL])),
        ("internal", BOOL_OR_TEXT),
        ("ipam", IPAM),
        ("labels", LIST_OR_DICT),
        ("name", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const NETWORK: &Shape = &Shape::Either(&[NULL, NETWORK_MAPPING]);

pub(super) const VOLUME_MAPPING: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("driver", TEXT),
        (
            "driver_opts",
            &Shape::Map(Names::AnyOrUnseen, NUMBER_OR_TEXT),
        ),
        ("external", &Shape::Either(&[BOOL_OR_TEXT, EXTERNAL])),
        ("labels", LIST_OR_DICT),
        ("name", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const VOLUME: &Shape = &Shape::Either(&[NULL, VOLUME_MAPPING]);

pub(super) const SECRET: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("driver", TEXT),
        (
            "driver_opts",
            &Shape::Map(Names::AnyOrUnseen, NUMBER_OR_TEXT),
        ),
        ("environment", TEXT),
        ("external", &Shape::Either(&[BOOL_OR_TEXT, EXTERNAL_OPEN])),
        ("file", TEXT),
        ("labels", LIST_OR_DICT),
        ("name", TEXT),
        ("template_driver", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const CONFIG: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("content", TEXT),
        ("environment", TEXT),
        ("external", &Shape::Either(&[BOOL_OR_TEXT, EXTERNAL_OPEN])),
        ("file", TEXT),
        ("labels", LIST_OR_DICT),
        ("name", TEXT),
        ("template_driver", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});

pub(super) const MODEL: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("context_size", INTEGER),
        ("model", TEXT),
        ("name", TEXT),
        ("runtime_flags", &Shape::List(TEXT)),
    ],
    required: &["model"],
    extensions: true,
    open: false,
});
