//! `skiff run`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::exec::exit;
use super::image_flags::ImageFlags;
use super::run_watch;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::relay::{Input, Outputs, Streams};
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::{interactive, parse, runtime};
use crate::compose::{LoadOptions, Project, mount_flag, parse_env_file, port_flag, split_words};
use crate::reconcile::{self, Overrides, Prepared, RunOptions, UpChoices, cancel_pair};
use crate::supervise::client::{Client, ClientError, Conversation};
use crate::supervise::wire::{ChangeKind, Request};
use crate::ui::{self, write_err, write_out};

/// Flags of `skiff run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run in the background and print the container's name
    #[arg(short, long)]
    detach: bool,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Set a variable; NAME alone takes the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set variables from a file
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,
    /// Instead of the image's entrypoint
    #[arg(long)]
    entrypoint: Option<String>,
    /// Keep standard input open (the default)
    #[arg(short, long)]
    interactive: bool,
    /// A terminal; the default where there is one
    #[arg(short, long, hide = true)]
    tty: bool,
    /// No terminal (default: one where standard input and output are terminals)
    #[arg(short = 'T', long = "no-TTY", alias = "no-tty")]
    no_tty: bool,
    /// Add a label
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// The container's name
    #[arg(long)]
    name: Option<String>,
    /// Leave dependencies alone
    #[arg(long)]
    no_deps: bool,
    /// Publish a port
    #[arg(short, long)]
    publish: Vec<String>,
    /// Publish the service's ports
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Use the service's names on its networks
    #[arg(long)]
    use_aliases: bool,
    /// User or user:group
    #[arg(short, long)]
    user: Option<String>,
    /// Mount a volume
    #[arg(short, long)]
    volume: Vec<String>,
    /// Working folder
    #[arg(short, long)]
    workdir: Option<String>,
    /// Add a capability
    #[arg(long)]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long)]
    cap_drop: Vec<String>,
    /// Images.
    #[command(flatten)]
    images: ImageFlags,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,
    /// Run the command again whenever a file of the service changes: those that its
    /// `develop.watch` names, else what it mounts or is built from
    #[arg(long, conflicts_with = "detach")]
    watch: bool,
    /// Clear the terminal before each run
    #[arg(long, requires = "watch")]
    clear: bool,
    /// Service
    service: String,
    /// Command and arguments instead of the service's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a one-off command on a service and ends with its exit code.
///
/// # Errors
/// The file is wrong, a dependency failed, the command cannot be executed, or
/// its exit code.
pub fn run(context: &Context, args: &RunArgs) -> CliResult {
    let services = [args.service.clone()];
    let load = LoadOptions {
        // `-v` may name a volume that no service uses.
        all_resources: !args.volume.is_empty(),
        ..context.load_options(&services)?
    };
    let project = context.load_with(&load)?;
    context.check_known(&project, &services)?;
    let terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let tty = terminals && !args.no_tty && !args.detach;
    let removed_at_end = args.rm || args.watch;
    let options = RunOptions {
        choices: UpChoices {
            no_deps: args.no_deps,
            remove_orphans: args.remove_orphans,
            ignore_orphans: session::ignore_orphans(&project),
            ..UpChoices::default()
        },
        pull: args.images.pull()?,
        build: args.images.build(),
        overrides: overrides(context, &project, args, tty)?,
    };
    if args.watch {
        let again = run_watch::Again {
            context,
            service: &args.service,
            load,
            options,
            quiet: (args.quiet, args.images.quiet()),
            clears: args.clear && std::io::stdout().is_terminal(),
        };
        return runtime::block_on(again.run(project));
    }
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let console = if args.quiet {
            ui::progress::silent()
        } else {
            ui::progress::muted(context.sink(), args.images.quiet())
        };
        let work = Work::showing(context, &project.name, &cancel, console);
        let session = work.session();
        let overrides = options.overrides.clone();
        let prepare = reconcile::run_prepare(&session, &project, &args.service, options);
        let prepared = session::interruptible(&*work.console(), prepare, &handle, &mut interrupts)
            .await
            .map_err(|error| session::error(context, &error))?;
        drop(work);
        let _watch = session::watch(&context.layout, &project.name, context.sink());
        let client = tokio::select! {
            client = Client::ensure(&context.layout, &project.name) => client,
            _ = interrupts.next() => return Err(CliError::Interrupted),
        };
        let client = client.map_err(|error| CliError::from_error(&error))?;
        let oneoff = OneOff {
            context,
            project: &project,
            client: &client,
            overrides: &overrides,
            prepared: &prepared,
            removed_at_end,
        };
        let code = if args.detach {
            let started = tokio::select! {
                started = oneoff.start(&[]) => started,
                _ = interrupts.next() => return Err(CliError::Interrupted),
            };
            started.map_err(|error| oneoff.error(&error))?;
            return Ok(write_out(&format!("{}\n", prepared.container.id))?);
        } else if tty {
            tokio::select! {
                code = oneoff.on_terminal() => code,
                // Once the program has the terminal, Ctrl-C is a key for it.
                _ = interrupts.next() => return Err(CliError::Interrupted),
            }
        } else {
            oneoff.on_pipes(&mut interrupts).await
        };
        exit(code.map_err(|error| oneoff.error(&error))?)
    })
}

