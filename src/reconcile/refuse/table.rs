//! The standing of every attribute.
//!
//! A row stands for everything below it that has no row of its own. Rows are in
//! the order of the specification's chapters, then by name.

use serde_json::Value;

use super::super::translate::values::joins_another;
use crate::image::Platform;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has its effect.
    Works,
    /// It has its effect for some values.
    Partly,
    /// It is accepted and has no effect.
    Warned,
    /// It is refused.
    Refused,
}

/// What becomes of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has its effect.
    Fine,
    /// Accepted, without effect, for this reason.
    Warn(String),
    /// Refused, for this reason.
    Refuse(String),
    /// Refused: it is none of these, for this reason.
    NoneOf(&'static [&'static str], String),
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// `services.*.ports[].mode`
    pub(super) path: &'static str,
    /// In general.
    pub(super) standing: Standing,
    /// Reason or remark.
    pub(super) note: &'static str,
    /// Decides by value; absent: the standing decides.
    pub(super) check: Option<fn(&Value) -> Verdict>,
}

const fn works(path: &'static str, note: &'static str) -> Row {
    Row {
        path,
        standing: Standing::Works,
        note,
        check: None,
    }
}

const fn partly(path: &'static str, note: &'static str, check: fn(&Value) -> Verdict) -> Row {
    Row {
        path,
        standing: Standing::Partly,
        note,
        check: Some(check),
    }
}

const fn warned(path: &'static str, note: &'static str) -> Row {
    Row {
        path,
        standing: Standing::Warned,
        note,
        check: None,
    }
}

const fn refused(path: &'static str, note: &'static str) -> Row {
    Row {
        path,
        standing: Standing::Refused,
        note,
        check: None,
    }
}

