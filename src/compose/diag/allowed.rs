//! What the reference implementation refuses, and skiff with it, though the Compose
//! Specification allows it: the refusal says so.
//!
//! Found by comparing each refusal with the specification's text and schema
//! (compose-spec/compose-spec, June 2026). What neither of them speaks of, or what
//! would mean nothing (a port without a target), is not here.

/// Such a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// `::1:6000:6000`.
    BareIpv6,
    /// `80:80/icmp`.
    Protocol,
    /// `{driver: vault}` of a secret, `{template_driver: golang}` of a config.
    NoSource,
    /// A device's long form without `target`.
    DeviceTarget,
    /// An action of `develop.watch` without `target`.
    WatchTarget,
    /// `"300"`, where a number is read.
    NumberInQuotes,
    /// `2024-05-01`.
    Date,
    /// `%YAML 1.2`.
    YamlVersion,
    /// `[a?b]`.
    FlowScalar,
    /// `"\/"`.
    EscapedSlash,
    /// A tab before a comment.
    TabBeforeNothing,
    /// `{a: !reset}`.
    CrowdedTag,
    /// Two services of one name in a chain of `extends`.
    SameName,
}

/// Where the specification allows it, and what it says there.
const TABLE: [(Allowed, &str, &str); 13] = [
    (
        Allowed::BareIpv6,
        "services, ports",
        "an IPv6 address can be, but need not be in brackets",
    ),
    (
        Allowed::Protocol,
        "services, ports",
        "a platform may have protocols of its own",
    ),
    (
        Allowed::NoSource,
        "the schema of secrets and configs",
        "none of the sources is required",
    ),
    (
        Allowed::DeviceTarget,
        "the schema of devices",
        "`source` alone is required",
    ),
    (
        Allowed::WatchTarget,
        "the schema of develop",
        "`path` and `action` alone are required",
    ),
    (
        Allowed::NumberInQuotes,
        "the schema of this attribute",
        "it may be a string",
    ),
    (
        Allowed::Date,
        "fragments, by way of YAML 1.2",
        "there are no dates, this is a text",
    ),
    (
        Allowed::YamlVersion,
        "fragments, by way of YAML 1.2",
        "a file may name that version",
    ),
    (
        Allowed::FlowScalar,
        "fragments, by way of YAML 1.2",
        "such a value needs no quotes in brackets",
    ),
    (
        Allowed::EscapedSlash,
        "fragments, by way of YAML 1.2",
        "in double quotes it is a slash",
    ),
    (
        Allowed::TabBeforeNothing,
        "fragments, by way of YAML 1.2",
        "tabs may stand in a line without content",
    ),
    (
        Allowed::CrowdedTag,
        "fragments, by way of YAML 1.2",
        "brackets and commas end a tag",
    ),
    (
        Allowed::SameName,
        "services, extends",
        "only circles are not allowed",
    ),
];

impl Allowed {
    /// The sentence of the refusal.
    pub(crate) fn note(self) -> String {
        let entry = TABLE.iter().find(|(allowed, ..)| *allowed == self);
        let (_, place, what) = entry.copied().unwrap_or((self, "", ""));
        format!(
            "the Compose Specification allows this ({place}: {what}); \
             Docker Compose refuses it, and so does skiff"
        )
    }
}