fn overrides(
    context: &Context,
    project: &Project,
    args: &RunArgs,
    tty: bool,
) -> Result<Overrides, CliError> {
    let bad = |flag: &str, text: &str, why: String| CliError::new(format!("{flag} {text}: {why}"));
    let mut environment = Vec::new();
    for path in &args.env_from_file {
        let text = fs_err::read_to_string(path).map_err(|error| CliError::from_error(&error))?;
        let pairs = parse_env_file(&text, &project.environment)
            .map_err(|why| bad("--env-from-file", &path.display().to_string(), why))?;
        environment.extend(pairs.into_iter().map(|(name, value)| (name, Some(value))));
    }
    environment.extend(args.env.iter().map(|text| {
        let (name, value) = parse::variable(text);
        let value = value.or_else(|| project.environment.get(&name).cloned());
        (name, value)
    }));
    let mut ports = Vec::new();
    for text in &args.publish {
        ports.extend(port_flag(text).map_err(|why| bad("-p", text, why))?);
    }
    let home = project.environment.get("HOME").map(String::as_str);
    let folder = context.load_options(&[])?.cwd;
    let mut volumes = Vec::new();
    for text in &args.volume {
        volumes.push(mount_flag(text, &folder, home).map_err(|why| bad("-v", text, why))?);
    }
    let entrypoint = match &args.entrypoint {
        Some(text) => Some(split_words(text).map_err(|why| bad("--entrypoint", text, why))?),
        None => None,
    };
    Ok(Overrides {
        command: args.command.clone(),
        entrypoint,
        environment,
        volumes,
        ports,
        service_ports: args.service_ports,
        labels: args.label.iter().map(|text| parse::label(text)).collect(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        name: args.name.clone(),
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        tty,
        interactive: !args.detach,
        auto_remove: args.rm || args.watch,
        use_aliases: args.use_aliases,
    })
}

/// The exit code of a command that a signal ended.
const INTERRUPTED: i32 = 130;

/// A one-off that was created and is to be started here.
pub(super) struct OneOff<'a> {
    pub(super) context: &'a Context,
    pub(super) project: &'a Project,
    pub(super) client: &'a Client,
    pub(super) overrides: &'a Overrides,
    pub(super) prepared: &'a Prepared,
    /// `--rm`
    pub(super) removed_at_end: bool,
}

