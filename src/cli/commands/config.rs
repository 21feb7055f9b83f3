//! `skiff config`.

mod digests;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::sudo;
use crate::compose::{
    self, Diagnostic, Form, LoadOptions, Loaded, Project, RawModel, Readers, Skip, Style,
};
use crate::reconcile::translate::Host;
use crate::reconcile::translate::identity::{Contents, Identity};
use crate::reconcile::translate::project::image_name;
use crate::ui::write_out;

/// Flags of `skiff config`. Of several that ask for a list the first one here
/// counts.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag of the command"
)]
pub struct ConfigArgs {
    /// Print the services' names, one a line
    #[arg(long)]
    services: bool,
    /// Print the volumes' names, one a line
    #[arg(long)]
    volumes: bool,
    /// Print the networks' names, one a line
    #[arg(long)]
    networks: bool,
    /// Print the models' names, one a line
    #[arg(long)]
    models: bool,
    /// Print the services' config hashes, `*` for all
    #[arg(long, value_name = "SERVICE[,SERVICE]")]
    hash: Option<String>,
    /// Print the profiles' names, one a line
    #[arg(long)]
    profiles: bool,
    /// Print the images' names, one a service
    #[arg(long)]
    images: bool,
    /// Print the variables that the files use, with their defaults
    #[arg(long)]
    variables: bool,
    /// Print the variables that the files are interpolated with
    #[arg(long)]
    environment: bool,
    /// Format of the output: yaml or json; for --variables also table
    #[arg(long)]
    format: Option<String>,
    /// Check the files and print no model
    #[arg(short, long)]
    quiet: bool,
    /// Write the model to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,
    /// Leave out what the files only imply
    #[arg(long)]
    no_normalize: bool,
    /// Leave relative paths relative
    #[arg(long)]
    no_path_resolution: bool,
    /// Do not check what refers to what
    #[arg(long)]
    no_consistency: bool,
    /// Accepted; an `env_file` is read all the same, as by Compose 2.40
    #[arg(long)]
    no_env_resolution: bool,
    /// Give images the digests that registries have for them now
    #[arg(long)]
    resolve_image_digests: bool,
    /// Print the images alone with their digests, to be merged over the files
    #[arg(long)]
    lock_image_digests: bool,
    /// Tell where a value comes from: an attribute's path (`services.web.ports`) or a variable
    #[arg(long, value_name = "PATH|VARIABLE")]
    explain: Vec<String>,
    /// Print hints about what is allowed and most likely not meant; code 1 if there are any
    #[arg(long, conflicts_with = "explain")]
    lint: bool,
    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    only: Vec<String>,
}

impl ConfigArgs {
    /// True where whoever asks reads JSON, so that errors should be that, too.
    pub fn is_for_tools(&self) -> bool {
        self.format.as_deref() == Some("json")
    }
}

/// Prints the Compose file in canonical form.
///
/// # Errors
/// What is wrong with the file, or with the output.
pub fn run(context: &Context, args: &ConfigArgs) -> CliResult {
    let command = Config { context, args };
    if args.lint {
        return command.lint();
    }
    if !args.explain.is_empty() {
        return command.explain();
    }
    if let Some(lines) = command.list()? {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        return Ok(write_out(&text)?);
    }
    if args.variables {
        return command.variables();
    }
    if args.environment {
        return command.environment();
    }
    command.model()
}

struct Config<'a> {
    context: &'a Context,
    args: &'a ConfigArgs,
}

