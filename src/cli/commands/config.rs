//! `skiff config`.

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::compose::Project;
use crate::ui::write_out;

/// Flags of `skiff config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: ConfigFormat,
    /// Check the file and print nothing
    #[arg(short, long)]
    quiet: bool,
    /// Print the services' names
    #[arg(long)]
    services: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    only: Vec<String>,
}

/// How the model is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ConfigFormat {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// Prints the Compose file in canonical form.
///
/// # Errors
/// What is wrong with the file, or with the output.
pub fn run(context: &Context, args: &ConfigArgs) -> CliResult {
    let project = context.load(&args.only)?;
    context.check_known(&project, &args.only)?;
    if args.quiet {
        return Ok(());
    }
    let text = if args.services {
        project
            .services
            .keys()
            .map(|name| format!("{name}\n"))
            .collect()
    } else {
        document(&project, args.format)
    };
    match &args.output {
        Some(path) => fs_err::File::create(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(|error| CliError::from_error(&error)),
        None => Ok(write_out(&text)?),
    }
}

/// The model as text that is read back as the same model: a `$` is doubled, so
/// that it is not taken for a variable.
fn document(project: &Project, format: ConfigFormat) -> String {
    let text = match format {
        ConfigFormat::Yaml => project.canonical_yaml(),
        ConfigFormat::Json => {
            let mut text = format!("{:#}", project.canonical_json());
            text.push('\n');
            text
        }
    };
    text.replace('$', "$$")
}
