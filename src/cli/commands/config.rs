//! `skiff config`.

use clap::{Args, ValueEnum};

/// Flags of `skiff config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: ConfigFormat,
    /// Check the file and print nothing
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the services' names
    #[arg(long)]
    pub services: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<std::path::PathBuf>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub only: Vec<String>,
}

/// How the model is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ConfigFormat {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}
