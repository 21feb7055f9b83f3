//! `skiff image build`: an image of a Dockerfile, without a Compose file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::build::graph::{Grants, Sandbox};
use crate::build::request::{ContextPlace, DockerfilePlace, Request, SshSource};
use crate::build::shared_cache::{CacheFrom, CacheTo, SpecError};
use crate::cli::building::{self, Job};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::{folder, parse};
use crate::compose::parse_bytes;
use crate::env;
use crate::image::{Platform, Reference};
use crate::reconcile::build::{Requests, first};
use crate::reconcile::{self, Session};

/// What the build is for, where a project's name is asked: none can have this one.
const NO_PROJECT: &str = "build.";
/// Standard input, as a Dockerfile or as a context.
const STDIN: &str = "-";
/// Longest Dockerfile that is read from standard input, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// Flags of `skiff image build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A name for /etc/hosts: NAME:ADDRESS, the address may be `host-gateway`
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Grant `network.host` or `security.insecure` to commands that ask for it
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<String>,
    /// Set a build argument; NAME alone takes the caller's
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
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
    /// Check the Dockerfile, and build nothing
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
    /// Load the image into the store (that is done anyway)
    #[arg(long, hide = true)]
    load: bool,
    /// Most memory of each command: 512m
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Network of commands: default, none or host
    #[arg(long)]
    network: Option<String>,
    /// Carry every step out, whatever is cached
    #[arg(long)]
    no_cache: bool,
    /// Carry the steps of these stages out
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// For these platforms instead of the host's
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    platform: Vec<String>,
    /// Pull base images anew
    #[arg(long)]
    pull: bool,
    /// Push the image under its names when it is built
    #[arg(long)]
    push: bool,
    /// Show no progress, and print the image's id
    #[arg(short, long)]
    quiet: bool,
    /// A secret: id=ID,src=FILE or id=ID,env=VARIABLE
    #[arg(long, value_name = "id=ID,…")]
    secret: Vec<String>,
    /// Size of /dev/shm: 64m
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// An SSH agent or keys: `default`, ID=SOCKET or ID=KEY[,KEY]
    #[arg(long, value_name = "ID[=SOCKET|KEY]")]
    ssh: Vec<String>,
    /// A name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// The stage to build (default: the last)
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// A limit of commands: nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// The folder that COPY copies from, a git address, or `-` for a Dockerfile on
    /// standard input
    #[arg(value_name = "CONTEXT")]
    context: String,
}

/// Builds an image.
///
/// # Errors
/// A flag is wrong, the Dockerfile is, or a step failed.
pub fn run(context: &Context, args: &BuildArgs) -> CliResult {
    let request = request(args)?;
    if args.push && request.names.is_empty() {
        return Err(
            CliError::new("--push needs a name to push to").hint("add `-t REGISTRY/NAME:TAG`")
        );
    }
    let names = request.names.clone();
    let requests = Requests::one(request);
    let job = Job {
        project: NO_PROJECT,
        requests: &requests,
        quiet: args.quiet,
    };
    if args.check {
        return job.check(context);
    }
    let built = job.build(context, async |session: &Session<'_>| {
        if args.push {
            reconcile::push_names(session, &names).await?;
        }
        Ok(())
    })?;
    if let (Some(path), Some((_, image))) = (&args.iidfile, built.first()) {
        let written = fs_err::write(path, image.id.to_string());
        written.map_err(|error| CliError::from_error(&error))?;
    }
    Ok(())
}

