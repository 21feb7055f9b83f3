//! `skiff image build`: an image of a Dockerfile, without a Compose file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::build_call::{Call, shown};
use super::build_refused::Refused;
use super::build_sandbox::SandboxArgs;
use super::build_secrets::{secrets, ssh};
use crate::build::graph::Grants;
use crate::build::outputs::{self, Form, Output};
use crate::build::request::{ContextPlace, DockerfilePlace, Places, Request};
use crate::build::shared_cache::{CacheFrom, CacheTo, SpecError};
use crate::build::spooled::Streamed;
use crate::cli::building::{self, Job};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::{folder, parse};
use crate::env;
use crate::image::{Image, Platform, Reference, Store};
use crate::reconcile::build::{Requests, first};
use crate::reconcile::{self, Session};
use crate::ui::write_out;

/// What the build is for, where a project's name is asked: none can have this one.
const NO_PROJECT: &str = "build.";
/// Standard input, as a Dockerfile or as a context.
const STDIN: &str = "-";

/// Flags of `skiff image build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Grant `network.host` or `security.insecure` to commands that ask for it
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<String>,
    /// Set a build argument; NAME alone takes the caller's
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Name of a builder (there is one)
    #[arg(long, hide = true)]
    builder: Option<String>,
    /// A further context: a folder, an image (`docker-image://NAME`), a git address
    #[arg(long, value_name = "NAME=PLACE")]
    build_context: Vec<String>,
    /// A cache of other machines to take steps from: an image, or
    /// type=registry|local,…
    #[arg(long, value_name = "PLACE")]
    cache_from: Vec<String>,
    /// And one to put steps into: type=registry|local|inline,…
    #[arg(long, value_name = "PLACE")]
    cache_to: Vec<String>,
    /// Build nothing, and tell of the Dockerfile: check, outline (what the target
    /// takes) or targets
    #[arg(long, value_name = "METHOD", conflicts_with = "check")]
    call: Option<String>,
    /// The same as --call=check
    #[arg(long)]
    check: bool,
    /// The Dockerfile (default: CONTEXT/Dockerfile), `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// A label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Load the image into the store (that is done anyway, but with --output)
    #[arg(long, hide = true)]
    load: bool,
    /// Write what was built to a file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Network of commands: default, none or host
    #[arg(long)]
    network: Option<String>,
    /// Carry every step out, whatever is cached
    #[arg(long)]
    no_cache: bool,
    /// Carry the steps of these stages out
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Write the image's files to a folder, `-` for an archive, or
    /// type=local|tar|docker|oci|image|registry|cacheonly,dest=PLACE
    #[arg(short, long, value_name = "PLACE")]
    output: Vec<String>,
    /// For these platforms instead of the host's
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    platform: Vec<String>,
    /// How progress is shown: auto, tty, plain, json or quiet
    #[arg(long)]
    progress: Option<String>,
    /// Attest where the image comes from
    #[arg(long, hide = true)]
    provenance: Option<String>,
    /// Pull base images anew
    #[arg(long)]
    pull: bool,
    /// Push the image under its names when it is built
    #[arg(long)]
    push: bool,
    /// Show no progress, and print the image's id
    #[arg(short, long)]
    quiet: bool,
    /// Attest what is in the image
    #[arg(long, hide = true)]
    sbom: Option<String>,
    /// A secret: id=ID,src=FILE or id=ID,env=VARIABLE
    #[arg(long, value_name = "id=ID,…")]
    secret: Vec<String>,
    /// An SSH agent or keys: `default`, ID=SOCKET or ID=KEY[,KEY]
    #[arg(long, value_name = "ID[=SOCKET|KEY]")]
    ssh: Vec<String>,
    /// A name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// The stage to build (default: the last)
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    refused: Refused,
    /// The folder that COPY copies from, a git address, or `-` for an archive or a
    /// Dockerfile on standard input
    #[arg(value_name = "CONTEXT")]
    context: String,
}

impl BuildArgs {
    /// `--progress` behind the command, with Docker's further words for the same.
    pub fn progress(&self) -> Option<&str> {
        match self.progress.as_deref()? {
            "none" => Some("quiet"),
            "rawjson" => Some("json"),
            other => Some(other),
        }
    }

    fn call(&self) -> Result<Call, CliError> {
        if self.check {
            return Ok(Call::Check {
                is_status_ignored: false,
            });
        }
        let Some(text) = &self.call else {
            return Ok(Call::Build);
        };
        let call = text.parse();
        call.map_err(|why: String| CliError::new(format!("--call {text}: {why}")))
    }
}

