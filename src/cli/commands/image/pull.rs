//! `skiff image pull`.

use clap::Args;

use super::failed;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::signals::Interrupts;
use crate::cli::{registries, runtime, session};
use crate::image::{self, KEPT_OF_A_PULL, Platform, PullRequest, Reference, Store};
use crate::reconcile::garbage;
use crate::ui;
use crate::ui::write_out;

/// Flags of `skiff image pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// For this platform instead of the host's
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Print the image's name only
    #[arg(short, long)]
    quiet: bool,
    /// All tags of the name
    #[arg(short, long, hide = true)]
    all_tags: bool,
    /// Nothing is signed anyway
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<bool>,
    /// What to pull
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

/// Pulls one image.
///
/// # Errors
/// The name is none, or the image cannot be had.
pub fn run(context: &Context, args: &PullArgs) -> CliResult {
    if args.all_tags {
        return Err(CliError::new("--all-tags: skiff pulls one tag at a time")
            .hint("pull each tag that is needed by its name"));
    }
    let reference = Reference::parse(&args.name).map_err(|error| CliError::from_error(&error))?;
    let platform = args.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|error| CliError::from_error(&error))?;
    let store = Store::open(&context.layout);
    let before = store.find(&reference.to_string());
    let before = before.map_err(|error| failed(&error))?;
    let request = request(reference.clone(), platform);
    let image = runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let sink = if args.quiet {
            ui::progress::silent()
        } else {
            context.sink()
        };
        let pulled = tokio::select! {
            pulled = image::pull(&store, &request, &*sink) => {
                pulled.map_err(|error| failed(&error))?
            }
            _ = interrupts.next() => {
                sink.emit(session::interrupted(KEPT_OF_A_PULL));
                tokio::select! {
                    () = store.settled() => {}
                    _ = interrupts.next() => {}
                }
                return Err(CliError::Interrupted);
            }
        };
        garbage::collect(&context.layout, &*sink);
        Ok(pulled)
    })?;
    let mut text = String::new();
    if !args.quiet {
        if let Some(digest) = &image.digest {
            text.push_str(&format!("Digest: {digest}\n"));
        }
        let same = before.is_some_and(|before| before.id == image.id);
        let status = if same {
            "Image is up to date"
        } else {
            "Downloaded newer image"
        };
        text.push_str(&format!("Status: {status} for {}\n", reference.familiar()));
    }
    text.push_str(&format!("{reference}\n"));
    Ok(write_out(&text)?)
}

/// A pull with the invoking user's credentials.
pub(super) fn request(reference: Reference, platform: Option<Platform>) -> PullRequest {
    PullRequest {
        label: reference.familiar(),
        reference,
        platform,
        access: registries::access(),
    }
}
