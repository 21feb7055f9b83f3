//! `skiff config`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::sudo;
use crate::compose::{self, LoadOptions, Loaded, Project, Skip, Style};
use crate::reconcile::translate::Host;
use crate::reconcile::translate::identity::{Contents, Identity};
use crate::reconcile::translate::project::image_name;
use crate::ui::write_out;

/// Flags of `skiff config`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag of the command"
)]
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
    /// Print the volumes' names
    #[arg(long, conflicts_with = "services")]
    volumes: bool,
    /// Print the networks' names
    #[arg(long, conflicts_with_all = ["services", "volumes"])]
    networks: bool,
    /// Print the images' names, one a service
    #[arg(long, conflicts_with_all = ["services", "volumes", "networks"])]
    images: bool,
    /// Print the profiles' names
    #[arg(long, conflicts_with_all = ["services", "volumes", "networks", "images"])]
    profiles: bool,
    /// Print the services' config hashes, `*` for all
    #[arg(long, value_name = "SERVICE[,SERVICE]")]
    hash: Option<String>,
    /// Do not check what refers to what
    #[arg(long)]
    no_consistency: bool,
    /// Leave relative paths relative
    #[arg(long)]
    no_path_resolution: bool,
    /// Leave out what the file only implies
    #[arg(long)]
    no_normalize: bool,
    /// Print the variables that the file is interpolated with
    #[arg(long)]
    environment: bool,
    /// Tell where a value comes from: an attribute's path (`services.web.ports`) or a variable
    #[arg(long, value_name = "PATH|VARIABLE")]
    explain: Vec<String>,
    /// Print hints about what is allowed and most likely not meant; code 1 if there are any
    #[arg(long, conflicts_with = "explain")]
    lint: bool,
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

impl ConfigArgs {
    /// True where whoever asks reads JSON, so that errors should be that, too.
    pub fn is_for_tools(&self) -> bool {
        self.format == ConfigFormat::Json
    }
}

/// Prints the Compose file in canonical form.
///
/// # Errors
/// What is wrong with the file, or with the output.
pub fn run(context: &Context, args: &ConfigArgs) -> CliResult {
    let options = LoadOptions {
        skip: Skip {
            consistency: args.no_consistency,
            paths: args.no_path_resolution,
            normalization: args.no_normalize,
        },
        trace: args.lint || !args.explain.is_empty(),
        ..context.load_options(&args.only)?
    };
    if args.lint {
        return lint(context, &options, args);
    }
    let mut project = context.load_with(&options)?;
    context.check_known(&project, &args.only)?;
    if args.explain.is_empty() {
        project.forget_places();
    }
    if args.quiet {
        return Ok(());
    }
    if !args.explain.is_empty() {
        return put(args, &explanations(context, &project, args)?);
    }
    let text = match list(context, &project, args)? {
        Some(list) => list.iter().map(|line| format!("{line}\n")).collect(),
        None => document(&project, args.format),
    };
    put(args, &text)
}

/// Prints the warnings of the load and the hints.
fn lint(context: &Context, options: &LoadOptions, args: &ConfigArgs) -> CliResult {
    let Loaded { project, warnings } = context.load_silently(options)?;
    context.check_known(&project, &args.only)?;
    let found = compose::lint(&project, warnings, &compose::Host);
    if found.is_empty() {
        return Ok(());
    }
    if !args.quiet {
        let style = style(context);
        let texts: Vec<String> = found.iter().map(|hint| hint.render(&style)).collect();
        put(args, &format!("{}\n", texts.join("\n\n")))?;
    }
    Err(CliError::Exit(1))
}

fn style(context: &Context) -> Style {
    if context.ui.color_out {
        Style::COLOUR
    } else {
        Style::PLAIN
    }
}

/// Prints the output, or writes the file that is asked for.
fn put(args: &ConfigArgs, text: &str) -> CliResult {
    match &args.output {
        Some(path) => write_file(path, text).map_err(|error| CliError::from_error(&error)),
        None => Ok(write_out(text)?),
    }
}

/// What `--explain` prints: a paragraph a value, or one list as JSON.
fn explanations(
    context: &Context,
    project: &Project,
    args: &ConfigArgs,
) -> Result<String, CliError> {
    let mut all = Vec::new();
    for subject in &args.explain {
        let found = compose::explain(project, subject);
        all.extend(found.map_err(|error| context.refusal(std::iter::once(&*error)))?);
    }
    Ok(match args.format {
        ConfigFormat::Json => {
            let list: Vec<_> = all.iter().map(compose::Explanation::to_json).collect();
            format!("{:#}\n", serde_json::Value::from(list))
        }
        ConfigFormat::Yaml => {
            let style = style(context);
            all.iter().map(|one| one.render(&style) + "\n").collect()
        }
    })
}

/// The lines of the flags that print a list; `None` where the model is wanted.
fn list(
    context: &Context,
    project: &Project,
    args: &ConfigArgs,
) -> Result<Option<Vec<String>>, CliError> {
    Ok(Some(if args.services {
        project.services.keys().cloned().collect()
    } else if args.volumes {
        project.volumes.keys().cloned().collect()
    } else if args.networks {
        project.networks.keys().cloned().collect()
    } else if args.images {
        let services = project.services.iter();
        services
            .map(|(name, service)| image_name(project, name, service))
            .collect()
    } else if args.profiles {
        let all = project
            .services
            .values()
            .chain(project.disabled_services.values());
        let names: BTreeSet<&String> = all.flat_map(|service| &service.profiles).collect();
        names.into_iter().cloned().collect()
    } else if let Some(wanted) = &args.hash {
        return hashes(context, project, wanted).map(Some);
    } else if args.environment {
        let pairs = project.environment.iter();
        let mut lines: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        lines.sort();
        lines
    } else {
        return Ok(None);
    }))
}

/// `SERVICE HASH`, by name: what a container's label has where it is up to date.
fn hashes(context: &Context, project: &Project, wanted: &str) -> Result<Vec<String>, CliError> {
    let mut names: Vec<String> = if wanted == "*" {
        project.services.keys().cloned().collect()
    } else {
        wanted.split(',').map(str::to_owned).collect()
    };
    context.check_known(project, &names)?;
    names.sort();
    let contents = Contents::read(project, &Host);
    Ok(names
        .iter()
        .filter_map(|name| {
            let service = project.services.get(name)?;
            Some(format!("{name} {}", Identity::of(service, &contents).hash))
        })
        .collect())
}

/// Writes the output; a new file belongs to the user who called sudo.
fn write_file(path: &Path, text: &str) -> std::io::Result<()> {
    let is_new = !path.exists();
    let mut file = fs_err::File::create(path)?;
    if let Some(account) = sudo::invoking_user().filter(|_| is_new) {
        std::os::unix::fs::fchown(file.file(), Some(account.uid), Some(account.gid))?;
    }
    file.write_all(text.as_bytes())
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