/// Builds an image.
///
/// # Errors
/// A flag is wrong, the Dockerfile is, or a step failed.
pub fn run(context: &Context, args: &BuildArgs) -> CliResult {
    args.refused.check()?;
    let attestations = &args.refused.attest;
    building::refuse_attestations(
        args.provenance.as_deref(),
        args.sbom.as_deref(),
        attestations,
    )?;
    let call = args.call()?;
    let base = folder::current(&[])?;
    let asked = Asked::of(args, &base)?;
    let names = asked.names.clone();
    if asked.is_pushed && names.is_empty() {
        return Err(
            CliError::new("--push needs a name to push to").hint("add `-t REGISTRY/NAME:TAG`")
        );
    }
    let (is_pushed, is_passing) = (asked.is_pushed, asked.is_passing);
    let requests = Requests::one(request(context, args, asked, &base)?);
    let job = Job {
        project: NO_PROJECT,
        requests: &requests,
        quiet: args.quiet,
        prints_ids: args.quiet && !is_passing,
    };
    match call {
        Call::Build => {}
        Call::Check { is_status_ignored } => return job.check(context, is_status_ignored),
        Call::Look(look) => {
            let seen = job.look(context, look)?;
            return Ok(write_out(&seen.iter().map(shown).collect::<String>())?);
        }
    }
    let built = job.build(context, async |session: &Session<'_>| {
        if is_pushed {
            reconcile::push_names(session, &names).await?;
        }
        Ok(())
    })?;
    let Some((_, image)) = built.first() else {
        return Ok(());
    };
    let told = [
        (&args.iidfile, image.id.to_string()),
        (&args.metadata_file, metadata(image, &names)),
    ];
    for (path, text) in told {
        let Some(path) = path else { continue };
        fs_err::write(path, text).map_err(|error| CliError::from_error(&error))?;
    }
    Ok(())
}

/// What `docker build --metadata-file` says of the image.
fn metadata(image: &Image, names: &[Reference]) -> String {
    let names: Vec<String> = names.iter().map(Reference::to_string).collect();
    let mut told = BTreeMap::from([
        ("containerimage.config.digest", image.id.to_string()),
        ("containerimage.digest", image.id.to_string()),
    ]);
    if !names.is_empty() {
        told.insert("image.name", names.join(","));
    }
    serde_json::to_string_pretty(&told).unwrap_or_default()
}

/// What is to become of the image.
struct Asked {
    /// Its names in the store.
    names: Vec<Reference>,
    outputs: Vec<Output>,
    is_passing: bool,
    is_pushed: bool,
}

impl Asked {
    fn of(args: &BuildArgs, base: &Path) -> Result<Self, CliError> {
        let tags = args
            .tag
            .iter()
            .map(|text| Reference::parse(text).map_err(|error| CliError::from_error(&error)));
        let mut asked = Self {
            names: tags.collect::<Result<_, _>>()?,
            outputs: Vec::new(),
            is_passing: !args.output.is_empty() && !args.load && !args.push,
            is_pushed: args.push,
        };
        for text in &args.output {
            let output = outputs::Asked::parse(text, base);
            match output.map_err(|error| CliError::new(format!("--output: {error}")))? {
                outputs::Asked::Kept { names, is_pushed } => {
                    asked.names.extend(names);
                    asked.is_passing = false;
                    asked.is_pushed |= is_pushed;
                }
                outputs::Asked::Written(output) => asked.outputs.push(output),
                outputs::Asked::Nothing => {}
            }
        }
        for output in &mut asked.outputs {
            if let Form::Image(names) = &mut output.form {
                names.extend(asked.names.iter().cloned());
            }
        }
        if asked.is_passing {
            asked.names.clear();
        }
        Ok(asked)
    }
}

