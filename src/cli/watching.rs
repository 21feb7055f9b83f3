//! `watch` beside the output of containers: what `watch` and `up --watch` share.

use std::sync::Arc;

use super::context::Context;
use super::error::CliError;
use super::keys::Keys;
use super::opener;
use super::session::{self, Work};
use crate::compose::{LoadOptions, Loaded, Project};
use crate::event::{Event, WatchNews};
use crate::reconcile::{BuildMode, UpChoices};
use crate::ui::progress::Console;
use crate::watch::{Report, Rules, Watch, WatchError};

/// What the lower end of the terminal says.
const MENU: &str = "w pause/go on   b rebuild   r restart   o open   q quit";

/// Watches, and tells what has to be told.
#[expect(missing_debug_implementations, reason = "holds futures")]
pub struct Watching<'a> {
    context: &'a Context,
    console: Arc<dyn Console>,
    project: Arc<Project>,
    options: LoadOptions,
    services: Vec<String>,
    watch: Watch<'a>,
}

/// What somebody else has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Look for containers that are new.
    Discover,
    /// End.
    Quit,
}

/// The rules of a project.
///
/// # Errors
/// Rules that cannot be carried out; there is none at all.
pub fn rules(context: &Context, project: &Project, build: BuildMode) -> Result<Rules, CliError> {
    let rules = Rules::of(project).map_err(|errors| context.refusal(errors.iter()))?;
    if build == BuildMode::Never
        && let Some(rule) = rules.rebuilding().next()
    {
        return Err(CliError::new(format!(
            "--no-build is incompatible with watch action rebuild in service {}",
            rule.service
        )));
    }
    if rules.list.is_empty() {
        context.show(&rules.warnings);
        return Err(error(context, &WatchError::Nothing));
    }
    Ok(rules)
}

impl<'a> Watching<'a> {
    /// Begins to watch. `options` are those that the project was loaded with, `services`
    /// the ones that were named.
    ///
    /// # Errors
    /// Files cannot be watched.
    pub fn start(
        context: &'a Context,
        work: &'a Work<'a>,
        (project, rules): (Arc<Project>, Rules),
        options: LoadOptions,
        choices: UpChoices,
    ) -> Result<Self, CliError> {
        context.show(&rules.warnings);
        let sessions = (work.session(), work.uncancelled());
        let services = choices.services.clone();
        let watch = Watch::start(sessions, Arc::clone(&project), rules, choices);
        Ok(Self {
            context,
            console: work.console(),
            project,
            options,
            services,
            watch: watch.map_err(|found| error(context, &found))?,
        })
    }

    /// Shows what the keys do.
    pub fn show_menu(&self, keys: Option<&Keys>) {
        self.console.footer(keys.map(|_| MENU));
    }

    /// Works until containers may be others. May be dropped and called again.
    ///
    /// # Errors
    /// Files are not watched any more.
    pub async fn next(&mut self) -> Result<Next, CliError> {
        match self.watch.next().await {
            Report::Failed(found) => {
                self.tell(error(self.context, &found));
                Ok(Next::Discover)
            }
            Report::Sources => {
                self.reload();
                Ok(Next::Nothing)
            }
            Report::Settled => Ok(Next::Discover),
            Report::Ended(found) => Err(error(self.context, &found)),
        }
    }

    fn reload_where(&mut self, sources: bool) {
        if sources {
            self.reload();
        }
    }

    /// Loads the project again. Where it is wrong, what runs stays as it is.
    fn reload(&mut self) {
        let loaded = self.context.load_silently(&self.options);
        let loaded = loaded.and_then(|loaded| {
            let rules = Rules::of(&loaded.project);
            let rules = rules.map_err(|errors| self.context.refusal(errors.iter()))?;
            Ok((loaded, rules))
        });
        match loaded {
            Ok((Loaded { project, warnings }, rules)) => {
                let shown = self.console.beside(&mut || {
                    self.context.show(&warnings);
                    self.context.show(&rules.warnings);
                    Ok(())
                });
                // They go to standard error, whose end is nobody's loss.
                shown.ok();
                let project = Arc::new(project);
                self.project = Arc::clone(&project);
                self.watch.apply(project, rules, self.services.clone());
            }
            Err(error) => {
                self.tell(error);
                let message = "the project's files have errors: what runs stays as it is";
                let news = WatchNews::new("reload", Vec::new(), message).failed(true);
                self.console.emit(Event::Watch(news));
            }
        }
    }

    /// Does what a key means.
    pub fn press(&mut self, key: u8) -> Next {
        match key {
            b'w' | b'p' | b' ' => {
                let sources = self.watch.pause_or_resume();
                self.reload_where(sources);
            }
            b'b' => self.watch.rebuild(),
            b'r' => self.watch.restart(),
            b'o' => opener::open(&self.project, &*self.console),
            b'\r' | b'\n' => {
                let line = || crate::ui::write_out("\n");
                // A closed standard output is found out by the next line of a container's.
                self.console.beside(&mut || line()).ok();
            }
            b'q' => return Next::Quit,
            _ => {}
        }
        Next::Nothing
    }

    /// Containers may have been made anew by somebody else.
    pub fn look_again(&mut self) {
        self.watch.look_again();
    }

    /// Waits until nothing is under way.
    pub async fn settle(&mut self) {
        self.console.footer(None);
        self.watch.settle().await;
    }

    fn tell(&self, error: CliError) {
        let mut error = Some(error);
        let told = self.console.beside(&mut || {
            if let Some(error) = error.take() {
                let _ = error.report(self.context.ui);
            }
            Ok(())
        });
        // It goes to standard error, whose end is nobody's loss.
        told.ok();
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.console.footer(None);
    }
}

/// The error as the command's.
pub fn error(context: &Context, found: &WatchError) -> CliError {
    match found {
        WatchError::Rules { diagnostics } => context.refusal(diagnostics.iter()),
        WatchError::Reconcile(error) => session::error(context, error),
        other => other
            .hints()
            .into_iter()
            .fold(CliError::from_error(other), CliError::hint),
    }
}
