//! `skiff images`.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::ListFormat;
use crate::cli::context::Context;
use crate::cli::describe;
use crate::cli::error::{CliError, CliResult};
use crate::image::{Image, Reference, Store};
use crate::ui::table::Table;
use crate::ui::units::{human_ago, human_size};
use crate::ui::write_out;

/// Width of a column, as `docker compose images` has it.
const COLUMN: usize = 20;
/// What Docker shows for an image without a name.
const NONE: &str = "<none>";

/// Flags of `skiff images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

struct Row {
    container: String,
    repository: String,
    tag: String,
    image: Option<Image>,
    id: String,
}

/// Lists the images that a project's containers were made of.
///
/// # Errors
/// No project can be told, a named service is unknown, or the store cannot be
/// read.
pub fn run(context: &Context, args: &ImagesArgs) -> CliResult {
    let target = context.target(&[])?;
    let mut views = context.containers(target.name())?;
    Context::check_services(&target, &views, &args.services)?;
    views.retain(|view| args.services.is_empty() || args.services.contains(&view.record.service));
    let store = Store::open(&context.layout);
    let mut rows = Vec::new();
    for view in &views {
        let image = store
            .find(&view.record.image_id)
            .map_err(|error| CliError::from_error(&error))?;
        let (repository, tag) = name(&view.record.image);
        rows.push(Row {
            container: view.record.name.clone(),
            repository,
            tag,
            image,
            id: view.record.image_id.clone(),
        });
    }
    let text = if args.quiet {
        let mut ids: Vec<&str> = rows.iter().map(|row| bare(&row.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.iter().map(|id| format!("{id}\n")).collect()
    } else if args.format == ListFormat::Json {
        let list: Vec<_> = rows.iter().map(object).collect();
        format!("{}\n", serde_json::Value::from(list))
    } else {
        table(&rows)
    };
    Ok(write_out(&text)?)
}

fn object(row: &Row) -> serde_json::Value {
    json!({
        "ID": row.id,
        "ContainerName": row.container,
        "Repository": row.repository,
        "Tag": row.tag,
        "Platform": row.image.as_ref().map(|image| image.platform.to_string()).unwrap_or_default(),
        "Size": row.image.as_ref().map_or(0, |image| image.size),
        "LastTagTime": row.image.as_ref().map(|image| image.pulled.to_string()).unwrap_or_default(),
    })
}

fn table(rows: &[Row]) -> String {
    let heads = [
        "CONTAINER",
        "REPOSITORY",
        "TAG",
        "PLATFORM",
        "IMAGE ID",
        "SIZE",
        "CREATED",
    ];
    let mut table = Table::new(&heads).min_width(COLUMN);
    let now = Timestamp::now();
    for row in rows {
        let image = row.image.as_ref();
        table.row(vec![
            row.container.clone(),
            row.repository.clone(),
            row.tag.clone(),
            image
                .map(|image| image.platform.to_string())
                .unwrap_or_default(),
            bare(&row.id).chars().take(12).collect(),
            image
                .map(|image| human_size(image.size))
                .unwrap_or_default(),
            image
                .and_then(|image| image.created.as_deref())
                .map_or_else(
                    || "N/A".to_owned(),
                    |created| human_ago(describe::elapsed(Some(created), now)),
                ),
        ]);
    }
    table.render()
}

/// A digest without its algorithm.
fn bare(id: &str) -> &str {
    id.split_once(':').map_or(id, |(_, hex)| hex)
}

/// Repository and tag of the name that the service gives.
fn name(text: &str) -> (String, String) {
    Reference::parse(text).map_or_else(
        |_| (NONE.to_owned(), NONE.to_owned()),
        |reference| {
            let tag = reference.tag().unwrap_or(NONE).to_owned();
            (reference.familiar_name(), tag)
        },
    )
}
