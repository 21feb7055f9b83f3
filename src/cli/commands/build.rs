//! `skiff build`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::build_prune;
use crate::build::request::{ContextPlace, DockerfilePlace};
use crate::cli::building::{self, Job};
use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::{parse, session};
use crate::image::Reference;
use crate::reconcile::build::Requests;
use crate::reconcile::{self, BuildChoices, PushChoices, Session};
use crate::ui::write_out;

/// Flags of `skiff build`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true
)]
pub struct BuildArgs {
    /// What is no build.
    #[command(subcommand)]
    command: Option<BuildCommand>,
    /// Set a build argument; NAME alone takes the caller's
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Check the Dockerfiles, and build nothing
    #[arg(long)]
    check: bool,
    /// Carry every step out, whatever is cached
    #[arg(long)]
    no_cache: bool,
    /// Print what would be built, as a bake file
    #[arg(long)]
    print: bool,
    /// Pull base images anew
    #[arg(long)]
    pull: bool,
    /// Push the images when they are built
    #[arg(long)]
    push: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// An SSH agent or keys: `default`, ID=SOCKET or ID=KEY[,KEY]
    #[arg(long, value_name = "ID[=SOCKET|KEY]")]
    ssh: Vec<String>,
    /// What services depend on, too
    #[arg(long)]
    with_dependencies: bool,
    /// Most memory of each command: 512m
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Name of a builder (there is one)
    #[arg(long, hide = true)]
    builder: Option<String>,
    /// Attest where the image comes from
    #[arg(long, hide = true)]
    provenance: Option<String>,
    /// Attest what is in the image
    #[arg(long, hide = true)]
    sbom: Option<String>,
    /// How progress is shown
    #[arg(long, hide = true)]
    progress: Option<String>,
    /// What Docker Compose takes and makes nothing of
    #[arg(long, hide = true)]
    compress: bool,
    /// The same
    #[arg(long, hide = true)]
    force_rm: bool,
    /// The same
    #[arg(long, hide = true)]
    no_rm: bool,
    /// The same
    #[arg(long = "parallel", hide = true)]
    is_parallel: bool,
    /// Services to build (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// What else there is.
#[derive(Debug, Subcommand)]
enum BuildCommand {
    /// Remove what builds keep and nobody needs
    Prune(build_prune::PruneArgs),
}

impl BuildArgs {
    /// `--progress` behind the command.
    pub fn progress(&self) -> Option<&str> {
        self.progress.as_deref()
    }
}

/// Builds the images of a project's services.
///
/// # Errors
/// The file is wrong, a Dockerfile is, or a step failed.
pub fn run(context: &Context, args: &BuildArgs) -> CliResult {
    if let Some(BuildCommand::Prune(args)) = &args.command {
        return build_prune::run(context, args);
    }
    building::refuse_attestations(args.provenance.as_deref(), args.sbom.as_deref(), &[])?;
    let project = context.load(&args.services)?;
    context.check_known(&project, &args.services)?;
    let choices = BuildChoices {
        services: args.services.clone(),
        with_dependencies: args.with_dependencies,
        args: args
            .build_arg
            .iter()
            .map(|text| parse::variable(text))
            .collect(),
        ssh: args.ssh.iter().map(|text| parse::variable(text)).collect(),
        no_cache: args.no_cache,
        pull: args.pull,
        memory: args.memory.as_deref().map(building::memory).transpose()?,
    };
    let requests = reconcile::build::requests(&project, &choices)
        .map_err(|error| session::error(context, &error))?;
    if args.print {
        let text = serde_json::to_string_pretty(&bake(&requests)).unwrap_or_default();
        return Ok(write_out(&format!("{text}\n"))?);
    }
    if requests.is_empty() {
        context.ui.warn("no service to build");
        return Ok(());
    }
    if context.global.dry_run {
        let names = requests
            .wanted()
            .map(|(name, _)| format!("image of {name}: build\n"));
        return Ok(write_out(&names.collect::<String>())?);
    }
    let job = Job {
        project: &project.name,
        requests: &requests,
        quiet: args.quiet,
        prints_ids: args.quiet,
    };
    if args.check {
        return job.check(context, false);
    }
    let pushes = PushChoices {
        services: args.services.clone(),
        include_deps: args.with_dependencies,
        ignore_failures: false,
    };
    job.build(context, async |session: &Session<'_>| {
        if args.push {
            reconcile::push(session, &project, &pushes).await?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The requests in the form that `docker buildx bake` reads.
fn bake(requests: &Requests) -> serde_json::Value {
    let mut targets = serde_json::Map::new();
    for (name, request) in requests.wanted() {
        let mut target = serde_json::Map::new();
        let mut put = |key: &str, value: serde_json::Value| {
            let is_empty = match &value {
                serde_json::Value::Null => true,
                serde_json::Value::Array(list) => list.is_empty(),
                serde_json::Value::Object(map) => map.is_empty(),
                serde_json::Value::Bool(flag) => !flag,
                serde_json::Value::Number(_) | serde_json::Value::String(_) => false,
            };
            if !is_empty {
                target.insert(key.to_owned(), value);
            }
        };
        put("context", place(&request.context).into());
        let contexts: BTreeMap<_, _> = request
            .contexts
            .iter()
            .map(|(name, context)| (name, place(context)))
            .collect();
        put("contexts", serde_json::json!(contexts));
        match &request.dockerfile {
            DockerfilePlace::Text { text, .. } => put("dockerfile-inline", text.clone().into()),
            DockerfilePlace::File(path) if path != "Dockerfile" => {
                put("dockerfile", path.to_string_lossy().into());
            }
            DockerfilePlace::File(_) => {}
        }
        put("args", serde_json::json!(request.args));
        put("labels", serde_json::json!(request.labels));
        let names: Vec<String> = request.names.iter().map(Reference::familiar).collect();
        put("tags", names.into());
        let from = request.cache_from.iter().map(|from| from.text.clone());
        put("cache-from", from.collect::<Vec<_>>().into());
        let to = request.cache_to.iter().map(|to| to.text.clone());
        put("cache-to", to.collect::<Vec<_>>().into());
        put("target", request.target.clone().into());
        put("no-cache", request.no_cache.into());
        put("no-cache-filter", request.no_cache_stages.clone().into());
        put("pull", request.pull.into());
        put("network", request.network.clone().into());
        put("output", serde_json::json!(["type=docker"]));
        targets.insert(name.clone(), target.into());
    }
    let names: Vec<&String> = requests.wanted().map(|(name, _)| name).collect();
    serde_json::json!({"group": {"default": {"targets": names}}, "target": targets})
}

fn place(place: &ContextPlace) -> String {
    match place {
        ContextPlace::Nothing | ContextPlace::Spooled(_) => String::new(),
        ContextPlace::Folder(folder) => {
            let folder: std::path::PathBuf = folder.components().collect();
            folder.to_string_lossy().into_owned()
        }
        ContextPlace::Image(image) => format!("docker-image://{image}"),
        ContextPlace::Build(label) => format!("target:{label}"),
        ContextPlace::Git(url) | ContextPlace::Archive(url) => url.clone(),
        ContextPlace::Layout(layout) => layout.to_string(),
    }
}