fn request(args: &BuildArgs) -> Result<Request, CliError> {
    let base = folder::current(&[])?;
    let environment: BTreeMap<String, String> = env::all().into_iter().collect();
    let variable = |name: &str| environment.get(name).cloned();
    let place = match args.context.as_str() {
        STDIN => ContextPlace::Nothing,
        text => ContextPlace::parse(text, &base),
    };
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
        contexts.insert(name.to_owned(), ContextPlace::parse(value, &base));
    }
    let names = args
        .tag
        .iter()
        .map(|text| Reference::parse(text).map_err(|error| CliError::from_error(&error)));
    let platforms = args.platform.iter().map(|text| {
        let platform = Platform::parse(text);
        platform.map_err(|error| CliError::from_error(&error))
    });
    let mut platforms: Vec<Platform> = platforms.collect::<Result<_, _>>()?;
    first(&mut platforms, &Platform::host());
    Ok(Request {
        context_at: None,
        label: String::new(),
        dockerfile: dockerfile(args, &place, &base)?,
        context: place,
        contexts,
        target: args.target.clone(),
        args: build_args,
        labels: args.label.iter().map(|text| parse::label(text)).collect(),
        names: names.collect::<Result<_, _>>()?,
        cache_from: caches("--cache-from", &args.cache_from, |text| {
            CacheFrom::parse(text, &base)
        })?,
        cache_to: caches("--cache-to", &args.cache_to, |text| {
            CacheTo::parse(text, &base)
        })?,
        no_cache: args.no_cache,
        no_cache_stages: args.no_cache_filter.clone(),
        pull: args.pull,
        network: args.network.clone(),
        grants,
        sandbox: sandbox(args)?,
        secrets: secrets(&args.secret, &base, &variable)?,
        ssh: ssh(&args.ssh, &base, &variable)?,
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

/// As with Docker, `--file` is relative to the current folder where the context is
/// one, and to the context otherwise.
fn dockerfile(
    args: &BuildArgs,
    place: &ContextPlace,
    base: &Path,
) -> Result<DockerfilePlace, CliError> {
    match (args.file.as_deref(), place) {
        (Some(STDIN), _) | (None, ContextPlace::Nothing) => Ok(DockerfilePlace::Text {
            name: "Dockerfile of standard input".into(),
            text: standard_input()?,
        }),
        (Some(file), ContextPlace::Folder(_) | ContextPlace::Nothing) => {
            Ok(DockerfilePlace::File(base.join(file)))
        }
        (Some(file), _) => Ok(DockerfilePlace::File(file.into())),
        (None, _) => Ok(DockerfilePlace::default()),
    }
}

fn standard_input() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(MOST + 1);
    let read = input.read_to_end(&mut bytes);
    read.map_err(|error| CliError::new(format!("cannot read standard input: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
        return Err(CliError::new("standard input is too long for a Dockerfile"));
    }
    String::from_utf8(bytes).map_err(|_| {
        CliError::new("standard input is no Dockerfile: it is not UTF-8")
            .hint("unpack an archive, and name its folder as the context")
    })
}

fn sandbox(args: &BuildArgs) -> Result<Sandbox, CliError> {
    let mut sandbox = Sandbox {
        memory: args.memory.as_deref().map(building::memory).transpose()?,
        ..Sandbox::default()
    };
    for text in &args.add_host {
        let parts = text.split_once(['=', ':']);
        let (name, address) = parts
            .ok_or_else(|| CliError::new(format!("--add-host takes NAME:ADDRESS, not `{text}`")))?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
            return Err(CliError::new(format!(
                "--add-host {text}: `{address}` is neither an address nor `host-gateway`"
            )));
        }
        sandbox
            .extra_hosts
            .push((name.to_owned(), address.to_owned()));
    }
    if let Some(text) = &args.shm_size {
        let bytes = parse_bytes(text).and_then(|bytes| u64::try_from(bytes).ok());
        sandbox.shm_size = Some(bytes.ok_or_else(|| {
            CliError::new(format!("--shm-size takes `64m` and the like, not `{text}`"))
        })?);
    }
    for text in &args.ulimit {
        sandbox.ulimits.push(ulimit(text).ok_or_else(|| {
            CliError::new(format!(
                "--ulimit takes `nofile=1024:2048` and the like, not `{text}`"
            ))
        })?);
    }
    Ok(sandbox)
}

/// `nofile=1024` or `nofile=1024:2048`: name, soft and hard limit; -1 is none.
fn ulimit(text: &str) -> Option<(String, i64, i64)> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase());
    is_word.then_some((name.to_owned(), soft.parse().ok()?, hard.parse().ok()?))
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), CliError> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.ok_or_else(|| CliError::new(format!("{flag} takes NAME=VALUE, not `{text}`")))
}

