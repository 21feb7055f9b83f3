//! `skiff exec`.

use clap::Args;

/// Flags of `skiff exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Run in the background
    #[arg(short, long)]
    pub detach: bool,
    /// Set a variable; NAME alone takes the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Replica number
    #[arg(long)]
    pub index: Option<u32>,
    /// No terminal (default: one where standard input and output are terminals)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    pub no_tty: bool,
    /// Keep standard input open; always so
    #[arg(short, long, hide = true)]
    pub interactive: bool,
    /// A terminal; the default where there is one
    #[arg(short, long, hide = true)]
    pub tty: bool,
    /// All capabilities for this process
    #[arg(long)]
    pub privileged: bool,
    /// User or user:group
    #[arg(short, long)]
    pub user: Option<String>,
    /// Working folder
    #[arg(short, long)]
    pub workdir: Option<String>,
    /// Service
    pub service: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}
