//! Which containers were made of which image.

use crate::cli::context::Context;
use crate::cli::error::CliError;

/// A container, as far as its image is concerned.
pub(super) struct User {
    /// The image's id.
    pub(super) image: String,
    /// The container's name.
    pub(super) name: String,
    pub(super) live: bool,
}

/// The containers of all projects.
///
/// # Errors
/// The records cannot be read.
pub(super) fn users(context: &Context) -> Result<Vec<User>, CliError> {
    let mut users = Vec::new();
    for project in context.projects()? {
        for view in context.containers(&project)? {
            users.push(User {
                live: view.is_live(),
                image: view.record.image_id,
                name: view.record.name,
            });
        }
    }
    Ok(users)
}
