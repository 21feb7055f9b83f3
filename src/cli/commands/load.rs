//! `skiff load`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::cli::commands::image::failed;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::{self, LoadSource, Platform, Reference, Store};
use crate::reconcile::garbage;
use crate::ui::write_out;

/// Flags of `skiff load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Archive to read (default: standard input)
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Load the image for this platform, where it is there for several
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Loads the images of an archive.
///
/// # Errors
/// The archive cannot be read, or is none.
pub fn run(context: &Context, args: &LoadArgs) -> CliResult {
    let source = match &args.input {
        Some(path) => LoadSource::File(path.clone()),
        None if std::io::stdin().is_terminal() => {
            return Err(CliError::new("there is no archive on standard input").hint(
                "give a file: skiff load -i FILE, or a pipe: docker save IMAGE | sudo skiff load",
            ));
        }
        None => LoadSource::Stream("standard input".to_owned(), Box::new(std::io::stdin())),
    };
    let platform = args.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|error| CliError::from_error(&error))?;
    let store = Store::open(&context.layout);
    let sink = if args.quiet {
        crate::ui::progress::silent()
    } else {
        context.sink()
    };
    let images = image::load_for(&store, source, platform.as_ref(), &*sink)
        .map_err(|error| failed(&error))?;
    garbage::collect(&context.layout, &*sink);
    drop(sink);
    let mut text = String::new();
    for image in images {
        // As `docker load` says it.
        if image.names.is_empty() {
            text.push_str(&format!("Loaded image ID: {}\n", image.id.as_str()));
        }
        for name in image.names.iter().map(Reference::familiar) {
            text.push_str(&format!("Loaded image: {name}\n"));
        }
    }
    Ok(write_out(&text)?)
}
