//! `skiff logs`.

use clap::Args;

/// Flags of `skiff logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on as output comes
    #[arg(short, long)]
    pub follow: bool,
    /// Lines from the end of each container's log, or `all`
    #[arg(short = 'n', long, default_value = "all")]
    pub tail: String,
    /// Since a time (2013-01-02T13:23:37Z) or for a span (42m)
    #[arg(long)]
    pub since: Option<String>,
    /// Until a time or for a span
    #[arg(long)]
    pub until: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    pub timestamps: bool,
    /// No colours in prefixes
    #[arg(long)]
    pub no_color: bool,
    /// No prefix before lines
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Only the replica of this number
    #[arg(long)]
    pub index: Option<u32>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
