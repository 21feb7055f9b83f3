//! `--chown`, and the user that a WORKDIR belongs to.

use super::error::BuildError;
use crate::engine::identity::Accounts;
use crate::engine::inroot::Root;

/// User and group of `user[:group]`, names looked up in the root. A user by number
/// has the group of the same number, one by name its own; nothing is root.
///
/// # Errors
/// The root's files have no such name.
pub(crate) fn find(root: &Root, text: &str) -> Result<(u32, u32), BuildError> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = user.parse::<u32>().ok();
    let group_number = group.parse::<u32>().ok();
    // Where all are numbers, the root may have no such files.
    if let Some(uid) = number
        && (group.is_empty() || group_number.is_some())
    {
        return Ok((uid, group_number.unwrap_or(uid)));
    }
    let accounts = Accounts::read(root)?;
    let named = if group.is_empty() { user } else { text };
    let identity = accounts.identity(named, &[])?;
    Ok((number.unwrap_or(identity.uid), identity.gid))
}
