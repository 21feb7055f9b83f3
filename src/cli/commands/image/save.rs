//! `skiff save` and `skiff image save`.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::Args;

use super::failed_in;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::{self, ImageError, Platform, Store};
use crate::state::atomic;

/// Bytes that are written at once.
const CHUNK: usize = 256 * 1024;

/// Flags of `skiff save`.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// File to write (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The images have to be for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Images by name or id; a name without a tag means all its tags
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes images to an archive. A file is there whole or not at all.
///
/// # Errors
/// No such image; the output cannot be written, or is a terminal.
pub fn run(context: &Context, args: &SaveArgs) -> CliResult {
    let platform = args.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|error| CliError::from_error(&error))?;
    let store = Store::open(&context.layout);
    let save = |what: &str, output: &mut dyn Write| {
        let output = BufWriter::with_capacity(CHUNK, output);
        let saved = image::save(&store, &args.images, platform.as_ref(), what, output);
        saved.map_err(|error| match error {
            ImageError::Output { source, .. }
                if source.kind() == std::io::ErrorKind::BrokenPipe =>
            {
                CliError::BrokenPipe
            }
            other => failed_in(&store, &other),
        })
    };
    match &args.output {
        Some(path) => {
            let what = format!("`{}`", path.display());
            let written = atomic::produce(path, None, |output| save(&what, output));
            written.map_err(|error| CliError::new(format!("cannot write {what}: {error}")))?
        }
        None if std::io::stdout().is_terminal() => {
            Err(CliError::new("an archive is no text for a terminal")
                .hint("give a file: skiff save -o FILE IMAGE, or a pipe"))
        }
        None => save("standard output", &mut std::io::stdout().lock()),
    }
}