impl OneOff<'_> {
    pub(super) async fn start(
        &self,
        fds: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let id = self.prepared.container.id.clone();
        let request = Request::Start {
            id,
            stdio: !fds.is_empty(),
        };
        self.client.call(request, fds).await?;
        let layout = &self.context.layout;
        reconcile::tell_of_groups(&*self.context.sink(), layout, &self.project.name);
        Ok(())
    }

    /// Why it could not be started, with the place in the file that accounts
    /// for it, as `up` tells it.
    pub(super) fn error(&self, error: &ClientError) -> CliError {
        let Some(failure) = error.failure() else {
            return CliError::from_error(error);
        };
        let service = &self.prepared.container.service;
        match reconcile::start_failure(self.project, service, self.overrides, failure) {
            Some(diagnostic) => self.context.refusal(std::iter::once(&diagnostic)),
            None => failure
                .hint()
                .into_iter()
                .fold(CliError::from_error(error), CliError::hint),
        }
    }

    async fn on_terminal(&self) -> Result<i32, ClientError> {
        let id = &self.prepared.container.id;
        let mut changes = self.client.start(Request::Subscribe, &[]).await?;
        let attached = self.client.attach(id).await?;
        self.start(&[]).await?;
        let Some(code) = interactive::show_terminal(self.client, id, attached).await? else {
            let name = &self.prepared.container.name;
            write_err(&format!("\r\nDetached: {name} runs on\r\n"));
            return Ok(0);
        };
        if !self.removed_at_end {
            return Ok(code);
        }
        loop {
            match changes.next_change().await {
                Ok(change) if change.id == *id && change.kind == ChangeKind::Removed => break,
                Ok(_) => {}
                // The supervisor ends with its last container.
                Err(ClientError::Lost { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(code)
    }

    /// Starts it on the caller's streams, or on pipes to them.
    async fn start_on_pipes(&self) -> Result<(Conversation, Outputs), ClientError> {
        // Asked before the start, so that an end at once is not missed.
        let changes = self.client.start(Request::Subscribe, &[]).await?;
        let streams = Streams::new(Input::Caller).map_err(|error| self.client.broken(error))?;
        let (ends, outputs) = streams.into_parts();
        self.start(&ends.each_ref().map(std::os::fd::AsFd::as_fd))
            .await?;
        Ok((changes, outputs))
    }

    /// Hands pipes on, passes signals on, and waits for the end.
    async fn on_pipes(&self, interrupts: &mut Interrupts) -> Result<i32, ClientError> {
        let id = &self.prepared.container.id;
        let (mut changes, outputs) = tokio::select! {
            started = self.start_on_pipes() => started?,
            _ = interrupts.next() => return Ok(INTERRUPTED),
        };
        let mut last: Option<i32> = None;
        let code = loop {
            tokio::select! {
                change = changes.next_change() => {
                    let change = match (change, last) {
                        (Ok(change), _) => change,
                        // The supervisor ends with its last container.
                        (Err(ClientError::Lost { .. }), Some(code)) => break code,
                        (Err(error), _) => return Err(error),
                    };
                    match change.kind {
                        _ if change.id != *id => {}
                        ChangeKind::Exited { code, .. } => {
                            last = Some(code.unwrap_or(255));
                            if !self.removed_at_end {
                                break code.unwrap_or(255);
                            }
                        }
                        // `--rm` is over when the container is gone.
                        ChangeKind::Removed => break last.unwrap_or(255),
                        ChangeKind::Created | ChangeKind::Started | ChangeKind::Health(_) => {}
                    }
                }
                signal = interrupts.next() => {
                    let request = Request::Kill { id: id.clone(), signal };
                    let passed = tokio::select! {
                        passed = self.client.call(request, &[]) => passed,
                        // Nobody takes the first one.
                        _ = interrupts.next() => return Ok(INTERRUPTED),
                    };
                    match passed {
                        // Its end is on its way.
                        Err(ClientError::Refused(_)) | Ok(_) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        };
        tokio::task::spawn_blocking(move || outputs.finish())
            .await
            .ok();
        Ok(code)
    }
}
