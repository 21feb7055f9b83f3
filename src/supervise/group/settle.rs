//! Finding a project's place where systemd is the service manager.

use std::io;
use std::path::Path;

use super::{Grouping, LEAF, explained, leaf_below, plain};
use crate::causes::with_causes;
use crate::engine::cgroup::{CgroupError, Host, own_group, scope_of};
use crate::engine::process::boot_id;
use crate::engine::systemd::{Connection, LIMIT, SLICE, Scope, scope_name, start_scope};
use crate::state::root_id;
use crate::supervise::keeper::Identity;

/// The place that an earlier supervisor of the living keeper settled.
pub(crate) fn known(identity: &Identity) -> Option<String> {
    let found = Grouping::read(&identity.layout, &identity.project).ok()??;
    let own = own_group()?;
    (own == leaf_below(&found.path)).then_some(found.path)
}

/// Settles where the groups are, and has keeper and supervisor (the caller) be
/// there: in a scope, else in the file system, which is written down with the
/// reason. Blocks until systemd has answered, [`LIMIT`] at most.
///
/// `keeper` tells its process id, which may change meanwhile; `run` is
/// systemd's run-time folder.
///
/// # Errors
/// Control groups cannot be made at all.
pub(crate) fn settle(
    identity: &Identity,
    host: &Host,
    keeper: impl Fn() -> i32,
    run: &Path,
) -> io::Result<String> {
    let (layout, project) = (&identity.layout, &identity.project);
    let earlier = Grouping::read(layout, project).unwrap_or_default();
    // Where containers live that both processes have died away from.
    let inhabited = |path: &String| host.open(path).exists();
    let earlier = earlier.map(|found| found.path).filter(inhabited);
    let plain = plain(identity)?;
    if earlier.as_ref() == Some(&plain) {
        enter(host, &plain, &keeper).map_err(|error| explained(&error))?;
        return Ok(plain);
    }
    let found = scope(identity, host, keeper(), run).and_then(|path| {
        enter(host, &path, &keeper).map_err(|error| with_causes(&error))?;
        Ok(path)
    });
    let (path, refusal) = match (found, earlier) {
        (Ok(path), _) => (path, None),
        // systemd sleeps, and the scope is there.
        (Err(_), Some(path)) if enter(host, &path, &keeper).is_ok() => (path, None),
        (Err(refusal), _) => {
            enter(host, &plain, &keeper).map_err(|error| explained(&error))?;
            (plain, Some(refusal))
        }
    };
    let record = Grouping {
        boot_id: boot_id()?,
        path: path.clone(),
        refusal,
        told: false,
    };
    record.write(layout, project)?;
    Ok(path)
}

fn enter(host: &Host, path: &str, keeper: impl Fn() -> i32) -> Result<(), CgroupError> {
    let leaf = leaf_below(path);
    host.move_to_leaf(&leaf, &[0])?;
    match host.move_to_leaf(&leaf, &[keeper()]) {
        // It died; the next one is a child of this process, and so is born here.
        Err(CgroupError::Write { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {
            Ok(())
        }
        other => other,
    }?;
    host.hand_down(path)
}

/// Asks systemd; answers the path of the scope, or why there is none.
fn scope(identity: &Identity, host: &Host, keeper: i32, run: &Path) -> Result<String, String> {
    let root_id = root_id(&identity.layout).map_err(|error| error.to_string())?;
    let project = &identity.project;
    let name =
        scope_name(&root_id, project).ok_or("the project's name is too long for that of a unit")?;
    let keeper = u32::try_from(keeper).map_err(|_| "the keeper has no process id")?;
    let wanted = Scope {
        name: &name,
        description: &format!("skiff project {project}"),
        processes: &[keeper, std::process::id()],
        leaf: LEAF,
        has_slice: host.open(SLICE).exists(),
    };
    let mut connection = Connection::open(run, LIMIT).map_err(|error| with_causes(&error))?;
    if !connection.is_with_first_process() {
        return Err("it is in another pid namespace".to_owned());
    }
    start_scope(&mut connection, wanted).map_err(|error| with_causes(&error))?;
    let own = own_group().unwrap_or_default();
    scope_of(&own)
        .filter(|path| path.ends_with(&format!("/{name}")))
        .map(str::to_owned)
        .ok_or_else(|| {
            format!("it says that the scope was started, but this process is in `/{own}`")
        })
}
