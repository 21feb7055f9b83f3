//! `skiff image ls`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::containers::users;
use super::filters::{Filters, created};
use super::{NONE, failed};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::{describe, template};
use crate::image::{Image, Store};
use crate::ui::table::Table;
use crate::ui::units::{human_ago, human_size};
use crate::ui::write_out;

/// Narrowest column, as Docker has it.
pub(super) const COLUMN: usize = 10;
/// Filters of `docker image ls`.
const FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// Flags of `skiff image ls`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field a flag")]
pub struct LsArgs {
    /// Show all images (nothing is hidden anyway)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Only images for which this holds: dangling=, reference=, label=, before=, since=, until=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// `table`, `table TEMPLATE`, `json` or a template: `{{.Repository}}:{{.Tag}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
    /// Show ids and digests whole
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Only images of this name, which may be a pattern
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

/// An image under one of its names.
struct Row<'a> {
    repository: String,
    tag: String,
    digest: String,
    image: &'a Image,
}

/// Lists the images of this machine, the latest made first.
///
/// # Errors
/// A filter or a template is wrong; the store or the containers' records cannot
/// be read.
pub fn run(context: &Context, args: &LsArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let now = Timestamp::now();
    let mut filters = Filters::parse(&args.filter, &FILTERS, &store, now)?;
    if let Some(name) = &args.name {
        filters.add_reference(name)?;
    }
    let mut images = store.list_own().map_err(|error| failed(&error))?;
    images.retain(|image| filters.fits(image));
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let rows: Vec<Row<'_>> = images
        .iter()
        .flat_map(|image| rows(image, &filters, args.digests))
        .collect();
    let text = if args.quiet {
        let mut seen = BTreeSet::new();
        let new = rows.iter().filter(|row| seen.insert(&row.image.id));
        new.map(|row| format!("{}\n", id(row.image, args.no_trunc)))
            .collect()
    } else if args.format == "table" {
        table(&rows, args, now)
    } else {
        let users = users(context)?;
        let count = |image: &Image| {
            let used = users.iter().filter(|user| user.image == image.id.as_str());
            used.count()
        };
        let objects: Vec<Value> = rows
            .iter()
            .map(|row| object(row, count(row.image), args.no_trunc, now))
            .collect();
        formatted(&args.format, &heads(), &objects)?
    };
    Ok(write_out(&text)?)
}

/// Objects by `json`, `table TEMPLATE` or a template.
pub(super) fn formatted(
    format: &str,
    heads: &Value,
    objects: &[Value],
) -> Result<String, CliError> {
    match format.strip_prefix("table ") {
        Some(columns) => template::table(columns, heads, objects),
        None if format == "json" => template::lines("{{json .}}", objects),
        None => template::lines(format, objects),
    }
}

/// An image's rows: one for each tag, and for each digest where these are
/// shown; its repository alone where it has lost its tags.
fn rows<'a>(image: &'a Image, filters: &Filters, digests: bool) -> Vec<Row<'a>> {
    let row = |repository: &str, tag: &str, digest: &str| Row {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
        image,
    };
    let kept = |name: &&crate::image::Reference| filters.keeps(name);
    let mut by_repository: BTreeMap<String, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for name in image.names.iter().filter(kept) {
        let (tags, _) = by_repository.entry(name.familiar_name()).or_default();
        tags.extend(name.tag());
    }
    for name in image.repo_digests.iter().filter(kept) {
        let (_, of_name) = by_repository.entry(name.familiar_name()).or_default();
        of_name.extend(name.digest().map(crate::image::Digest::as_str));
    }
    if by_repository.is_empty() {
        return vec![row(NONE, NONE, NONE)];
    }
    let mut rows = Vec::new();
    for (repository, (mut tags, mut of_name)) in by_repository {
        if tags.is_empty() {
            tags.push(NONE);
        }
        if !digests || of_name.is_empty() {
            of_name = vec![NONE];
        }
        for tag in tags {
            rows.extend(of_name.iter().map(|digest| row(&repository, tag, digest)));
        }
    }
    rows
}

pub(super) fn id(image: &Image, whole: bool) -> &str {
    if whole {
        image.id.as_str()
    } else {
        image.id.short()
    }
}

fn table(rows: &[Row<'_>], args: &LsArgs, now: Timestamp) -> String {
    let mut heads = vec!["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"];
    if !args.digests {
        heads.retain(|head| *head != "DIGEST");
    }
    let mut table = Table::new(&heads).min_width(COLUMN);
    for row in rows {
        let mut cells = vec![row.repository.clone(), row.tag.clone()];
        if args.digests {
            cells.push(row.digest.clone());
        }
        cells.extend([
            id(row.image, args.no_trunc).to_owned(),
            since(row.image, now),
            human_size(row.image.size),
        ]);
        table.row(cells);
    }
    table.render()
}

fn since(image: &Image, now: Timestamp) -> String {
    let created = image.created.as_deref();
    created.map_or_else(
        || "N/A".to_owned(),
        |created| human_ago(describe::elapsed(Some(created), now)),
    )
}

/// The fields that Docker's templates know.
fn object(row: &Row<'_>, containers: usize, whole: bool, now: Timestamp) -> Value {
    json!({
        "Containers": containers.to_string(),
        "CreatedAt": created(row.image).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        "CreatedSince": since(row.image, now),
        "Digest": row.digest,
        "ID": id(row.image, whole),
        "Repository": row.repository,
        "SharedSize": "N/A",
        "Size": human_size(row.image.size),
        "Tag": row.tag,
        "UniqueSize": "N/A",
        "VirtualSize": human_size(row.image.size),
    })
}

fn heads() -> Value {
    json!({
        "Containers": "CONTAINERS",
        "CreatedAt": "CREATED AT",
        "CreatedSince": "CREATED",
        "Digest": "DIGEST",
        "ID": "IMAGE ID",
        "Repository": "REPOSITORY",
        "SharedSize": "SHARED SIZE",
        "Size": "SIZE",
        "Tag": "TAG",
        "UniqueSize": "UNIQUE SIZE",
        "VirtualSize": "VIRTUAL SIZE",
    })
}