fn secrets(
    flags: &[String],
    base: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let mut secrets = BTreeMap::new();
    for text in flags {
        let bad = |why: String| CliError::new(format!("--secret {text}: {why}"));
        let secret = Secret::parse(text).map_err(bad)?;
        let content = if let Some(file) = &secret.file {
            fs_err::read(base.join(file)).map_err(|error| bad(error.to_string()))?
        } else {
            // A variable of its own name counts before a file of it, as with Docker.
            let name = secret.variable.as_ref().unwrap_or(&secret.id);
            match variable(name) {
                Some(value) => value.into_bytes(),
                None if secret.variable.is_some() => {
                    return Err(bad(format!("the variable `{name}` is not set")));
                }
                None => fs_err::read(base.join(name)).map_err(|error| bad(error.to_string()))?,
            }
        };
        secrets.insert(secret.id, content);
    }
    Ok(secrets)
}

/// `--secret`, as `docker build` has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Secret {
    id: String,
    file: Option<String>,
    variable: Option<String>,
}

impl Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let mut secret = Self::default();
        let mut kind = None;
        for field in text.split(',') {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| format!("`{field}` is not KEY=VALUE"))?;
            match key {
                "id" => value.clone_into(&mut secret.id),
                "src" | "source" => secret.file = Some(value.to_owned()),
                "env" => secret.variable = Some(value.to_owned()),
                "type" if ["file", "env"].contains(&value) => kind = Some(value),
                "type" => return Err(format!("`{value}` is no type; there are `file` and `env`")),
                _ => {
                    return Err(format!(
                        "`{key}` is no key; there are `id`, `src`, `env` and `type`"
                    ));
                }
            }
        }
        if secret.id.is_empty() {
            return Err("it has no id".to_owned());
        }
        // `type=env,src=NAME` is a variable, too.
        if kind == Some("env") && secret.variable.is_none() {
            secret.variable = secret.file.take();
        }
        Ok(secret)
    }
}

fn ssh(
    flags: &[String],
    base: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, SshSource>, CliError> {
    let mut sources = BTreeMap::new();
    for text in flags {
        let (id, path) = parse::variable(text);
        let source = SshSource::given(path, variable("SSH_AUTH_SOCK"), base);
        let source = source.ok_or_else(|| {
            CliError::new(format!(
                "--ssh {text}: there is no agent: SSH_AUTH_SOCK is not set"
            ))
        })?;
        sources.insert(id, source);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_files_or_variables() {
        let secret = |id: &str, file: Option<&str>, variable: Option<&str>| Secret {
            id: id.to_owned(),
            file: file.map(str::to_owned),
            variable: variable.map(str::to_owned),
        };
        for (text, wanted) in [
            ("id=a,src=b", secret("a", Some("b"), None)),
            ("id=a,env=B", secret("a", None, Some("B"))),
            ("type=env,id=a,src=B", secret("a", None, Some("B"))),
            ("id=a", secret("a", None, None)),
        ] {
            assert_eq!(Secret::parse(text), Ok(wanted), "{text}");
        }
        for text in ["src=b", "id", "id=a,type=x", "id=a,target=b"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_have_a_name_and_one_or_two_numbers() {
        assert_eq!(ulimit("nofile=1:2"), Some(("nofile".to_owned(), 1, 2)));
        assert_eq!(ulimit("nofile=-1"), Some(("nofile".to_owned(), -1, -1)));
        for text in ["nofile", "nofile=x", "=1", "NoFile=1"] {
            assert_eq!(ulimit(text), None, "{text}");
        }
    }
}