/// Every attribute.
pub(super) const ROWS: &[Row] = &[
    works("name", ""),
    warned(
        "version",
        "is obsolete and has no meaning (the loader says so)",
    ),
    works("include", ""),
    works("services", ""),
    refused("models", "AI models are not supported"),
    // Services.
    warned(
        "services.*.annotations",
        "annotations have no effect: nothing reads them here",
    ),
    works("services.*.attach", ""),
    works(
        "services.*.blkio_config",
        "as far as the host's block scheduler goes along",
    ),
    Row {
        path: "services.*.build",
        standing: Standing::Partly,
        note: "from folders and from Dockerfiles in the file; repositories (git) and addresses (`ADD https://`) as sources, attestations, several platforms at a time, devices and caches of kinds other than `registry`, `local` and `inline` are refused",
        check: Some(fine),
    },
    works(
        "services.*.build.no_cache_filter",
        "stages that are not taken from the cache; Docker Compose 2.40 refuses the attribute",
    ),
    works("services.*.cap_add", ""),
    works("services.*.cap_drop", ""),
    partly("services.*.cgroup", "`host` and `private`", |value| {
        one_of(
            value,
            &["host", "private"],
            "a cgroup namespace is `host` or `private`",
        )
    }),
    refused(
        "services.*.cgroup_parent",
        "a container's control group is always below that of its project",
    ),
    works("services.*.command", ""),
    works(
        "services.*.configs",
        "another content recreates the container; `uid`, `gid` and `mode` have no effect on a `file:`",
    ),
    works("services.*.container_name", ""),
    warned(
        "services.*.cpu_count",
        "is of Windows only and has no effect",
    ),
    warned(
        "services.*.cpu_percent",
        "is of Windows only and has no effect",
    ),
    works("services.*.cpu_period", ""),
    works("services.*.cpu_quota", ""),
    works("services.*.cpu_rt_period", "needs cgroup version 1"),
    works("services.*.cpu_rt_runtime", "needs cgroup version 1"),
    works("services.*.cpu_shares", ""),
    works("services.*.cpus", ""),
    works("services.*.cpuset", ""),
    refused("services.*.credential_spec", "is of Windows only"),
    works("services.*.depends_on", ""),
    works("services.*.deploy", ""),
    warned(
        "services.*.deploy.endpoint_mode",
        "has no effect: names lead to each container itself",
    ),
    warned(
        "services.*.deploy.labels",
        "have no effect: they are not those of containers",
    ),
    partly(
        "services.*.deploy.mode",
        "`replicated`; `global` is the same on one host; jobs are refused",
        |value| match text(value) {
            "replicated" => Verdict::Fine,
            "global" => {
                Verdict::Warn("`global` is the same as `replicated` on one host".to_owned())
            }
            other => Verdict::Refuse(format!("the mode `{other}` is not supported")),
        },
    ),
    warned(
        "services.*.deploy.placement",
        "has no effect: there is one host",
    ),
    works("services.*.deploy.replicas", ""),
    works("services.*.deploy.resources", ""),
    warned(
        "services.*.deploy.resources.reservations.cpus",
        "has no effect: there is one host",
    ),
    refused(
        "services.*.deploy.resources.reservations.devices",
        "GPUs and CDI devices are not supported yet",
    ),
    warned(
        "services.*.deploy.resources.reservations.generic_resources",
        "have no effect: there is one host",
    ),
    works(
        "services.*.deploy.restart_policy",
        "`delay` and `window` have no effect",
    ),
    warned(
        "services.*.deploy.rollback_config",
        "has no effect: nothing is rolled back",
    ),
    warned(
        "services.*.deploy.update_config",
        "has no effect: containers are recreated at once",
    ),
    works("services.*.develop", "`watch`, `up --watch`, `run --watch`"),
    works("services.*.device_cgroup_rules", ""),
    works(
        "services.*.devices",
        "paths of the host; CDI names are refused",
    ),
    works("services.*.dns", ""),
    works("services.*.dns_opt", ""),
    works("services.*.dns_search", ""),
    works("services.*.domainname", ""),
    works("services.*.entrypoint", ""),
    works("services.*.env_file", ""),
    works("services.*.environment", ""),
    works(
        "services.*.expose",
        "for display only: containers of one network reach all ports",
    ),
    works("services.*.extends", ""),
    works("services.*.external_links", ""),
    works("services.*.extra_hosts", "`host-gateway` too"),
    refused("services.*.gpus", "GPUs are not supported yet"),
    works("services.*.group_add", ""),
    works("services.*.healthcheck", ""),
    works(
        "services.*.hostname",
        "not with `uts: host`, nor with the network of another container",
    ),
    works("services.*.image", ""),
    works("services.*.init", ""),
    partly(
        "services.*.ipc",
        "`host`, `none`, `private`, `shareable`",
        |value| {
            one_of(
                value,
                &["host", "none", "private", "shareable"],
                "the IPC namespace of another container cannot be joined yet",
            )
        },
    ),
    partly("services.*.isolation", "`default`", |value| {
        one_of(value, &["default"], "is of Windows only")
    }),
    works("services.*.label_file", ""),
    works("services.*.labels", ""),
    works("services.*.links", ""),
    works("services.*.logging", ""),
    partly(
        "services.*.logging.driver",
        "`json-file`, `local`, `none`",
        |value| {
            one_of(
                value,
                &["json-file", "local", "none"],
                "logs are kept in files here: `json-file`, `local` and `none` are known",
            )
        },
    ),
    works(
        "services.*.logging.options",
        "`max-size` and `max-file`; others have no effect",
    ),
    works("services.*.mac_address", ""),
    works("services.*.mem_limit", ""),
    works("services.*.mem_reservation", ""),
    works("services.*.mem_swappiness", "needs cgroup version 1"),
    works("services.*.memswap_limit", ""),
    refused("services.*.models", "AI models are not supported"),
    partly(
        "services.*.network_mode",
        "`none`, `host`, `service:NAME`, `container:NAME`",
        |value| match text(value) {
            "none" | "host" => Verdict::Fine,
            mode if joins_another(mode) => Verdict::Fine,
            other => Verdict::Refuse(format!(
                "there is no network mode `{other}` here: use `networks:`, `none`, `host`, \
                 `service:NAME` or `container:NAME`"
            )),
        },
    ),
    works(
        "services.*.networks",
        "a static address is one of a `subnet` that the file names",
    ),
    works("services.*.oom_kill_disable", "needs cgroup version 1"),
    works("services.*.oom_score_adj", ""),
    partly("services.*.pid", "`host`", |value| {
        one_of(
            value,
            &["host"],
            "the process namespace of another container cannot be joined yet",
        )
    }),
    works("services.*.pids_limit", ""),
    partly("services.*.platform", "the host's own", platform),
    works(
        "services.*.ports",
        "`name` and `app_protocol` are remarks; `mode` makes no difference",
    ),
    partly("services.*.ports[].protocol", "`tcp` and `udp`", |value| {
        one_of(value, &["tcp", "udp"], "can only be `tcp` or `udp`")
    }),
    refused("services.*.post_start", "lifecycle hooks are not run yet"),
    refused(
        "services.*.pre_start",
        "lifecycle hooks are not run yet (Docker Compose 2.40 does not know this one)",
    ),
    refused("services.*.pre_stop", "lifecycle hooks are not run yet"),
    works("services.*.privileged", ""),
    works("services.*.profiles", ""),
    refused("services.*.provider", "providers are not supported"),
    works(
        "services.*.pull_policy",
        "`refresh` alone counts as `missing`, as with Docker Compose",
    ),
    warned(
        "services.*.pull_refresh_after",
        "has no effect: say `pull_policy: every_DURATION`",
    ),
    works("services.*.read_only", ""),
    works(
        "services.*.restart",
        "while the machine runs; nothing starts at boot by itself, see [at-boot.md](at-boot.md)",
    ),
    partly("services.*.runtime", "`runc`", |value| {
        one_of(value, &["runc"], "skiff is its own runtime")
    }),
    works("services.*.scale", ""),
    works(
        "services.*.secrets",
        "another content recreates the container; `uid`, `gid` and `mode` have no effect on a `file:`",
    ),
    works(
        "services.*.security_opt",
        "`no-new-privileges`, `seccomp=…`, `systempaths=unconfined`, `apparmor=unconfined`; `label=…` has no effect",
    ),
    works("services.*.shm_size", ""),
    works("services.*.stdin_open", ""),
    works("services.*.stop_grace_period", ""),
    works("services.*.stop_signal", ""),
    refused(
        "services.*.storage_opt",
        "the size of a container's own layer cannot be limited",
    ),
    works("services.*.sysctls", "those that belong to a namespace"),
    works("services.*.tmpfs", ""),
    works("services.*.tty", ""),
    works(
        "services.*.ulimits",
        "`nofile` is 1048576 without it, soft and hard, or the host's hard limit where root may have no more",
    ),
    refused(
        "services.*.use_api_socket",
        "there is no daemon whose socket could be given",
    ),
    works("services.*.user", ""),
    partly("services.*.userns_mode", "`host`", |value| {
        one_of(value, &["host"], "user namespaces are not used yet")
    }),
    partly("services.*.uts", "`host`", |value| {
        one_of(
            value,
            &["host"],
            "a UTS namespace is the container's own or the host's",
        )
    }),
    works(
        "services.*.volumes",
        "SELinux labels and `consistency` have no effect",
    ),
    refused("services.*.volumes[].image", "images cannot be mounted yet"),
    partly(
        "services.*.volumes[].type",
        "`bind`, `volume`, `tmpfs`",
        |value| {
            one_of(
                value,
                &["bind", "volume", "tmpfs"],
                "mounts can be of the types `bind`, `volume` and `tmpfs`",
            )
        },
    ),
    warned(
        "services.*.volumes[].volume.labels",
        "have no effect on an anonymous volume",
    ),
    refused(
        "services.*.volumes_from",
        "mounts cannot be taken from another container yet",
    ),
    works("services.*.working_dir", "made where it is missing"),
    // Networks.
    works("networks", ""),
    warned(
        "networks.*.attachable",
        "has no effect: any container can join",
    ),
    partly("networks.*.driver", "`bridge`", |value| {
        one_of(
            value,
            &["bridge", "default"],
            "of the network drivers, `bridge` is there",
        )
    }),
    works(
        "networks.*.driver_opts",
        "those of the bridge driver that have a meaning here",
    ),
    partly("networks.*.ipam.driver", "`default`", |value| {
        one_of(value, &["default"], "addresses are given by skiff itself")
    }),
    warned("networks.*.ipam.options", "have no effect"),
    // Volumes.
    works("volumes", ""),
    partly("volumes.*.driver", "`local`", |value| {
        one_of(value, &["local"], "of the volume drivers, `local` is there")
    }),
    partly(
        "volumes.*.driver_opts",
        "`o: bind` with a `device` folder; file systems are not mounted yet",
        volume_options,
    ),
    // Secrets.
    works(
        "secrets",
        "`file` and `environment`; one that has none of the two and is not `external`, such as `driver` alone, `config` refuses already, as Docker Compose does",
    ),
    refused("secrets.*.driver", "there are no secret drivers"),
    refused("secrets.*.driver_opts", "there are no secret drivers"),
    refused(
        "secrets.*.external",
        "there is no store of secrets outside the project",
    ),
    refused("secrets.*.template_driver", "templates are not expanded"),
    // Configs.
    works("configs", "`file`, `content` and `environment`"),
    refused(
        "configs.*.external",
        "there is no store of configs outside the project",
    ),
    refused("configs.*.template_driver", "templates are not expanded"),
];

