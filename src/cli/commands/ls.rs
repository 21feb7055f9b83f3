//! `skiff ls`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::args::ListFormat;
use crate::cli::context::Context;
use crate::cli::describe;
use crate::cli::error::{CliError, CliResult};
use crate::reconcile::observe::belongings;
use crate::ui::table::Table;
use crate::ui::write_out;

/// Width of a column, as `docker compose ls` has it.
const COLUMN: usize = 20;

/// Flags of `skiff ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show stopped projects too, and those that have networks or volumes only
    #[arg(short, long)]
    all: bool,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
    /// Only projects for which this holds: `name=PART`, `^` and `$` for its ends
    #[arg(long, value_name = "name=PART", value_parser = name_filter)]
    filter: Vec<NameFilter>,
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
}

struct Row {
    name: String,
    status: String,
    config_files: String,
}

/// `--filter name=PART`: part of a name, with `^` and `$` its beginning and end.
#[derive(Debug, Clone)]
struct NameFilter {
    part: String,
    at_start: bool,
    at_end: bool,
}

impl NameFilter {
    fn fits(&self, name: &str) -> bool {
        let part = self.part.as_str();
        match (self.at_start, self.at_end) {
            (true, true) => name == part,
            (true, false) => name.starts_with(part),
            (false, true) => name.ends_with(part),
            (false, false) => name.contains(part),
        }
    }
}

fn name_filter(text: &str) -> Result<NameFilter, String> {
    let part = text
        .strip_prefix("name=")
        .ok_or_else(|| "the filter is `name=PART`".to_owned())?;
    let (part, at_start) = part
        .strip_prefix('^')
        .map_or((part, false), |rest| (rest, true));
    let (part, at_end) = part
        .strip_suffix('$')
        .map_or((part, false), |rest| (rest, true));
    Ok(NameFilter {
        part: part.to_owned(),
        at_start,
        at_end,
    })
}

/// Lists the projects of this machine.
///
/// # Errors
/// The records cannot be read.
pub fn run(context: &Context, args: &LsArgs) -> CliResult {
    let mut rows = rows(context, args.all)?;
    rows.retain(|row| args.filter.is_empty() || args.filter.iter().any(|one| one.fits(&row.name)));
    let text = if args.quiet {
        rows.iter().map(|row| format!("{}\n", row.name)).collect()
    } else if args.format == ListFormat::Json {
        let list: Vec<_> = rows
            .iter()
            .map(|row| json!({"Name": row.name, "Status": row.status, "ConfigFiles": row.config_files}))
            .collect();
        format!("{}\n", serde_json::Value::from(list))
    } else {
        let mut table = Table::new(&["NAME", "STATUS", "CONFIG FILES"]).min_width(COLUMN);
        for row in rows {
            table.row(vec![row.name, row.status, row.config_files]);
        }
        table.render()
    };
    Ok(write_out(&text)?)
}

fn rows(context: &Context, all: bool) -> Result<Vec<Row>, CliError> {
    let mut rows = Vec::new();
    for name in context.projects()? {
        let views = context.containers(&name)?;
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for view in &views {
            *states.entry(describe::state(view)).or_default() += 1;
        }
        let live = ["running", "paused", "restarting"]
            .iter()
            .any(|state| states.contains_key(state));
        if views.is_empty() || !(all || live) {
            continue;
        }
        if !all {
            states.retain(|state, _| matches!(*state, "running" | "paused" | "restarting"));
        }
        let status: Vec<String> = states
            .iter()
            .map(|(state, count)| format!("{state}({count})"))
            .collect();
        let config_files = views
            .iter()
            .find_map(|view| {
                view.record
                    .labels
                    .get("com.docker.compose.project.config_files")
            })
            .cloned()
            .unwrap_or_default();
        rows.push(Row {
            name,
            status: status.join(", "),
            config_files,
        });
    }
    if all {
        rows.extend(without_containers(context, &rows)?);
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(rows)
}

/// Projects of which networks or volumes are left: `volume(1)`.
fn without_containers(context: &Context, listed: &[Row]) -> Result<Vec<Row>, CliError> {
    let found = belongings(&context.layout).map_err(|error| CliError::from_error(&error))?;
    let unlisted = found
        .into_iter()
        .filter(|(name, _)| listed.iter().all(|row| row.name != *name));
    let rows = unlisted.map(|(name, (networks, volumes))| {
        let status: Vec<String> = [("network", networks), ("volume", volumes)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{kind}({count})"))
            .collect();
        Row {
            name,
            status: status.join(", "),
            config_files: String::new(),
        }
    });
    Ok(rows.collect())
}
