//! Builds, as `skiff build` and `skiff image build` show them.

use super::context::Context;
use super::error::{CliError, CliResult};
use super::runtime;
use super::session::{self, Work};
use super::signals::Interrupts;
use crate::build::look::{Look, Seen};
use crate::compose::parse_bytes;
use crate::reconcile::build::{Built, Requests};
use crate::reconcile::{self, ReconcileError, Session, cancel_pair};
use crate::ui::write_out;

/// Some images to be built.
#[derive(Debug)]
pub struct Job<'a> {
    /// The project that they are for.
    pub project: &'a str,
    /// What is asked.
    pub requests: &'a Requests,
    /// Show no progress.
    pub quiet: bool,
    /// Print the images' ids.
    pub prints_ids: bool,
}

impl Job<'_> {
    /// Checks the Dockerfiles alone.
    ///
    /// # Errors
    /// There are warnings, which have been told, unless that is no failure; or one
    /// cannot be read.
    pub fn check(&self, context: &Context, is_status_ignored: bool) -> CliResult {
        let check =
            async |session: &Session<'_>| reconcile::build::check(session, self.requests).await;
        let found = self.carry_out(context, check)?;
        // As `docker build --check` says it.
        match found.len() {
            0 => return Ok(write_out("Check complete, no warnings found.\n")?),
            1 => write_out("Check complete, 1 warning has been found!\n")?,
            count => write_out(&format!(
                "Check complete, {count} warnings have been found!\n"
            ))?,
        }
        context.show(&found);
        if is_status_ignored {
            return Ok(());
        }
        Err(CliError::Exit(1))
    }

    /// Looks at the Dockerfiles alone.
    ///
    /// # Errors
    /// One cannot be read, or has no such stage.
    pub fn look(&self, context: &Context, look: Look) -> Result<Vec<Seen>, CliError> {
        self.carry_out(context, async |session: &Session<'_>| {
            reconcile::build::look(session, self.requests, look).await
        })
    }

    /// Builds, and does what comes `after`wards.
    ///
    /// # Errors
    /// A Dockerfile is wrong, a step failed, or what comes after.
    pub fn build(
        &self,
        context: &Context,
        after: impl AsyncFnOnce(&Session<'_>) -> Result<(), ReconcileError>,
    ) -> Result<Built, CliError> {
        let all = async |session: &Session<'_>| {
            let built = reconcile::build::build(session, self.requests).await?;
            after(session).await?;
            Ok(built)
        };
        let built = self.carry_out(context, all)?;
        if self.prints_ids {
            let ids = built.iter().map(|(_, image)| format!("{}\n", image.id));
            write_out(&ids.collect::<String>())?;
        }
        Ok(built)
    }

    fn carry_out<T>(
        &self,
        context: &Context,
        work: impl AsyncFnOnce(&Session<'_>) -> Result<T, ReconcileError>,
    ) -> Result<T, CliError> {
        runtime::block_on(async {
            let mut interrupts = Interrupts::new()?;
            let (handle, cancel) = cancel_pair();
            let holder = Work::new(context, self.project, &cancel, self.quiet);
            let session = holder.session();
            let work = work(&session);
            let note = "steps at work are ended; those that are done are kept for the next build";
            let console = holder.console();
            let done =
                session::interruptible_telling(note, &*console, work, &handle, &mut interrupts);
            done.await.map_err(|error| session::error(context, &error))
        })
    }
}

/// `-m 512m`.
///
/// # Errors
/// Not a number of bytes above zero.
pub fn memory(text: &str) -> Result<i64, CliError> {
    let bytes = parse_bytes(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| CliError::new(format!("--memory takes `512m` and the like, not `{text}`")))
}

/// `--provenance`, `--sbom` and `--attest`: that none is wanted is fine.
///
/// # Errors
/// One is wanted.
pub fn refuse_attestations(
    provenance: Option<&str>,
    sbom: Option<&str>,
    attestations: &[String],
) -> CliResult {
    let refused = |flag: String| {
        Err(CliError::new(format!(
            "{flag}: skiff makes no attestations"
        )))
    };
    for (flag, value) in [("--provenance", provenance), ("--sbom", sbom)] {
        if value.is_some_and(|value| value != "false") {
            return refused(flag.to_owned());
        }
    }
    for text in attestations {
        if !text.split(',').any(|field| field == "disabled=true") {
            return refused(format!("--attest {text}"));
        }
    }
    Ok(())
}
