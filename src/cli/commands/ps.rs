//! `skiff ps`.

use clap::{ArgAction, Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::describe;
use crate::cli::error::CliResult;
use crate::cli::ports;
use crate::cli::template;
use crate::supervise::inspect::ContainerView;
use crate::ui::table::{Table, ellipsis};
use crate::ui::units::human_ago;
use crate::ui::write_out;

/// Characters of a mount's name that the JSON shows.
const MOUNT_WIDTH: usize = 15;

/// Flags of `skiff ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Show stopped containers too, and those of `run`
    #[arg(short, long)]
    all: bool,
    /// `table`, `json`, or a template such as `{{.Name}} {{.State}}`
    #[arg(long, default_value = "table")]
    format: String,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Print the services' names
    #[arg(long)]
    services: bool,
    /// Do not shorten commands
    #[arg(long)]
    no_trunc: bool,
    /// Only containers in this state
    #[arg(long = "status", value_enum)]
    status: Vec<State>,
    /// Only containers for which this holds: `status=STATE`
    #[arg(long, value_name = "status=STATE", value_parser = state_filter)]
    filter: Vec<State>,
    /// Containers of services that the file does not have, too
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
          default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    orphans: bool,
    /// Only containers of these services
    #[arg(value_name = "SERVICE")]
    only: Vec<String>,
}

/// The states that `--status` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Paused,
    Restarting,
    Removing,
    Running,
    Dead,
    Created,
    Exited,
}

/// `--filter status=running`; Docker knows `source`, too, which is always `docker`.
fn state_filter(text: &str) -> Result<State, String> {
    match text.split_once('=') {
        Some(("status", state)) => State::from_str(state, true),
        _ => Err("the filter is `status=STATE`".to_owned()),
    }
}

/// Lists a project's containers.
///
/// # Errors
/// No project can be told, a named service is unknown, or its records cannot
/// be read.
pub fn run(context: &Context, args: &PsArgs) -> CliResult {
    let target = context.target(&[])?;
    let mut views = context.containers(target.name())?;
    Context::check_services(&target, &views, &args.only)?;
    views.retain(|view| wanted(args, view));
    if let Some(project) = target.project().filter(|_| !args.orphans) {
        let known = |name: &String| {
            project.services.contains_key(name) || project.disabled_services.contains_key(name)
        };
        views.retain(|view| known(&view.record.service));
    }
    if args.quiet {
        return Ok(write_out(
            &views
                .iter()
                .map(|view| format!("{}\n", view.record.id))
                .collect::<String>(),
        )?);
    }
    if args.services {
        let mut names: Vec<&str> = views
            .iter()
            .map(|view| view.record.service.as_str())
            .collect();
        names.dedup();
        return Ok(write_out(
            &names
                .iter()
                .map(|name| format!("{name}\n"))
                .collect::<String>(),
        )?);
    }
    let now = Timestamp::now();
    let text = match args.format.as_str() {
        "table" => table(args, &views, now),
        "json" => views
            .iter()
            .map(|view| format!("{}\n", object(args, view, now)))
            .collect(),
        template => {
            let objects: Vec<_> = views.iter().map(|view| object(args, view, now)).collect();
            match template.strip_prefix("table ") {
                Some(template) => template::table(template, &heads(), &objects)?,
                None => template::lines(template, &objects)?,
            }
        }
    };
    Ok(write_out(&text)?)
}

fn wanted(args: &PsArgs, view: &ContainerView) -> bool {
    let state = describe::state(view);
    let mut states = args.status.iter().chain(&args.filter).peekable();
    let in_state = if states.peek().is_none() {
        args.all || (matches!(state, "running" | "paused" | "restarting") && !view.record.oneoff)
    } else {
        states.any(|wanted| {
            wanted
                .to_possible_value()
                .is_some_and(|value| value.get_name() == state)
        })
    };
    in_state && (args.only.is_empty() || args.only.contains(&view.record.service))
}

fn table(args: &PsArgs, views: &[ContainerView], now: Timestamp) -> String {
    let mut table = Table::new(&[
        "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
    ]);
    for view in views {
        table.row(vec![
            view.record.name.clone(),
            view.record.image.clone(),
            describe::command(view, !args.no_trunc),
            view.record.service.clone(),
            human_ago(describe::elapsed(Some(&view.record.created), now)),
            describe::status(view, now),
            ports::text(&describe::port_lines(view)),
        ]);
    }
    table.render()
}

/// The object that `--format json` prints, with Docker's field names.
fn object(args: &PsArgs, view: &ContainerView, now: Timestamp) -> serde_json::Value {
    let record = &view.record;
    let lines = describe::port_lines(view);
    let labels: Vec<String> = record
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let mounts: Vec<String> = view
        .mounts()
        .iter()
        .map(|name| {
            if args.no_trunc {
                name.clone()
            } else {
                ellipsis(name, MOUNT_WIDTH)
            }
        })
        .collect();
    json!({
        "Command": describe::command(view, !args.no_trunc),
        "CreatedAt": describe::created_at(view),
        "ExitCode": describe::exit_code(view),
        "Health": describe::health(view),
        "ID": record.id.short(),
        "Image": record.image,
        "Labels": labels.join(","),
        "LocalVolumes": record.launch.volumes.len().to_string(),
        "Mounts": mounts.join(","),
        "Name": record.name,
        "Names": record.name,
        "Networks": view.networks().join(","),
        "Ports": ports::text(&lines),
        "Project": record.project,
        "Publishers": publishers(&lines),
        "RunningFor": human_ago(describe::elapsed(Some(&record.created), now)),
        "Service": record.service,
        "Size": "0B",
        "State": describe::state(view),
        "Status": describe::status(view, now),
    })
}

/// Published and exposed ports by their numbers inside, as Docker lists them.
fn publishers(lines: &[ports::PortLine]) -> Vec<serde_json::Value> {
    lines
        .iter()
        .map(|line| {
            json!({
                "URL": line.ip.map(|ip| ip.to_string()).unwrap_or_default(),
                "TargetPort": line.private,
                "PublishedPort": line.public,
                "Protocol": ports::protocol(line.protocol),
            })
        })
        .collect()
}

/// Heads of the columns that a template can ask for, in Docker's words.
fn heads() -> serde_json::Value {
    json!({
        "Command": "COMMAND",
        "CreatedAt": "CREATED AT",
        "ExitCode": "EXIT CODE",
        "Health": "HEALTH",
        "ID": "CONTAINER ID",
        "Image": "IMAGE",
        "Labels": "LABELS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Mounts": "MOUNTS",
        "Name": "NAME",
        "Names": "NAMES",
        "Networks": "NETWORKS",
        "Ports": "PORTS",
        "Project": "PROJECT",
        "Publishers": "PUBLISHERS",
        "RunningFor": "CREATED",
        "Service": "SERVICE",
        "Size": "SIZE",
        "State": "STATE",
        "Status": "STATUS",
    })
}
