//! `skiff image inspect`.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value, json};

use super::find;
use super::history::check_platform;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::template;
use crate::image::config::ConfigFile;
use crate::image::{Image, Reference, Store};
use crate::ui::write_out;

/// Flags of `skiff image inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// `json` or a template: `{{.Id}}`, `{{json .Config.Env}}`
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The image has to be for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Images by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// What Docker tells of an image, in its order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: String,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    docker_version: String,
    author: String,
    architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    os: String,
    size: u64,
    graph_driver: Value,
    #[serde(rename = "RootFS")]
    root_fs: Value,
    metadata: Value,
    config: Value,
}

/// Shows images as `docker image inspect` does. Those that are found are shown
/// where others are not.
///
/// # Errors
/// No such image; a template is wrong; the store cannot be read.
pub fn run(context: &Context, args: &InspectArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for text in &args.images {
        let image = find(&store, text).and_then(|image| {
            check_platform(&image, args.platform.as_deref())?;
            inspect(&store, &image)
        });
        match image {
            Ok(image) => found.push(image),
            Err(error) => missing.push(error),
        }
    }
    let text = match args.format.as_deref() {
        None => format!("{}\n", indented(&found)?),
        Some("json") => format!("{}\n", json!(found)),
        Some(format) => {
            let objects: Vec<Value> = found.iter().map(|image| json!(image)).collect();
            template::lines(format, &objects)?
        }
    };
    write_out(&text)?;
    super::rm::all_or_last(context, missing)
}

fn inspect(store: &Store, image: &Image) -> Result<Inspected, CliError> {
    let raw = image.raw_config.as_bytes();
    let parsed = ConfigFile::parse(raw).map_err(|error| CliError::from_error(&error))?;
    let raw: Value = serde_json::from_slice(raw).map_err(|error| CliError::from_error(&error))?;
    let text = |field: &str| {
        let value = raw.get(field).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let familiar = |names: &[Reference]| names.iter().map(Reference::familiar).collect();
    let last = parsed.history.last();
    Ok(Inspected {
        id: image.id.to_string(),
        repo_tags: familiar(&image.names),
        repo_digests: familiar(&image.repo_digests),
        parent: String::new(),
        comment: last
            .and_then(|step| step.comment.clone())
            .unwrap_or_default(),
        created: image.created.clone(),
        docker_version: text("docker_version"),
        author: parsed.author.unwrap_or_default(),
        architecture: image.platform.architecture.clone(),
        variant: image.platform.variant.clone(),
        os: image.platform.os.clone(),
        size: image.size,
        graph_driver: json!({"Data": folders(store, image), "Name": "overlay2"}),
        root_fs: json!({"Type": "layers", "Layers": parsed.rootfs.diff_ids}),
        metadata: json!({"LastTagTime": image.pulled.to_string()}),
        config: config(raw.get("config")),
    })
}

/// Where the layers are: the topmost apart, as overlayfs names them.
fn folders(store: &Store, image: &Image) -> Value {
    let path = |path: &Path| path.display().to_string();
    let mut layers = image
        .layers
        .iter()
        .rev()
        .map(|layer| store.layer_dir(layer));
    let upper = layers.next().map(|layer| path(&layer));
    let lower: Vec<String> = layers.map(|layer| path(&layer)).collect();
    let mut data = Map::new();
    if !lower.is_empty() {
        data.insert("LowerDir".to_owned(), lower.join(":").into());
    }
    if let Some(upper) = upper {
        data.insert("UpperDir".to_owned(), upper.into());
    }
    Value::Object(data)
}

/// The config's own part, with the fields that Docker always shows.
fn config(raw: Option<&Value>) -> Value {
    let mut config = json!({
        "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null,
        "User": "", "Volumes": null, "WorkingDir": "",
    });
    if let (Some(config), Some(raw)) = (config.as_object_mut(), raw.and_then(Value::as_object)) {
        config.extend(raw.clone());
    }
    config
}

/// JSON with Docker's indentation.
fn indented(images: &[Inspected]) -> Result<String, CliError> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let written = images.serialize(&mut serializer);
    written.map_err(|error| CliError::from_error(&error))?;
    String::from_utf8(text).map_err(|error| CliError::from_error(&error))
}