fn request(
    context: &Context,
    args: &BuildArgs,
    asked: Asked,
    base: &Path,
) -> Result<Request, CliError> {
    let environment: BTreeMap<String, String> = env::all().into_iter().collect();
    let variable = |name: &str| environment.get(name).cloned();
    let (place, dockerfile) = sources(context, args, base)?;
    let mut grants = Grants::default();
    for entitlement in &args.allow {
        let granted = grants.add(entitlement);
        granted.map_err(|why| CliError::new(format!("--allow {entitlement}: {why}")))?;
    }
    let build_args = args.build_arg.iter().filter_map(|text| {
        let (name, value) = parse::variable(text);
        let value = value.or_else(|| variable(&name))?;
        Some((name, value))
    });
    let build_args: BTreeMap<String, String> = build_args.collect();
    let epoch = build_args
        .get("SOURCE_DATE_EPOCH")
        .cloned()
        .or_else(|| variable("SOURCE_DATE_EPOCH"));
    let mut contexts = BTreeMap::new();
    for text in &args.build_context {
        let (name, value) = pair("--build-context", text)?;
        contexts.insert(name.to_owned(), ContextPlace::parse(value, base));
    }
    let platforms = args.platform.iter().map(|text| {
        let platform = Platform::parse(text);
        platform.map_err(|error| CliError::from_error(&error))
    });
    let mut platforms: Vec<Platform> = platforms.collect::<Result<_, _>>()?;
    first(&mut platforms, &Platform::host());
    Ok(Request {
        at: Places::default(),
        label: String::new(),
        dockerfile,
        context: place,
        contexts,
        target: args.target.clone(),
        args: build_args,
        labels: args.label.iter().map(|text| parse::label(text)).collect(),
        names: asked.names,
        outputs: asked.outputs,
        is_passing: asked.is_passing,
        cache_from: caches("--cache-from", &args.cache_from, |text| {
            CacheFrom::parse(text, base)
        })?,
        cache_to: caches("--cache-to", &args.cache_to, |text| {
            CacheTo::parse(text, base)
        })?,
        no_cache: args.no_cache,
        no_cache_stages: args.no_cache_filter.clone(),
        pull: args.pull,
        network: args.network.clone(),
        grants,
        sandbox: args.sandbox.read()?,
        secrets: secrets(&args.secret, base, &variable)?,
        ssh: ssh(&args.ssh, base, &variable)?,
        platforms,
        epoch: epoch.and_then(|text| text.parse().ok()),
    })
}

/// Paths are relative to the current folder.
fn caches<T>(
    flag: &str,
    all: &[String],
    parse: impl Fn(&str) -> Result<T, SpecError>,
) -> Result<Vec<T>, CliError> {
    let refused = |error| CliError::new(format!("{flag}: {error}"));
    let parsed = all.iter().map(|text| parse(text).map_err(refused));
    parsed.collect()
}

/// The context and the Dockerfile. As with Docker, `--file` is relative to the current
/// folder where the context is one, and to the context otherwise.
fn sources(
    context: &Context,
    args: &BuildArgs,
    base: &Path,
) -> Result<(ContextPlace, DockerfilePlace), CliError> {
    let file = args.file.as_deref();
    if args.context != STDIN {
        let place = ContextPlace::parse(&args.context, base);
        let dockerfile = match (file, &place) {
            (Some(STDIN), _) => match streamed(context)? {
                Streamed::Other(bytes) => text(bytes)?,
                Streamed::Archive(_) => {
                    return Err(
                        CliError::new("standard input is an archive, and no Dockerfile")
                            .hint("for an archive as the context: skiff image build -"),
                    );
                }
            },
            (Some(file), ContextPlace::Folder(_)) => DockerfilePlace::File(base.join(file)),
            (Some(file), _) => DockerfilePlace::File(file.into()),
            (None, _) => DockerfilePlace::default(),
        };
        return Ok((place, dockerfile));
    }
    if file == Some(STDIN) {
        return Err(CliError::new(
            "standard input cannot be both the context and the Dockerfile",
        ));
    }
    match (streamed(context)?, file) {
        (Streamed::Archive(spooled), file) => Ok((
            ContextPlace::Spooled(spooled),
            file.map_or_else(DockerfilePlace::default, |file| {
                DockerfilePlace::File(file.into())
            }),
        )),
        (Streamed::Other(bytes), None) => Ok((ContextPlace::Nothing, text(bytes)?)),
        (Streamed::Other(_), Some(_)) => Err(CliError::new(
            "standard input is no archive, so it is the Dockerfile, and --file names another one",
        )),
    }
}

fn streamed(context: &Context) -> Result<Streamed, CliError> {
    let scratch = Store::open(&context.layout).scratch();
    let read = Streamed::read(std::io::stdin().lock(), &scratch);
    read.map_err(|error| CliError::new(format!("cannot read standard input: {error}")))
}

fn text(bytes: Vec<u8>) -> Result<DockerfilePlace, CliError> {
    let text = String::from_utf8(bytes).map_err(|_| {
        CliError::new("standard input is no Dockerfile: it is not UTF-8, and no archive either")
    })?;
    Ok(DockerfilePlace::Text {
        name: "Dockerfile of standard input".into(),
        text,
    })
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), CliError> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.ok_or_else(|| CliError::new(format!("{flag} takes NAME=VALUE, not `{text}`")))
}
