//! Memory of running processes, from `/proc/PID/smaps_rollup`.

use std::path::Path;

use fs_err as fs;

/// Sum over the processes that run this binary, or a copy of it, KiB.
pub(crate) fn of_binary(binary: &Path) -> u64 {
    let size = fs::metadata(binary).expect("the binary").len();
    let own = std::process::id();
    // By size: a helper may run from a copy that cannot be overwritten.
    let runs =
        |pid: u32| fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.len() == size);
    pids()
        .filter(|pid| *pid != own && runs(*pid))
        .map(pss)
        .sum()
}

/// Sum over the processes whose name begins with one of these, KiB.
pub(crate) fn of_names(names: &[&str]) -> u64 {
    let runs = |pid: u32| {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|comm| names.iter().any(|name| comm.trim().starts_with(name)))
    };
    pids().filter(|pid| runs(*pid)).map(pss).sum()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// One process' share; 0 where it has ended.
fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}
