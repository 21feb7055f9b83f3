//! What builds take from elsewhere: files of web servers ([`http`]), repositories
//! ([`git`]). Brings them into a folder, and knows nothing of steps and layers.

pub(super) mod git;
mod git_command;
pub(super) mod http;
mod refs;