impl Config<'_> {
    fn options(&self, services: &[String], readers: Readers) -> Result<LoadOptions, CliError> {
        let args = self.args;
        Ok(LoadOptions {
            skip: Skip {
                consistency: args.no_consistency,
                paths: args.no_path_resolution,
                normalization: args.no_normalize || self.context.global.compatibility,
                interpolation: args.no_interpolate,
            },
            env_file_readers: readers,
            ..self.context.load_options(services)?
        })
    }

    /// The project for what no `env_file` has a say in.
    fn outline(&self, services: &[String]) -> Result<Project, CliError> {
        self.context
            .load_with(&self.options(services, Readers::Nobody)?)
    }

    fn project(&self) -> Result<Project, CliError> {
        self.context
            .load_with(&self.options(&self.args.only, Readers::Active)?)
    }

    fn raw(&self) -> Result<RawModel, CliError> {
        self.context
            .load_raw_with(&self.options(&[], Readers::Nobody)?)
    }

    /// The lines of the flags that print names; `None` without such a flag.
    fn list(&self) -> Result<Option<Vec<String>>, CliError> {
        let args = self.args;
        Ok(Some(if args.services && args.no_interpolate {
            sorted(self.raw()?.services().map(str::to_owned))
        } else if args.services {
            let project = self.outline(&[])?;
            let names = dependencies_first(&project);
            names.map_err(|missing| self.context.refusal(std::iter::once(&*missing)))?
        } else if args.volumes {
            sorted(self.outline(&[])?.volumes.into_keys())
        } else if args.networks {
            sorted(self.outline(&[])?.networks.into_keys())
        } else if args.models {
            let mut models = self.outline(&[])?.models;
            models.sort_keys();
            models
                .into_values()
                .filter_map(|model| model.model)
                .collect()
        } else if let Some(wanted) = args.hash.as_deref().filter(|wanted| !wanted.is_empty()) {
            return self.hashes(wanted).map(Some);
        } else if args.profiles {
            let project = self.outline(&args.only)?;
            let active = project.services.values();
            let all = active.chain(project.disabled_services.values());
            let names: BTreeSet<&String> = all.flat_map(|service| &service.profiles).collect();
            names.into_iter().cloned().collect()
        } else if args.images {
            let project = self.outline(&args.only)?;
            let names = sorted(project.services.keys().cloned());
            let services = names
                .iter()
                .filter_map(|name| project.services.get_key_value(name));
            services
                .map(|(name, service)| image_name(&project, name, service))
                .collect()
        } else {
            return Ok(None);
        }))
    }

    /// `SERVICE HASH`, by name: what a container's label has where it is up to date.
    fn hashes(&self, wanted: &str) -> Result<Vec<String>, CliError> {
        let project = self
            .context
            .load_with(&self.options(&[], Readers::Wanted)?)?;
        let names = if wanted == "*" {
            sorted(project.services.keys().cloned())
        } else {
            sorted(wanted.split(',').map(str::to_owned))
        };
        self.context.check_known(&project, &names)?;
        let contents = Contents::read(&project, &Host);
        Ok(names
            .iter()
            .filter_map(|name| {
                let service = project.services.get(name)?;
                Some(format!("{name} {}", Identity::of(service, &contents).hash))
            })
            .collect())
    }

    fn variables(&self) -> CliResult {
        let model = self.raw()?;
        let format = self.args.format.as_deref().unwrap_or_default();
        if format == "yaml" {
            return if self.args.quiet {
                Ok(())
            } else {
                Ok(write_out(&model.variables_text(Form::Yaml))?)
            };
        }
        let text = match format.to_lowercase().as_str() {
            "" | "table" | "pretty" => variable_table(&model),
            "json" => model.variables_text(Form::Json),
            _ => return Err(unknown_format(format, "`table`, `json` or `yaml`")),
        };
        Ok(write_out(&text)?)
    }

    fn environment(&self) -> CliResult {
        let project = self.project()?;
        if self.args.quiet {
            return Ok(());
        }
        let pairs = project.environment.iter();
        let lines = sorted(pairs.map(|(name, value)| format!("{name}={value}\n")));
        Ok(write_out(&lines.concat())?)
    }

    fn model(&self) -> CliResult {
        let args = self.args;
        let form = self.form();
        let text = if args.no_interpolate {
            let mut model = self.raw()?;
            if self.wants_digests() {
                model.pin_images(digests::pin(self.context))?;
            }
            if args.lock_image_digests {
                model.keep_images_only();
            }
            self.check_json(|| model.without_json())?;
            match form {
                Ok(_) if args.quiet => return Ok(()),
                form => model.text(form?),
            }
        } else {
            let mut project = self.project()?;
            self.check_json(|| project.without_json())?;
            // There is nothing more to say about its files, which may be large.
            project.forget_places();
            if self.wants_digests() {
                project.pin_images(digests::pin(self.context))?;
            }
            if args.lock_image_digests {
                project = project.images_only();
            }
            match form {
                Ok(_) if args.quiet => return Ok(()),
                form => project.text(form?),
            }
        };
        self.put(&text)
    }

    /// Refuses to print as JSON what that has no word for.
    fn check_json(&self, find: impl FnOnce() -> Option<Diagnostic>) -> CliResult {
        let found = match self.form() {
            Ok(Form::Json) => find(),
            _ => None,
        };
        match found {
            Some(error) => {
                let error = error.suggest("`--format yaml` prints it");
                Err(self.context.refusal(std::iter::once(&error)))
            }
            None => Ok(()),
        }
    }

    fn wants_digests(&self) -> bool {
        self.args.resolve_image_digests || self.args.lock_image_digests
    }

    /// Prints the warnings of the load and the hints.
    fn lint(&self) -> CliResult {
        self.form()?;
        let options = LoadOptions {
            trace: true,
            ..self.options(&self.args.only, Readers::Wanted)?
        };
        let Loaded { project, warnings } = self.context.load_silently(&options)?;
        self.context.check_known(&project, &self.args.only)?;
        let found = compose::lint(&project, warnings, &compose::Host);
        if found.is_empty() {
            return Ok(());
        }
        if !self.args.quiet {
            let style = self.context.style(self.context.ui.color_out);
            self.put(&compose::print_list(&found, style.as_ref()))?;
        }
        Err(CliError::Exit(1))
    }

    /// Prints where values come from: a paragraph a value, or one list as JSON.
    fn explain(&self) -> CliResult {
        let form = self.form()?;
        let options = LoadOptions {
            trace: true,
            ..self.options(&self.args.only, Readers::Wanted)?
        };
        let project = self.context.load_with(&options)?;
        self.context.check_known(&project, &self.args.only)?;
        if self.args.quiet {
            return Ok(());
        }
        let mut all = Vec::new();
        for subject in &self.args.explain {
            let found = compose::explain(&project, subject);
            let refuse = |error: Box<_>| self.context.refusal(std::iter::once(&*error));
            all.extend(found.map_err(refuse)?);
        }
        self.put(&match form {
            Form::Json => {
                let list: Vec<_> = all.iter().map(compose::Explanation::to_json).collect();
                format!("{:#}\n", serde_json::Value::from(list))
            }
            Form::Yaml => {
                let style = self.style();
                all.iter().map(|one| one.render(&style) + "\n").collect()
            }
        })
    }

    fn form(&self) -> Result<Form, CliError> {
        match self.args.format.as_deref().unwrap_or_default() {
            "" | "yaml" => Ok(Form::Yaml),
            "json" => Ok(Form::Json),
            other => Err(unknown_format(other, "`yaml` or `json`")),
        }
    }

    fn style(&self) -> Style {
        if self.context.ui.color_out {
            Style::COLOUR
        } else {
            Style::PLAIN
        }
    }

    /// Prints the output, or writes the file that is asked for.
    fn put(&self, text: &str) -> CliResult {
        match &self.args.output {
            Some(path) => write_file(path, text).map_err(|error| CliError::from_error(&error)),
            None => Ok(write_out(text)?),
        }
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn unknown_format(format: &str, expected: &str) -> CliError {
    CliError::new(format!("unsupported format {format:?}"))
        .hint(format!("--format takes {expected}"))
}

/// The services by name, but none before what it depends on. That is looked for even
/// with --no-consistency, as by the reference.
///
/// # Errors
/// A dependency that is required and not there.
fn dependencies_first(project: &Project) -> Result<Vec<String>, Box<Diagnostic>> {
    let mut names = Vec::new();
    // Each with what is left to look at of its dependencies; no cycle gets here
    // but with --no-consistency.
    let mut seen = BTreeSet::new();
    let mut open: Vec<(String, bool)> = Vec::new();
    let mut all = sorted(project.services.keys().cloned());
    all.reverse();
    open.extend(all.into_iter().map(|name| (name, false)));
    while let Some((name, is_done)) = open.pop() {
        if is_done {
            names.push(name);
            continue;
        }
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            continue;
        }
        let is_missing = |(on, how): &(&String, &compose::Dependency)| {
            how.required && !project.services.contains_key(*on)
        };
        if let Some((on, _)) = service.depends_on.iter().find(is_missing) {
            let path = format!("services.{name}.depends_on.{on}");
            let message = format!("there is no active service `{on}`");
            return Err(Box::new(project.diagnostic(&path, message)));
        }
        open.push((name, true));
        let mut dependencies = sorted(service.depends_on.keys().cloned());
        dependencies.reverse();
        open.extend(dependencies.into_iter().map(|name| (name, false)));
    }
    Ok(names)
}

/// Width of a column without a long text in it, and the space behind one.
const NARROWEST: usize = 20;
const GAP: usize = 3;

/// The variables in columns as wide as the reference makes them.
fn variable_table(model: &RawModel) -> String {
    let heads = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let rows = model.variables().into_values().map(|variable| {
        [
            variable.name,
            variable.required.to_string(),
            variable.default,
            variable.alternate,
        ]
    });
    let rows: Vec<[String; 4]> = std::iter::once(heads).chain(rows).collect();
    let mut widths = [NARROWEST; 3];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count() + GAP);
        }
    }
    let mut text = String::new();
    for [name, required, default, alternate] in rows {
        let [first, second, third] = widths;
        text.push_str(&format!(
            "{name:first$}{required:second$}{default:third$}{alternate}\n"
        ));
    }
    text
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
