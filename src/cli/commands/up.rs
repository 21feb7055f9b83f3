//! `skiff up`.

use clap::Args;

/// Flags of `skiff up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Run in the background
    #[arg(short, long)]
    pub detach: bool,
    /// Wait until services run, and are healthy where they have a probe; implies -d
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub wait_timeout: Option<u64>,
    /// Recreate containers even where nothing changed
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Keep existing containers even where something changed
    #[arg(long)]
    pub no_recreate: bool,
    /// Recreate dependencies as well
    #[arg(long, conflicts_with = "no_recreate")]
    pub always_recreate_deps: bool,
    /// Leave dependencies alone
    #[arg(long)]
    pub no_deps: bool,
    /// Create containers and do not start them
    #[arg(long, conflicts_with_all = ["wait", "detach"])]
    pub no_start: bool,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    pub remove_orphans: bool,
    /// Make new anonymous volumes instead of keeping the old ones
    #[arg(short = 'V', long)]
    pub renew_anon_volumes: bool,
    /// Run so many replicas of a service
    #[arg(long, value_name = "SERVICE=NUM")]
    pub scale: Vec<String>,
    /// When to pull images: always, missing, never, or as the file says
    #[arg(long, default_value = "policy")]
    pub pull: String,
    /// Pull without showing progress
    #[arg(long)]
    pub quiet_pull: bool,
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<i64>,
    /// Stop all containers when one ends
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    pub abort_on_container_exit: bool,
    /// Stop all containers when one fails
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    pub abort_on_container_failure: bool,
    /// End with this service's exit code; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    pub exit_code_from: Option<String>,
    /// Show only these services' output
    #[arg(long, value_name = "SERVICE")]
    pub attach: Vec<String>,
    /// Do not show these services' output
    #[arg(long, value_name = "SERVICE")]
    pub no_attach: Vec<String>,
    /// Show the output of dependencies too
    #[arg(long, conflicts_with = "attach")]
    pub attach_dependencies: bool,
    /// No colours in log prefixes
    #[arg(long)]
    pub no_color: bool,
    /// No prefix before log lines
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Show timestamps
    #[arg(long)]
    pub timestamps: bool,
    /// Answer yes to every question
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Services to start (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
