//! Flags of `docker build` that `skiff image build` takes to say why it does nothing by
//! them, and those that ask for what is done anyway.

use clap::Args;

use crate::cli::error::{CliError, CliResult};

/// They are in no help.
#[derive(Debug, Args)]
pub(super) struct Refused {
    /// Annotations of a manifest
    #[arg(long, hide = true)]
    annotation: Vec<String>,
    /// Attestations
    #[arg(long, hide = true)]
    pub(super) attest: Vec<String>,
    /// The control group above those of commands
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    /// Shares and quotas of processors
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    /// The same
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    /// The same
    #[arg(short = 'c', long, hide = true)]
    cpu_shares: Option<String>,
    /// The same
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    /// The same
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    /// Memory and swap space
    #[arg(long, hide = true)]
    memory_swap: Option<String>,
    /// How commands are kept apart from the machine
    #[arg(long, hide = true)]
    isolation: Option<String>,
    /// Profiles of commands
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
    /// One layer of all
    #[arg(long, hide = true)]
    squash: bool,
    /// Containers of steps never stay
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<bool>,
    /// The same
    #[arg(long, hide = true)]
    force_rm: bool,
    /// There is nobody that the context would be sent to
    #[arg(long, hide = true)]
    compress: bool,
}

impl Refused {
    /// # Errors
    /// One was given that changes what comes out, or how it is made.
    pub(super) fn check(&self) -> CliResult {
        let processors = "commands of builds have no limits of processors";
        let given = |value: &Option<String>| value.is_some();
        let isolation = self.isolation.as_deref();
        let is_isolated = isolation.is_some_and(|how| !matches!(how, "" | "default"));
        for (flag, is_given, why, instead) in [
            (
                "--annotation",
                !self.annotation.is_empty(),
                "images are kept without manifests, which are what has annotations",
                "`--label` puts it into the image's config",
            ),
            (
                "--cgroup-parent",
                given(&self.cgroup_parent),
                "commands run in control groups of the build's own",
                "leave it out; `--memory` limits each command",
            ),
            ("--cpu-period", given(&self.cpu_period), processors, ""),
            ("--cpu-quota", given(&self.cpu_quota), processors, ""),
            ("--cpu-shares", given(&self.cpu_shares), processors, ""),
            ("--cpuset-cpus", given(&self.cpuset_cpus), processors, ""),
            ("--cpuset-mems", given(&self.cpuset_mems), processors, ""),
            (
                "--memory-swap",
                given(&self.memory_swap),
                "swap space of commands is not limited",
                "`--memory` limits their memory",
            ),
            (
                "--isolation",
                is_isolated,
                "there is one way to isolate commands on Linux",
                "",
            ),
            (
                "--security-opt",
                !self.security_opt.is_empty(),
                "profiles are those of all containers",
                "`RUN --security=insecure`, granted by `--allow security.insecure`, has none",
            ),
            (
                "--squash",
                self.squash,
                "layers are not joined",
                "a stage that starts from `scratch` and copies all is one layer",
            ),
        ] {
            if is_given {
                let refused = CliError::new(format!("{flag}: {why}"));
                return Err(match instead {
                    "" => refused,
                    instead => refused.hint(instead),
                });
            }
        }
        Ok(())
    }
}
