//! What can be told of a request's Dockerfile without building it.

use super::contexts::read;
use super::drive::{Base, DriveError, Provide, Target, options, planned};
use super::graph;
use super::request::Request;
use super::solve::Builder;
use crate::compose::Diagnostic;
use crate::image::ConfigFile;

/// What the checks of a Dockerfile found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Every warning, at its place.
    pub warnings: Vec<Diagnostic>,
    /// The config of the image that would be built.
    config: ConfigFile,
}

impl From<Checked> for Base {
    fn from(checked: Checked) -> Self {
        Self::Planned(Box::new(checked.config))
    }
}

/// Checks a request's Dockerfile, without building anything.
///
/// # Errors
/// As [`super::drive::build`], where it cannot be planned.
pub async fn check(
    builder: &Builder<'_>,
    request: &Request,
    provide: Provide<'_>,
) -> Result<Checked, DriveError> {
    let read = read(builder, request).await?;
    let target = Target::first(request);
    let (plan, _) = planned(builder, request, &read, target, provide).await?;
    Ok(Checked {
        warnings: read.warnings(&plan),
        config: plan.config,
    })
}

/// What is looked at of a Dockerfile that is not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Its stages.
    Targets,
    /// What the wanted stage takes.
    Outline,
}

/// And what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The stages that can be built.
    Targets(Vec<graph::Target>),
    /// What the wanted stage takes.
    Outline(Box<graph::Outline>),
}

/// Reads a request's Dockerfile and looks at it. Bases are not asked for.
///
/// # Errors
/// It cannot be read or understood, or has no such stage.
pub async fn look(
    builder: &Builder<'_>,
    request: &Request,
    look: Look,
) -> Result<Seen, DriveError> {
    let read = read(builder, request).await?;
    match look {
        Look::Targets => Ok(Seen::Targets(graph::targets(&read.file))),
        Look::Outline => {
            let options = options(request, &read, Target::first(request));
            let outline = graph::outline(&read.file, &options);
            let outline = outline.map_err(|problems| read.unplanned(request, &problems))?;
            Ok(Seen::Outline(Box::new(outline)))
        }
    }
}