fn fine(_value: &Value) -> Verdict {
    Verdict::Fine
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn one_of(value: &Value, known: &'static [&'static str], otherwise: &str) -> Verdict {
    let text = text(value);
    if known.contains(&text) {
        Verdict::Fine
    } else {
        let reason = format!("`{text}` cannot be honoured: {otherwise}");
        Verdict::NoneOf(known, reason)
    }
}

/// The one use of a local volume's options that needs no file system of its
/// own: a folder of the host under a volume's name.
fn volume_options(value: &Value) -> Verdict {
    let option = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let bind = option("o")
        .split(',')
        .any(|word| matches!(word, "bind" | "rbind"));
    if bind && option("device").starts_with('/') && matches!(option("type"), "" | "none") {
        Verdict::Fine
    } else {
        Verdict::Refuse(
            "a volume cannot mount a file system yet: it is a folder, or a folder of the host \
             (`o: bind`, `device: /path`)"
                .to_owned(),
        )
    }
}

fn platform(value: &Value) -> Verdict {
    let host = Platform::host();
    let wanted = text(value);
    match Platform::parse(wanted) {
        Ok(platform) if host.fitness(&platform).is_some() || platform.fitness(&host).is_some() => {
            Verdict::Warn(format!(
                "is the host's own ({host}), which is what runs anyway"
            ))
        }
        Ok(_) => Verdict::Refuse(format!(
            "images for `{wanted}` cannot run on this host, which is `{host}`"
        )),
        Err(error) => Verdict::Refuse(error.to_string()),
    }
}
