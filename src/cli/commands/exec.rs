//! `skiff exec`.

use std::io::IsTerminal;

use clap::Args;

use crate::causes::with_causes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::relay::{Input, Streams};
use crate::cli::session;
use crate::cli::signals::Interrupts;
use crate::cli::{interactive, parse, runtime};
use crate::reconcile::exec::{ExecOptions, exec_spec};
use crate::supervise::client::{Client, ClientError};
use crate::supervise::inspect::ContainerView;
use crate::supervise::wire::{Failure, Reply, Request};

/// Flags of `skiff exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Set a variable; NAME alone takes the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Replica number
    #[arg(long)]
    index: Option<u32>,
    /// No terminal (default: one where standard input and output are terminals)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    no_tty: bool,
    /// Keep standard input open; always so
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// A terminal; the default where there is one
    #[arg(short, long, hide = true)]
    tty: bool,
    /// All capabilities for this process
    #[arg(long)]
    privileged: bool,
    /// User or user:group
    #[arg(short, long)]
    user: Option<String>,
    /// Working folder
    #[arg(short, long)]
    workdir: Option<String>,
    /// Service
    service: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// Exit code for a working directory that is no absolute path, as runc has it.
const RELATIVE_FOLDER: u8 = 128;

/// Runs a command in a service's running container and ends with its exit code.
///
/// # Errors
/// The service does not run, the command cannot be executed, or its exit code.
pub fn run(context: &Context, args: &ExecArgs) -> CliResult {
    let target = context.target(&[])?;
    let views = context.containers(target.name())?;
    Context::check_services(&target, &views, std::slice::from_ref(&args.service))?;
    let view = choose(&views, args)?;
    if let Some(folder) = args.workdir.as_deref().filter(|dir| !dir.starts_with('/')) {
        return Err(CliError::Code {
            message: format!("the working directory `{folder}` must be an absolute path"),
            code: RELATIVE_FOLDER,
        });
    }
    let tty = !args.no_tty && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let options = ExecOptions {
        command: args.command.clone(),
        environment: args.env.iter().map(|text| parse::variable(text)).collect(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        privileged: args.privileged,
        tty: tty && !args.detach,
    };
    let spec = exec_spec(&view.record, options, &crate::env::all());
    let request = Request::Exec {
        id: view.record.id.clone(),
        spec: Box::new(spec),
        tty: tty && !args.detach,
        detach: args.detach,
    };
    runtime::block_on(async {
        let _watch = session::watch(&context.layout, target.name(), context.sink());
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            done = execute(context, target.name(), args, request, tty) => done,
            // With a terminal of its own, Ctrl-C is a key like any other.
            _ = interrupts.next() => Err(CliError::Interrupted),
        }
    })
}

async fn execute(
    context: &Context,
    project: &str,
    args: &ExecArgs,
    request: Request,
    tty: bool,
) -> CliResult {
    let client = Client::connect(&context.layout, project)
        .await
        .map_err(|error| failure(&error))?
        .ok_or_else(|| not_running(&args.service))?;
    if args.detach {
        return detached(&client, request).await;
    }
    let code = if tty {
        interactive::exec(&client, request).await
    } else {
        piped(&client, request).await
    };
    exit(code.map_err(|error| failure(&error))?)
}

fn choose<'a>(views: &'a [ContainerView], args: &ExecArgs) -> Result<&'a ContainerView, CliError> {
    let mut live: Vec<&ContainerView> = views
        .iter()
        .filter(|view| view.record.service == args.service && view.is_live() && !view.record.oneoff)
        .collect();
    live.sort_by_key(|view| view.record.number);
    match args.index {
        None => live
            .first()
            .copied()
            .ok_or_else(|| not_running(&args.service)),
        Some(index) => live
            .into_iter()
            .find(|view| view.record.number == index)
            .ok_or_else(|| {
                CliError::new(format!(
                    "service \"{}\" is not running container #{index}",
                    args.service
                ))
            }),
    }
}

fn not_running(service: &str) -> CliError {
    CliError::new(format!("service \"{service}\" is not running"))
        .hint(format!("start it with: skiff up -d {service}"))
}

async fn detached(client: &Client, request: Request) -> CliResult {
    let started = client.call(request, &[]).await;
    started.map(drop).map_err(|error| failure(&error))
}

async fn piped(client: &Client, request: Request) -> Result<i32, ClientError> {
    let streams = Streams::new(Input::Caller).map_err(|error| client.broken(error))?;
    let (ends, outputs) = streams.into_parts();
    let mut conversation = client
        .start(request, &ends.each_ref().map(std::os::fd::AsFd::as_fd))
        .await?;
    // The process's copies are the only ones now, so its end is the pipes' end.
    drop(ends);
    let code = loop {
        let answer = conversation.next().await?;
        match answer.reply {
            Reply::ExecStarted { .. } | Reply::Event(_) => {}
            Reply::ExecExited { code } => break code,
            other => return Err(conversation.unfitting(&other)),
        }
    };
    tokio::task::spawn_blocking(move || outputs.finish())
        .await
        .ok();
    Ok(code)
}

/// A command's exit code as ours.
pub(super) fn exit(code: i32) -> CliResult {
    match code {
        0 => Ok(()),
        code => Err(CliError::Exit(u8::try_from(code).unwrap_or(u8::MAX))),
    }
}

/// A failed exec: 126 and 127 where the program cannot be executed, 1 for all
/// else, as `docker exec` has it.
fn failure(error: &ClientError) -> CliError {
    match error.failure() {
        Some(Failure::Init { name, error }) => CliError::Code {
            message: format!("container `{name}`: {}", with_causes(error)),
            code: match error.exit_code {
                126 => 126,
                127 => 127,
                _ => 1,
            },
        },
        _ => CliError::from_error(error),
    }
}
