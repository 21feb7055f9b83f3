//! `skiff image history`.

use clap::{ArgAction, Args};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ls::{COLUMN, formatted, id};
use super::{failed, find};
use crate::cli::context::Context;
use crate::cli::describe;
use crate::cli::error::{CliError, CliResult};
use crate::image::config::{ConfigFile, History};
use crate::image::{Image, Platform, Store};
use crate::ui::table::{Table, ellipsis};
use crate::ui::units::{human_ago, human_size};
use crate::ui::write_out;

/// Longest command that is shown, as Docker has it.
const COMMAND: usize = 45;
/// What Docker shows for the id of a step that is no image here.
const MISSING: &str = "<missing>";

/// Flags of `skiff image history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// `table`, `table TEMPLATE`, `json` or a template: `{{.CreatedBy}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
    /// Sizes and times in words
    #[arg(
        short = 'H',
        long,
        action = ArgAction::Set,
        default_value = "true",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    human: bool,
    /// Show ids and commands whole
    #[arg(long)]
    no_trunc: bool,
    /// The image has to be for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// An image by name or id
    image: String,
}

/// A step as it is shown.
struct Row {
    id: String,
    created: String,
    created_at: String,
    by: String,
    size: String,
    comment: String,
}

/// Shows an image's steps, the last one first.
///
/// # Errors
/// No such image; a template is wrong; the store cannot be read.
pub fn run(context: &Context, args: &HistoryArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let image = find(&store, &args.image)?;
    check_platform(&image, args.platform.as_deref())?;
    let rows = rows(&store, &image, args)?;
    let text = if args.quiet {
        rows.iter().map(|row| format!("{}\n", row.id)).collect()
    } else if args.format == "table" {
        table(&rows, args.human)
    } else {
        let objects: Vec<Value> = rows.iter().map(object).collect();
        formatted(&args.format, &heads(args.human), &objects)?
    };
    Ok(write_out(&text)?)
}

/// Refuses an image that is for another platform than was asked for.
pub(super) fn check_platform(image: &Image, wanted: Option<&str>) -> CliResult {
    let Some(text) = wanted else { return Ok(()) };
    let wanted = Platform::parse(text).map_err(|error| CliError::from_error(&error))?;
    if wanted.fitness(&image.platform).is_some() {
        return Ok(());
    }
    Err(CliError::new(format!(
        "image {} is for {}, not for {wanted}",
        image.id.short(),
        image.platform
    )))
}

fn rows(store: &Store, image: &Image, args: &HistoryArgs) -> Result<Vec<Row>, CliError> {
    let parsed = ConfigFile::parse(image.raw_config.as_bytes());
    let config = parsed.map_err(|error| CliError::from_error(&error))?;
    let mut steps = config.history;
    let with_layer = |step: &&History| !step.empty_layer;
    // An image need not tell its history; its layers are there all the same.
    let untold = config.rootfs.diff_ids.len();
    let untold = untold.saturating_sub(steps.iter().filter(with_layer).count());
    steps.extend(std::iter::repeat_n(History::default(), untold));
    let mut layers = config.rootfs.diff_ids.iter();
    let mut rows = Vec::new();
    let now = Timestamp::now();
    for step in steps {
        let layer = (!step.empty_layer).then(|| layers.next()).flatten();
        let size = layer.map_or(Ok(0), |layer| store.layer_size(layer));
        let size = size.map_err(|error| failed(&error))?;
        rows.push(row(step, size, args, now));
    }
    rows.reverse();
    if let Some(first) = rows.first_mut() {
        id(image, args.no_trunc).clone_into(&mut first.id);
    }
    Ok(rows)
}

fn row(step: History, size: u64, args: &HistoryArgs, now: Timestamp) -> Row {
    let time = step.created.as_deref();
    let at = time.and_then(|text| text.parse::<Timestamp>().ok());
    let at = at.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let at = at.unwrap_or_default();
    let by = step.created_by.unwrap_or_default().replace('\t', " ");
    Row {
        id: MISSING.to_owned(),
        created: if !args.human {
            at.clone()
        } else if at.is_empty() {
            "N/A".to_owned()
        } else {
            human_ago(describe::elapsed(time, now))
        },
        created_at: at,
        by: if args.no_trunc {
            by
        } else {
            ellipsis(&by, COMMAND)
        },
        size: if args.human {
            human_size(size)
        } else {
            size.to_string()
        },
        comment: step.comment.unwrap_or_default(),
    }
}

fn table(rows: &[Row], human: bool) -> String {
    let created = if human { "CREATED" } else { "CREATED AT" };
    let heads = ["IMAGE", created, "CREATED BY", "SIZE", "COMMENT"];
    let mut table = Table::new(&heads).min_width(COLUMN);
    for row in rows {
        table.row(vec![
            row.id.clone(),
            row.created.clone(),
            row.by.clone(),
            row.size.clone(),
            row.comment.clone(),
        ]);
    }
    table.render()
}

/// The fields that Docker's templates know.
fn object(row: &Row) -> Value {
    json!({
        "Comment": row.comment,
        "CreatedAt": row.created_at,
        "CreatedBy": row.by,
        "CreatedSince": row.created,
        "ID": row.id,
        "Size": row.size,
    })
}

fn heads(human: bool) -> Value {
    json!({
        "Comment": "COMMENT",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "CreatedSince": if human { "CREATED" } else { "CREATED AT" },
        "ID": "IMAGE",
        "Size": "SIZE",
    })
}
