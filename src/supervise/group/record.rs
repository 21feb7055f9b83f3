//! What is known of a project's groups on disk, for this boot.

use std::io;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::engine::process::boot_id;
use crate::state::Layout;
use crate::state::atomic::{Durability, read_json, write_json};

/// Where the groups of a project are, once systemd was asked:
/// `/run/…/projects/<project>/groups.json`. Without systemd there is no such
/// record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grouping {
    /// Boot id (`/proc/sys/kernel/random/boot_id`).
    pub(crate) boot_id: String,
    /// The path below the hierarchy's root.
    pub(crate) path: String,
    /// Why it is no scope, where it is none.
    pub(crate) refusal: Option<String>,
    /// The user was told.
    pub(crate) told: bool,
}

impl Grouping {
    /// This boot's record of a project, where there is one.
    pub(crate) fn read(layout: &Layout, project: &str) -> io::Result<Option<Self>> {
        let found: Option<Self> = read_json(&layout.groups(project))?;
        let Some(found) = found else { return Ok(None) };
        Ok((found.boot_id == boot_id()?).then_some(found))
    }

    pub(crate) fn write(&self, layout: &Layout, project: &str) -> io::Result<()> {
        write_json(&layout.groups(project), self, Durability::ThisBoot)
    }

    fn warning(&self, project: &str) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        Some(format!(
            "systemd gave project `{project}` no scope: {refusal}; its control groups are in \
             /{}, where systemd does not see them",
            self.path
        ))
    }
}

/// Removes the record of a project of which nothing runs.
pub(crate) fn forget(layout: &Layout, project: &str) {
    // Read as long as this boot lasts; a next one overwrites it.
    fs::remove_file(layout.groups(project)).ok();
}

/// The warning about a project that got no scope, once as long as anything of
/// it runs; one line, no final period.
pub fn untold_warning(layout: &Layout, project: &str) -> Option<String> {
    // What cannot be read warns of nothing.
    let mut found = Grouping::read(layout, project).ok()??;
    let warning = found.warning(project).filter(|_| !found.told)?;
    found.told = true;
    // Else it is said once more.
    found.write(layout, project).ok();
    Some(warning)
}

/// The same warnings of all projects, told or not.
pub fn fallbacks(layout: &Layout) -> Vec<String> {
    let Ok(entries) = fs::read_dir(layout.run_projects()) else {
        return Vec::new();
    };
    let mut warnings: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let project = entry.file_name().into_string().ok()?;
            Grouping::read(layout, &project).ok()??.warning(&project)
        })
        .collect();
    warnings.sort();
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(refusal: Option<&str>) -> Grouping {
        Grouping {
            boot_id: boot_id().unwrap(),
            path: "skiff/0badcafe/shop".to_owned(),
            refusal: refusal.map(str::to_owned),
            told: false,
        }
    }

    #[test]
    fn a_refusal_is_told_once_and_listed_always() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().join("data"), home.path().join("run"));
        assert_eq!(untold_warning(&layout, "shop"), None);
        record(None).write(&layout, "shop").unwrap();
        assert_eq!(untold_warning(&layout, "shop"), None);
        record(Some("it is asleep")).write(&layout, "shop").unwrap();
        let warning = untold_warning(&layout, "shop").unwrap();
        assert!(warning.contains("it is asleep"), "{warning}");
        assert!(warning.contains("/skiff/0badcafe/shop"), "{warning}");
        assert_eq!(untold_warning(&layout, "shop"), None);
        assert_eq!(fallbacks(&layout), [warning]);
        forget(&layout, "shop");
        assert_eq!(fallbacks(&layout), Vec::<String>::new());
    }

    #[test]
    fn another_boots_record_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path().join("data"), home.path().join("run"));
        let old = Grouping {
            boot_id: "another".to_owned(),
            ..record(Some("it is asleep"))
        };
        old.write(&layout, "shop").unwrap();
        assert_eq!(Grouping::read(&layout, "shop").unwrap(), None);
    }
}
